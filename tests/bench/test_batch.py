"""`smd bench batch` as a user meets it: whole programs on the same jobs."""

import json

import pytest

from smd_cli.bench import scenes
from tests.cli.program import smd

SMALL = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
bootstrap: {steps: 0}
background: {prompt: grass}
"""


@pytest.mark.slow
def test_it_times_a_batch_a_loop_and_a_script(tmp_path, monkeypatch):
    scene = tmp_path / "batch.yaml"
    scene.write_text(SMALL)
    monkeypatch.setattr(scenes, "BATCH", scene)
    done = smd("bench", "batch", "--jobs", "2", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["name"] for row in report["rows"]] == ["this program", "loop of generate", "diffusers script"]
    assert {row["evaluations"] for row in report["rows"]} == {2 * 2}
    assert report["rows"][0]["ratio"] == 1
    for row in report["rows"]:
        assert row["seconds_a_job"] == pytest.approx(row["median"] / 2)
        assert row["seconds_an_evaluation"] == pytest.approx(row["median"] / 4)
    assert "an eval" in done.stderr
    assert {"device", "dtype", "torch", "diffusers"} <= report["machine"].keys()


def test_another_family_is_refused_before_anything_is_run(tmp_path):
    done = smd("bench", "batch", "--model", str(tmp_path / "none.safetensors"))
    assert done.exit_code == 4
    assert "none.safetensors" in done.stderr
