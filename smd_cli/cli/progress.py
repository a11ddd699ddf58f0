"""A render on the terminal: a progress bar for each phase, then a table of where the time went."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from smd_cli.cli.console import Messages, rich_console
from smd_cli.engine.events import Advanced, Event, Finished, Listener, Phase, Started

if TYPE_CHECKING:
    from smd_cli.cli.rendering import Report

MIB = 2**20


class _Warnings(logging.Handler):
    """Says what the packages warn of as the commands say warnings."""

    def __init__(self, messages: Messages) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.warnings([record.getMessage()])


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
    table = Table(box=None, pad_edge=False)
    table.add_column("phase")
    table.add_column("seconds", justify="right")
    table.add_column("", style="dim")
    pictures = len(report.outputs)
    evaluations, everything = report.work["model_evaluations"], report.work["without_savings"]
    denoise = report.timing["denoise_s"] / (report.steps * pictures)
    notes = {
        "load": f"{report.device['name']}, {report.device['dtype']}",
        "denoise": f"{denoise:.3f} a step; {evaluations} evaluations, {everything} without savings",
        "save": "1 picture" if pictures == 1 else f"{pictures} pictures",
        "total": f"peak memory {report.device['peak_memory_bytes'] / MIB:.0f} MiB",
    }
    for name, seconds in report.timing.items():
        phase = name.removesuffix("_s")
        table.add_row(phase, f"{seconds:.2f}", notes.get(phase, ""))
    rich_console().print(table)
