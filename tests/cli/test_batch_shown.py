"""What `smd render` tells of a batch: tables, the document, the report."""

import json
from pathlib import Path

import pytest

from tests.cli.program import no_weights, smd
from tests.limits import largest_file

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0]}
background: {prompt: grass}
"""
SEEDS = "1-3"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    Path("day.yaml").write_text(SCENE)


def row(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(name)).split()


def test_what_failed_is_told_in_a_table_the_document_and_the_report(monkeypatch):
    command = ("render", "day.yaml", "--seed", SEEDS, "--json", "--report", "lines.jsonl")
    made = smd(*command)
    assert made.exit_code == 0, made.stderr
    assert row(made.stderr, "scene")[:5] == ["scene", "written", "mean", "s", "evaluations"]
    assert row(made.stderr, "day")[:2] == ["day", "3"]
    document = json.loads(made.stdout)
    assert (len(document["outputs"]), document["failed"]) == (3, [])
    sizes = {each["seed"]: Path(each["path"]).stat().st_size for each in document["outputs"]}
    largest = max(sizes, key=sizes.__getitem__)
    assert sizes[largest] > 3000  # the report has room

    with largest_file(sizes[largest] - 1):
        done = smd(*command, "--output-dir", "new", "--sheet", "new.png")
    assert done.exit_code in (1, 6), done.stderr  # the sheet may be too large as well
    assert row(done.stderr, "day")[:3] == ["day", "2", "1"]
    assert "cannot be written: File too large" in done.stderr.split("failed  ")[-1]
    assert f"day, seed {largest}" in done.stderr
    (failed,) = json.loads(done.stdout)["failed"]
    assert (failed["seed"], failed["path"]) == (largest, f"new/day_{largest}.png")
    assert failed["problems"][0]["text"].endswith("cannot be written: File too large")
    told = [json.loads(line) for line in Path("lines.jsonl").read_text().splitlines()]
    assert [line["event"] for line in told] == ["batch", "job", "job", "job", "end"]
    assert [line["status"] for line in told[1:4]].count("failed") == 1
    assert (told[-1]["written"], told[-1]["failed"]) == (2, 1)

    Path(f"day_{largest}.png").rename(f"new/day_{largest}.png")
    no_weights(monkeypatch)
    again = smd(*command, "--output-dir", "new", "--skip-existing")
    assert again.exit_code == 0, again.stderr
    assert row(again.stderr, "day")[:2] == ["day", "3"]
    assert row(again.stderr, "scene")[1] == "skipped"
    told = [json.loads(line) for line in Path("lines.jsonl").read_text().splitlines()]
    assert [line.get("status") for line in told] == [None, *3 * ["skipped"], None]


def test_the_report_can_be_the_result():
    done = smd("render", "day.yaml", "--seed", "1,2", "--report", "-")
    assert done.exit_code == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.get("path") for line in told] == [None, "day_1.png", "day_2.png", None]


def test_reports_are_refused_before_any_work(monkeypatch):
    no_weights(monkeypatch)
    for options, says in (
        (("--report", "-", "--json"), "--json prints to stdout as well"),
        (("--report", "day.yaml"), "is no report of smd's"),
        (("--report", "a.png", "--sheet", "a.png"), "is a page of the --sheet"),
    ):
        done = smd("render", "day.yaml", *options)
        assert (done.exit_code, says in done.stderr) == (2, True), done.stderr
    assert not Path("day_0.png").exists()
