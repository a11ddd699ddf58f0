"""A batch on the terminal: a bar for its jobs, and one for the job that each worker is at."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.progress import Progress, Task, TaskID

from smd_cli.cli.console import MessagePrinter, print_progress
from smd_cli.cli.progress import bars_of, minutes
from smd_cli.engine.events import (
    Advanced,
    Event,
    Finished,
    JobEnded,
    JobStarted,
    Listener,
    OfWorker,
    Phase,
    Reached,
    Started,
    StreamProgress,
)

EVERY = 30.0
"""Seconds between two lines where no bars are drawn."""
_SHARE = 0.95  # of a job that denoising is counted as: one that is decoded and written has not ended


@contextmanager
def show_batch(messages: MessagePrinter, total: int, skipped: int) -> Iterator[Listener]:
    """Give a listener that shows how a batch of `total` jobs gets on, of which some are skipped already.

    On a terminal it draws bars, elsewhere it prints a line now and then; when quiet, it shows nothing.
    """
    with bars_of(quiet=messages.quiet) as bars:
        counts = BatchCounts(total, skipped)
        shown: Callable[[Event], None]
        if bars.disable and not messages.quiet:
            shown = BatchLines(counts, print_progress)
        else:
            shown = BatchBars(counts, bars)

        def listener(event: Event) -> None:
            messages(event)
            shown(event)

        yield listener


@dataclass
class BatchCounts:
    """How many jobs have ended.

    Attributes:
        total: jobs, with those that are not to run.
        before: how many of them are not to run: they are skipped from the beginning.
        statuses: how many have ended how.
    """

    total: int
    before: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Count what is skipped from the beginning."""
        self.statuses["skipped"] += self.before

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.statuses.total()

    def add(self, event: JobEnded) -> None:
        """Count a job."""
        self.statuses[event.status] += 1

    def unusual(self) -> list[str]:
        """Tell how many were skipped and have failed, if any."""
        return [
            f"{self.statuses[status]} {status}" for status in ("skipped", "failed") if self.statuses[status]
        ]


class BatchLines:
    """A listener that prints a line now and then, for logs."""

    def __init__(
        self, counts: BatchCounts, put: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._counts = counts
        self._put = put
        self._clock = clock
        self._began = self._last = clock()

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        if not isinstance(event, JobEnded):
            return
        counts, now = self._counts, self._clock()
        counts.add(event)
        if now - self._last < EVERY or counts.ended == counts.total:
            return
        self._last = now
        left = (now - self._began) / (counts.ended - counts.before) * (counts.total - counts.ended)
        parts = [f"{counts.ended} of {counts.total} jobs", *counts.unusual(), f"{minutes(left)} left"]
        self._put(", ".join(parts))


class BatchBars:
    """A listener that draws the bars."""

    def __init__(self, counts: BatchCounts, bars: Progress) -> None:
        self._counts = counts
        self._bars = bars
        self._jobs = bars.add_task("jobs", total=counts.total, completed=counts.ended, detail="")
        self._workers: dict[int, _JobBar] = {}
        self._show_jobs()

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        match event:
            case JobEnded(job):
                self._counts.add(event)
                for worker in self._workers.values():
                    if worker.job == job:
                        worker.end()
            case OfWorker(worker, of_job):
                self._worker(worker, f"worker {worker}").show(of_job)
            case _:
                self._worker(0, "job").show(event)
        self._show_jobs()

    def _worker(self, number: int, name: str) -> _JobBar:
        if number not in self._workers:
            task = self._bars.add_task(name, total=1, detail="")
            self._workers[number] = _JobBar(self._bars, task)
        return self._workers[number]

    def _show_jobs(self) -> None:
        begun = sum(worker.share for worker in self._workers.values())
        done = min(self._counts.ended + begun, self._counts.total)
        self._bars.update(self._jobs, completed=done, detail=", ".join(self._counts.unusual()))


@dataclass
class _JobBar:
    """The bar of the job that a worker is at: the phase, and how far that is.

    Attributes:
        job: its number; 0: none so far.
        share: of the job that is done, as far as it can be told: 0 to 1.
    """

    bars: Progress
    task: TaskID
    job: int = 0
    share: float = 0.0
    _name: str = ""
    _phase: Phase | None = None

    def show(self, event: Event) -> None:
        """Show an event of the job."""
        match event:
            case JobStarted(job=job, name=name):
                self.job, self.share, self._name, self._phase = job, 0.0, name, None
                self.bars.reset(self.task, total=1, detail=name)
            case Started(phase, total):
                self._phase = phase
                self.bars.reset(self.task, total=total or 1, detail=f"{phase}: {self._name}")
            case Advanced(phase) if phase == self._phase:
                self.bars.advance(self.task)
                if phase == "denoise":
                    self._set_share()
            case Reached(phase, done, total) if phase == self._phase:
                self.bars.update(self.task, completed=done, total=total)
            case Finished(phase) if phase == self._phase:
                self.bars.update(self.task, completed=self._shown.total)
            case StreamProgress(frames=frames, total=total):
                self._phase = None  # they overlap
                rate = f"{event.frames_per_second:.1f} frames/s"
                self.bars.update(self.task, completed=frames, total=total, detail=f"{rate}: {self._name}")
                self._set_share()

    def end(self) -> None:
        """Show that the job has ended."""
        self.share, self.job = 0.0, 0

    def _set_share(self) -> None:
        shown = self._shown
        self.share = _SHARE * shown.completed / shown.total if shown.total else 0.0

    @property
    def _shown(self) -> Task:
        return next(task for task in self.bars.tasks if task.id == self.task)
