"""What is drawn while something runs, and the tables after it."""

import pytest
from rich.progress import Progress

import smd_cli
from smd_cli.cli.console import MessagePrinter
from smd_cli.cli.document import Document
from smd_cli.cli.progress import _Bars, _Time
from smd_cli.engine.events import (
    Advanced,
    Finished,
    JobStarted,
    Reached,
    Started,
    StreamProgress,
    Warned,
)
from tests.cli.program import smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
background: {prompt: grass}
"""


class Shown:
    """Bars whose clock is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.bars = Progress(disable=True, get_time=lambda: self.now)
        self.tell = _Bars(self.bars, MessagePrinter(quiet=True, document=Document()))

    def lines(self) -> dict[str, tuple]:
        """How far each bar is, of how much, its time, and what stands beside it."""
        return {
            task.description: (
                task.completed,
                task.total,
                str(_Time().render(task)),
                task.fields["detail"],
            )
            for task in self.bars.tasks
        }


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_loading_moves_and_its_length_is_told_later(shown):
    shown.tell(Started("load", None))
    shown.now = 3
    assert shown.lines()["load"][:3] == (0, None, "0:03")
    shown.tell(Reached("load", 10, 40))
    shown.now = 4
    shown.tell(Reached("load", 20, 40))
    assert shown.lines()["load"] == (20, 40, "0:02 left", "")
    shown.tell(Finished("load", 4.0))
    assert shown.lines()["load"] == (40, 40, "0:04", "")


def test_pictures_are_counted_with_the_time_that_all_of_them_take(shown):
    for number in (1, 2):
        shown.tell(JobStarted(number, number, 5, "day"))
        shown.tell(Started("denoise", 4))
        for _ in range(4 if number == 1 else 2):
            shown.now += 15
            shown.tell(Advanced("denoise"))
        if number == 1:
            shown.tell(Finished("denoise", 60.0))
    lines = shown.lines()
    assert lines["pictures"] == (1.5, 5, "3:30 left", "picture 2 of 5")
    assert lines["denoise"] == (2, 4, "0:30 left", "")


def test_a_single_picture_is_not_counted(shown):
    shown.tell(JobStarted(1, 1, 1, "day"))
    assert shown.lines() == {}


def test_frames_of_a_stream_say_when_they_are_done(shown):
    shown.tell(StreamProgress(frames=0, total=10))
    for frames in (1, 2, 3):
        shown.now += 20
        shown.tell(StreamProgress(frames=frames, total=10, seconds=shown.now))
    completed, total, time, _ = shown.lines()["frames"]
    assert (completed, total, time) == (3, 10, "2:20 left")


def test_the_events_of_a_run_load_tensor_by_tensor():
    heard = []
    with smd_cli.Renderer(listener=heard.append) as renderer:
        renderer.render(smd_cli.load_scene(SCENE))
    reached = [event for event in heard if isinstance(event, Reached)]
    assert {event.phase for event in reached} == {"load"}
    assert len(reached) > 100
    done = [event.done for event in reached]
    assert done == sorted(done)
    assert {event.total for event in reached} == {done[-1]}


def test_a_run_says_which_picture_it_is_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORCE_COLOR", "1")
    (tmp_path / "s.yaml").write_text(SCENE)
    done = smd("generate", "s.yaml", "--seed", "1", "--seed", "2")
    assert done.exit_code == 0
    assert "picture 1 of 2" in done.stderr


def test_every_column_has_a_name_and_a_stream_says_that_its_phases_overlap(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    said = smd("generate", "s.yaml").stderr
    assert said.splitlines()[0].split() == ["phase", "seconds", "details"]
    assert "overlap" not in said
    said = smd("stream", "s.yaml", "--frames", "2").stderr
    assert said.splitlines()[0].split() == ["phase", "seconds", "details"]
    assert "phases overlap" in said


def test_a_message_is_printed_once_a_run(capsys):
    document = Document()
    for _ in range(3):
        MessagePrinter(document=document)(Warned("the autoencoder overflows"))
    assert capsys.readouterr().err.count("overflows") == 1
    assert len(document.to_dict()["warnings"]) == 1
