"""A render on the terminal: progress bars, then a table of where the time went."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Column, Table
from rich.text import Text

from smd_cli.cli.console import MessagePrinter, print_progress, rich_console
from smd_cli.cli.streams import visible_streams
from smd_cli.engine.events import (
    Advanced,
    Event,
    Finished,
    Listener,
    Noted,
    Phase,
    Printed,
    Reached,
    Started,
    StreamProgress,
    Warned,
)
from smd_cli.interrupts import last_words
from smd_cli.models.files import in_bytes
from smd_cli.visible import visible

if TYPE_CHECKING:
    from smd_cli.app.reports import RenderReport, StreamReport

MIB = 2**20
BAR = 16  # columns
_HOUR = 3600  # seconds
SPEED_PERIOD = 600  # seconds of the past that the time remaining is estimated from; a step can take a minute


class _Time(ProgressColumn):
    """The time that remains; the time that has passed where that is not known, or nothing remains."""

    def render(self, task: Task) -> Text:
        """Render minutes and seconds."""
        if task.time_remaining and not task.finished:
            return Text(f"{minutes(task.time_remaining)} left", style="progress.remaining")
        passed = task.finished_time if task.finished else task.elapsed
        return Text(minutes(passed or 0), style="progress.elapsed")


class _Detail(ProgressColumn):
    """What is being done, in one line: the one column that gives way where a terminal is narrow."""

    def render(self, task: Task) -> Text:
        """Render the field `detail`, which holds other people's words."""
        return Text(task.fields["detail"], style="dim", no_wrap=True, overflow="ellipsis")


def minutes(seconds: float) -> str:
    """Write seconds as minutes and seconds, with hours where there are some."""
    whole = round(seconds)
    if whole >= _HOUR:
        return "{}:{:02}:{:02}".format(whole // _HOUR, *divmod(whole % _HOUR, 60))
    return "{}:{:02}".format(*divmod(whole, 60))


@contextmanager
def _bars(*columns: ProgressColumn, quiet: bool) -> Iterator[Progress]:
    """Give bars, which are drawn where someone can see them; whatever ends the block, they are gone then."""
    console = rich_console()
    bars = Progress(
        *columns,
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),  # a path is no result on stderr
        speed_estimate_period=SPEED_PERIOD,
    )
    with last_words(lambda _: bars.stop()), bars:
        yield bars


@contextmanager
def show_progress(messages: MessagePrinter) -> Iterator[Listener]:
    """Give a listener that draws bars on stderr and prints messages above them.

    Off a terminal, or when quiet, it draws nothing.
    """
    with bars_of(quiet=messages.quiet) as bars:
        yield _Bars(bars, messages)


def detailed_columns() -> tuple[ProgressColumn, ...]:
    """Return the columns of bars with details, of which these alone give way in a narrow terminal."""
    return (
        TextColumn("{task.description:8}"),
        BarColumn(BAR, table_column=Column(no_wrap=True)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        _Time(table_column=Column(no_wrap=True)),
        _Detail(),
    )


@contextmanager
def bars_of(*, quiet: bool) -> Iterator[Progress]:
    """Give bars with a name, how far, a time, and a detail; off a terminal, or when quiet, none is drawn."""
    # While bars are drawn, Rich stands in for the streams, to print above them.
    with _bars(*detailed_columns(), quiet=quiet) as bars, visible_streams():
        yield bars


class _Bars:
    """A listener that draws a bar for each phase, and one for a stream's frames."""

    def __init__(self, bars: Progress, messages: MessagePrinter) -> None:
        self.bars = bars
        self.messages = messages
        self._phases: dict[Phase, TaskID] = {}
        self._frames: TaskID | None = None

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        match event:
            case Started(phase, total) if phase in self._phases:
                self.bars.reset(self._phases[phase], total=total)
            case Started(phase, total):
                self._phases[phase] = self.bars.add_task(phase, total=total, detail="")
            case Advanced(phase):
                self.bars.advance(self._phases[phase])
            case Reached(phase, done, total):
                self.bars.update(self._phases[phase], completed=done, total=total)
            case Finished(phase):
                whole = self._total(phase) or 1
                self.bars.update(self._phases[phase], completed=whole, total=whole)
            case StreamProgress():
                self._show_stream(event)
            case Noted() | Warned() | Printed():
                self.messages(event)

    def _total(self, phase: Phase) -> float | None:
        return self.bars.tasks[self._phases[phase]].total

    def _show_stream(self, progress: StreamProgress) -> None:
        if self._frames is None:
            for task in self._phases.values():  # loading is over
                self.bars.update(task, visible=False)
            self._frames = self.bars.add_task("frames", total=progress.total, detail="")
        waiting = "/".join(map(str, progress.queues.values()))
        skipped = f", {progress.skipped} skipped" if progress.skipped else ""
        rate = f"{progress.frames_per_second:.1f}/s, {progress.latency:.1f} s each{skipped}"
        self.bars.update(self._frames, completed=progress.frames, detail=f"{rate}, {waiting} waiting")


@contextmanager
def show_count(total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Give a function to call after each picture of a benchmark; it draws a bar where someone can see it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Time())
    with _bars(*columns, quiet=quiet) as bars, visible_streams():
        task = bars.add_task("pictures", total=total)
        yield lambda: bars.advance(task)


@contextmanager
def show_downloads(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give a function to call with a file's name, its bytes that are there, and all of them.

    It draws a bar for each file where someone can see it, and prints a line as each begins elsewhere.
    """
    columns = (TextColumn("{task.description}", markup=False), BarColumn(BAR), DownloadColumn(), _Time())
    tasks: dict[str, TaskID] = {}
    with _bars(*columns, quiet=quiet) as bars, visible_streams():

        def fetched(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(visible(name), total=total)
                if bars.disable and not quiet:
                    print_progress(f"{name}: {in_bytes(total)}")
            bars.update(tasks[name], completed=done)

        yield fetched


def print_render_report(report: RenderReport) -> None:
    """Print a report's timing, work and memory as a table on stderr."""
    pictures = len(report.outputs)
    evaluations, everything = report.work["model_evaluations"], report.work["without_savings"]
    a_step = ""
    if report.steps:
        a_step = f"{report.timing['denoise_s'] / (report.steps * pictures):.3f} a step; "
    notes = {
        "load": _place(report.device),
        "denoise": f"{a_step}{evaluations} evaluations, {everything} without savings",
        "save": "1 picture" if pictures == 1 else f"{pictures} pictures",
        "total": f"peak memory {report.device['peak_memory_bytes'] / MIB:.0f} MiB",
    }
    _print_times(report.timing, notes)


def print_stream_report(report: StreamReport) -> None:
    """Print what a stream did as a table on stderr."""
    progress, work = report.progress, report.work
    notes = {
        "load": _place(report.device),
        "denoise": f"{work['model_evaluations']} evaluations, {work['without_savings']} without savings",
        "save": f"{progress.frames} frames, {progress.skipped} skipped",
        "total": f"{progress.frames_per_second:.2f} frames a second, {progress.latency:.2f} s on the way; "
        f"peak memory {report.device['peak_memory_bytes'] / MIB:.0f} MiB",
    }
    _print_times(report.timing, notes)
    rich_console().print("phases overlap: read to save work at the same time, on other frames", style="dim")


def _place(device: Mapping[str, Any]) -> str:
    """Name a device, and what is not usual of how the model lies there."""
    memory = f", memory {device['memory']}" * (device["memory"] != "high")
    weights = f", weights {device['weights']}" * (device["weights"] != "full")
    return f"{device['name']}, {device['dtype']}{memory}{weights}"


def _print_times(timing: dict[str, float], notes: dict[str, str]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("phase")
    table.add_column("seconds", justify="right")
    table.add_column("details", style="dim")
    for name, seconds in timing.items():
        phase = name.removesuffix("_s")
        table.add_row(phase, f"{seconds:.2f}", notes.get(phase, ""))
    rich_console().print(table)
