"""What is drawn while something runs, and the tables after it."""

import pytest
from rich.console import Console
from rich.progress import Progress

import smd_cli
from smd_cli.cli.batch_bars import BatchBars, BatchCounts, BatchLines, show_batch
from smd_cli.cli.console import MessagePrinter
from smd_cli.cli.document import Document
from smd_cli.cli.progress import _Bars, _Time, detailed_columns, minutes
from smd_cli.engine.events import (
    Advanced,
    Finished,
    JobEnded,
    JobStarted,
    OfWorker,
    Reached,
    Started,
    StreamProgress,
    Warned,
)
from smd_cli.models.loading import load
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


@pytest.mark.parametrize("width", [60, 80, 300])
def test_in_a_narrow_terminal_the_detail_gives_way_and_nothing_else(width):
    now = 0.0
    bars = Progress(*detailed_columns(), disable=True, get_time=lambda: now)
    detail = "denoise: [red], seed 0, model=./models/of_a_long_name,sampler.kind=euler"
    jobs, job = bars.add_task("jobs", total=4, detail=detail), bars.add_task("job", total=50, detail=detail)
    for step in (1, 2, 3):
        now += 30
        bars.update(jobs, completed=step)
    bars.update(job, completed=20)
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(bars.get_renderable())
    first, second = captured.get().splitlines()
    assert " 3/4   0:30 left denoise: [red]" in first
    assert " 20/50 1:30      denoise: [red]" in second
    assert [detail in line for line in (first, second)] == [width == 300] * 2


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


@pytest.fixture
def batch() -> Shown:
    shown = Shown()
    shown.bars.speed_estimate_period = 600
    shown.tell = BatchBars(BatchCounts(7, 2), shown.bars)
    return shown


def denoise(shown: Shown, steps: int, wrap=lambda event: event) -> None:
    shown.tell(wrap(Started("denoise", 4)))
    for _ in range(steps):
        shown.now += 15
        shown.tell(wrap(Advanced("denoise")))


def test_jobs_are_counted_with_the_time_that_all_of_them_take(batch):
    batch.tell(JobStarted(8, 1, 5, "day, seed 1"))
    denoise(batch, 4)
    assert int(batch.lines()["jobs"][0]) == 2  # it is not written yet
    batch.tell(Finished("denoise", 60.0))
    batch.tell(JobEnded(8, "written"))
    batch.tell(JobStarted(9, 2, 5, "day, seed 2"))
    denoise(batch, 2)
    lines = batch.lines()
    assert lines["jobs"][:2] == (pytest.approx(3.475), 7)
    assert lines["jobs"][2:] == ("3:34 left", "2 skipped")
    assert lines["job"] == (2, 4, "0:30 left", "denoise: day, seed 2")
    batch.tell(JobEnded(9, "failed"))
    assert (batch.lines()["jobs"][0], batch.lines()["jobs"][3]) == (4, "2 skipped, 1 failed")


def test_each_worker_has_a_bar(batch):
    for worker in (1, 2):
        batch.tell(OfWorker(worker, JobStarted(worker, worker, 5, f"day, seed {worker}")))
        denoise(batch, 2 * worker, lambda event, worker=worker: OfWorker(worker, event))
    lines = batch.lines()
    assert list(lines) == ["jobs", "worker 1", "worker 2"]
    assert lines["worker 1"][:2] == (2, 4)
    assert lines["worker 2"][3] == "denoise: day, seed 2"
    assert lines["jobs"][0] == pytest.approx(2 + 0.95 * 1.5)
    batch.tell(JobEnded(2, "written"))
    assert batch.lines()["jobs"][0] == pytest.approx(3 + 0.95 * 0.5)


def test_a_stream_of_a_batch_counts_its_frames(batch):
    batch.tell(JobStarted(1, 1, 5, "film, seed 1"))
    batch.tell(StreamProgress(frames=5, total=10, seconds=2.5))
    assert batch.lines()["job"][0:2] == (5, 10)
    assert batch.lines()["job"][3] == "2.0 frames/s: film, seed 1"
    assert batch.lines()["jobs"][0] == pytest.approx(2.475)


def test_off_a_terminal_a_line_is_printed_now_and_then():
    lines, now = [], [0.0]
    tell = BatchLines(BatchCounts(203, 3), lines.append, lambda: now[0])
    for job in range(200):
        now[0] += 10
        tell(JobEnded(job, "failed" if job == 4 else "written"))
    assert lines[0] == "6 of 203 jobs, 3 skipped, 32:50 left"
    assert lines[1] == "9 of 203 jobs, 3 skipped, 1 failed, 32:20 left"
    assert (len(lines), lines[-1]) == (66, "201 of 203 jobs, 3 skipped, 1 failed, 0:20 left")


def test_hours_are_written_as_such():
    assert [minutes(seconds) for seconds in (59.6, 3599, 3600, 7325)] == [
        "1:00",
        "59:59",
        "1:00:00",
        "2:02:05",
    ]


def test_frames_of_a_stream_say_when_they_are_done(shown):
    shown.tell(StreamProgress(frames=0, total=10))
    for frames in (1, 2, 3):
        shown.now += 20
        shown.tell(StreamProgress(frames=frames, total=10, seconds=shown.now))
    completed, total, time, _ = shown.lines()["frames"]
    assert (completed, total, time) == (3, 10, "2:20 left")


def test_the_events_of_a_run_load_tensor_by_tensor(monkeypatch):
    monkeypatch.setattr("smd_cli.app.models.load", load)  # anew, whatever has been loaded before
    heard = []
    with smd_cli.Renderer(listener=heard.append) as renderer:
        renderer.render(smd_cli.load_scene(SCENE))
    reached = [event for event in heard if isinstance(event, Reached)]
    assert {event.phase for event in reached} == {"load"}
    assert len(reached) > 100
    done = [event.done for event in reached]
    assert done == sorted(done)
    assert {event.total for event in reached} == {done[-1]}


def test_a_run_says_which_job_it_is_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORCE_COLOR", "1")
    (tmp_path / "s.yaml").write_text(SCENE)
    done = smd("generate", "s.yaml", "--seed", "1", "--seed", "2")
    assert done.exit_code == 0
    assert "denoise: s, seed 1" in done.stderr


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


def test_names_in_brackets_are_drawn_as_they_are(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with show_batch(MessagePrinter(document=Document()), 2, 0) as tell:
        tell(JobStarted(1, 1, 2, "day, seed 1, regions[boy].prompt=[red]a cat[/red]"))
    assert "day, seed 1, regions[boy].prompt=[red]a cat[/red]" in capsys.readouterr().err
