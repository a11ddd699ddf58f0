"""The command `smd bench quality`."""

import json
from shutil import copytree, rmtree

import pytest
from typer.testing import CliRunner

from smd_cli.cli.app import app
from smd_cli.workshop.quality import command, run
from smd_cli.workshop.quality.methods import VARIANTS
from smd_cli.workshop.quality.report import Interval, QualityRow
from smd_cli.workshop.quality.score import FIGURES


def smd(*arguments: str):
    return CliRunner().invoke(app, ("bench", "quality", *arguments))


@pytest.fixture
def asked(monkeypatch):
    """Replace the measuring by rows with fixed figures, and record its arguments."""
    calls = []

    def measure(bench, jury, variants):
        calls.append((bench, variants))
        figures = {name: Interval(0.5, 0.25, 0.75) for name in FIGURES}
        preferred = Interval(0.625, 0.5, 0.75)
        return [
            QualityRow(variant.name, figures, figures, preferred, 12.345, 31.4, 0.678) for variant in variants
        ]

    monkeypatch.setattr(command, "measure_quality", measure)
    return calls


def test_rows_are_chosen_by_name_and_the_full_method_is_always_among_them(asked):
    done = smd("--row", "lcm", "--scenes", "3", "--no-singles", "--batch", "5", "--dtype", "float32")
    assert done.exit_code == 0, done.stderr
    ((bench, variants),) = asked
    assert [variant.key for variant in variants] == ["lcm", "full"]
    assert (bench.scenes, bench.batch, bench.pictures, str(bench.dtype)) == (3, 5, None, "torch.float32")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:2] == ["row", "regions"]
    assert len(lines) == 3
    assert lines[1][-3:] == ["12.35", "31", "0.68"]
    assert "50 [25, 75]" in done.stdout
    assert "62 [50, 75]" in done.stdout
    assert {"halos", "preferred"} <= set(lines[0])


def test_json_is_one_document_with_every_row(asked):
    done = smd("--json", "--no-singles")
    document = json.loads(done.stdout)
    assert [row["name"] for row in document["rows"]] == [variant.name for variant in VARIANTS]
    assert document["scenes"] == 200
    assert document["singles"] == {}
    assert document["rows"][0]["figures"]["regions"] == {"value": 0.5, "low": 0.25, "high": 0.75}
    assert document["rows"][0]["figures"]["halos"]["value"] == 0.5
    assert document["rows"][0]["preferred"] == {"value": 0.625, "low": 0.5, "high": 0.75}
    assert "quantized" in done.stderr, "the table, beside it"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--row", "nonsense"], 2, "--row nonsense: no such row; there are multidiffusion, lcm"),
        (["--scenes", "1"], 2, "--scenes"),
        (["--pictures", "{folder}/taken"], 2, "taken is a file, not a folder"),
        (["--model", "{folder}/none"], 4, "none"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_painted(asked, tmp_path, arguments, code, says):
    (tmp_path / "taken").write_text("a file")
    done = smd(*(each.format(folder=tmp_path) for each in arguments))
    assert done.exit_code == code, done.stderr
    assert says in done.stderr
    assert not asked


def test_a_model_that_lacks_its_few_step_lora_is_refused_before_the_many_steps_are_painted(
    asked, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # what --offline sets is taken back
    folder = copytree(run.PACKAGE / "flatland" / "weights", tmp_path / "model")
    rmtree(folder / "lcm_lora")
    done = smd("--row", "multidiffusion", "--no-singles", "--offline", "--model", str(folder))
    assert done.exit_code == 4, done.stderr
    assert "lcm" in done.stderr
    assert not asked
