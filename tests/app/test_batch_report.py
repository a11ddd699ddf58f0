"""The report of a batch: whole lines, whatever becomes of it, of a file that no other is taken for."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.app.batch.jobs import Outcome
from smd_cli.app.batch.planning import plan_batch
from smd_cli.app.batch.report import appending, check_report, reporting
from smd_cli.app.batch.request import Request
from smd_cli.app.reports import WrittenFile
from smd_cli.errors import SmdError, UsageError
from smd_cli.messages import Message, Place
from smd_cli.scene.matrix import parse_axis, points_of

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
background: {prompt: grass, image: photo.png}
regions: [{name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 0.5]}}]
"""
FILE = Path("lines.jsonl")


@pytest.fixture
def batch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("photo.png")
    Path("day.yaml").write_text(SCENE)
    points = points_of([parse_axis("bootstrap.steps=0,1")])
    return plan_batch(Request(["day.yaml"], seeds=(3,), points=points))


def lines() -> list[dict]:
    text = FILE.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def outcomes(batch) -> tuple[Outcome, Outcome]:
    one, other = batch.jobs
    file = WrittenFile(one.target, 3, "ab" * 32, "cd" * 32, 64, 64)
    written = Outcome(one.number, "written", file, "ef" * 32, {"total_s": 1.25}, {"model_evaluations": 4})
    problem = Place("day.yaml", 3, 5, "background.image").says("has changed since the batch began")
    return written, Outcome(other.number, "failed", problems=(problem,), exit_code=4, attempts=2)


def test_each_line_is_there_as_soon_as_it_is_told(batch):
    written, failed = outcomes(batch)
    with appending(FILE) as put, reporting(batch, put) as report:
        (head,) = lines()
        assert (head["event"], head["report"], head["jobs"], head["scenes"]) == ("batch", 1, 2, ["day.yaml"])
        report.add(written)
        told = lines()[-1]
        assert told == {
            "event": "job",
            "job": batch.jobs[0].number,
            "scene": "day.yaml",
            "task": "generate",
            "seed": 3,
            "point": {"bootstrap.steps": "0"},
            "status": "written",
            "path": batch.jobs[0].target,
            "sha256": "ab" * 32,
            "pixels_sha256": "cd" * 32,
            "recipe_sha256": "ef" * 32,
            "seconds": 1.25,
            "model_evaluations": 4,
            "device": None,
            "attempts": 1,
            "problems": [],
        }
        report.add(failed)
        told = lines()[-1]
        assert (told["status"], told["attempts"], told["sha256"]) == ("failed", 2, None)
        (problem,) = told["problems"]
        assert (problem["line"], problem["key"]) == (3, "background.image")
    end = lines()[-1]
    assert [end[key] for key in ("event", "written", "skipped", "failed", "not_made")] == ["end", 1, 0, 1, 0]


def test_what_ends_a_batch_is_told_with_what_was_not_made(batch):
    written, _ = outcomes(batch)
    with suppress(SmdError), appending(FILE) as put, reporting(batch, put) as report:
        report.add(written)
        raise SmdError(Message("the disk is full"))
    end = lines()[-1]
    assert (end["event"], end["not_made"], end["problems"][0]["text"]) == ("end", 1, "the disk is full")
    assert len(lines()) == 3


def test_a_report_replaces_earlier_reports_alone(batch):
    check_report(FILE, batch)
    with appending(FILE) as put, reporting(batch, put):
        pass
    check_report(FILE, batch)
    with appending(FILE) as put, reporting(batch, put):
        assert len(lines()) == 1
    FILE.write_text('{"event": "batch"}\n')
    Path("link").symlink_to(".")
    for path, says in (
        (FILE, "is no report of smd's"),
        (Path("day.yaml"), "is no report of smd's"),
        (Path("photo.png"), "is no report of smd's"),
        (Path(batch.jobs[0].target), "lies where day, seed 3, bootstrap.steps=0 is to lie"),
        (Path("link") / batch.jobs[0].target, "lies where day, seed 3, bootstrap.steps=0 is to lie"),
        (Path("day.yaml/report"), "is a file, not a folder"),
    ):
        with pytest.raises(UsageError, match=says):
            check_report(path, batch)


def test_a_full_disk_is_an_error(batch):
    with (
        pytest.raises(SmdError, match="cannot be written: No space left"),
        appending(Path("/dev/full")) as put,
    ):
        put("{}")
