"""A render on the terminal: a progress bar for each phase, then a table of where the time went."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from smd_cli.cli.console import Messages, rich_console
from smd_cli.engine.events import Advanced, Event, Finished, Listener, Phase, Started

if TYPE_CHECKING:
    from smd_cli.cli.rendering import Report
    from smd_cli.cli.streaming import Progress as StreamProgress
    from smd_cli.cli.streaming import StreamReport

MIB = 2**20


class _Warnings(logging.Handler):
    """Says what the packages warn of as the commands say warnings."""

    def __init__(self, messages: Messages) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._said:  # a stream meets the same again and again
            self._said.add(text)
            self.messages.warnings([text])


def hear_warnings(messages: Messages) -> None:
    """Pass on the warnings that a render logs, such as words that a prompt is too long for."""
    log = logging.getLogger("smd_cli")
    log.handlers[:] = [_Warnings(messages)]
    log.propagate = False


@contextmanager
def watch(*, quiet: bool) -> Iterator[Listener]:
    """Give a listener that draws bars on stderr; off a terminal, or when quiet, it draws nothing."""
    console = rich_console()
    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as bars:
        tasks: dict[Phase, TaskID] = {}

        def listener(event: Event) -> None:
            match event:
                case Started(phase, total) if phase in tasks:
                    bars.reset(tasks[phase], total=total)
                case Started(phase, total):
                    tasks[phase] = bars.add_task(phase, total=total)
                case Advanced(phase):
                    bars.advance(tasks[phase])
                case Finished(phase):
                    bars.update(tasks[phase], completed=bars.tasks[tasks[phase]].total)

        yield listener


def show_timing(report: Report) -> None:
    """Show a report's timing, work and memory as a table on stderr."""
    pictures = len(report.outputs)
    evaluations, everything = report.work["model_evaluations"], report.work["without_savings"]
    denoise = report.timing["denoise_s"] / (report.steps * pictures)
    notes = {
        "load": f"{report.device['name']}, {report.device['dtype']}",
        "denoise": f"{denoise:.3f} a step; {evaluations} evaluations, {everything} without savings",
        "save": "1 picture" if pictures == 1 else f"{pictures} pictures",
        "total": f"peak memory {report.device['peak_memory_bytes'] / MIB:.0f} MiB",
    }
    _show_times(report.timing, notes)


@contextmanager
def watch_stream(frames: int | None, *, quiet: bool) -> Iterator[Callable[[StreamProgress], None]]:
    """Give a function that draws on stderr how a stream goes; off a terminal, or when quiet, nothing."""
    console = rich_console()
    columns = (
        TextColumn("frames"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", style="cyan"),
        TextColumn("{task.fields[queues]}", style="dim"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as bars:
        task = bars.add_task("frames", total=frames, rate="", queues="")

        def watch(progress: StreamProgress) -> None:
            waiting = ", ".join(f"{count} {name}" for name, count in progress.queues.items())
            skipped = f", {progress.skipped} skipped" if progress.skipped else ""
            rate = f"{progress.frames_per_second:.1f}/s, {progress.latency:.2f} s a frame{skipped}"
            bars.update(task, completed=progress.frames, rate=rate, queues=f"waiting: {waiting}")

        yield watch


def show_stream(report: StreamReport) -> None:
    """Show what a stream did as a table on stderr."""
    progress, work = report.progress, report.work
    notes = {
        "load": f"{report.device['name']}, {report.device['dtype']}",
        "denoise": f"{work['model_evaluations']} evaluations, {work['without_savings']} without savings",
        "save": f"{progress.frames} frames, {progress.skipped} skipped",
        "total": f"{progress.frames_per_second:.2f} frames a second, {progress.latency:.2f} s on the way; "
        f"peak memory {report.device['peak_memory_bytes'] / MIB:.0f} MiB",
    }
    _show_times(report.timing, notes)


def _show_times(timing: dict[str, float], notes: dict[str, str]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("phase")
    table.add_column("seconds", justify="right")
    table.add_column("", style="dim")
    for name, seconds in timing.items():
        phase = name.removesuffix("_s")
        table.add_row(phase, f"{seconds:.2f}", notes.get(phase, ""))
    rich_console().print(table)
