"""Running a batch on the terminal: results as they come, what failed and why, and what it took in all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from smd_cli.cli import options
from smd_cli.cli.console import MessagePrinter, print_error, print_result
from smd_cli.cli.document import document
from smd_cli.engine.events import Listener, Noted, Warned
from smd_cli.errors import PartialError, SmdError, kind_of
from smd_cli.messages import Message, Place

if TYPE_CHECKING:
    from smd_cli.app.batch.jobs import Job, Outcome
    from smd_cli.app.batch.planning import Batch
    from smd_cli.app.batch.report import BatchReport
    from smd_cli.app.batch.request import Request
    from smd_cli.app.batch.run import Engine
    from smd_cli.app.batch.sheet import BatchSheet
    from smd_cli.app.reports import RenderReport

    MakeEngine = Callable[[Request, Listener], Engine]


@dataclass
class BatchRun:
    """A batch that is run: what has become of its jobs so far.

    Attributes:
        batch: its jobs.
        listener: hears notes.
        prints_paths: whether the path of each file goes to stdout as soon as it is there.
        report: is told of each job that ends.
        outcomes: of the jobs that have ended, in that order.
        seconds: since the beginning.
    """

    batch: Batch
    listener: Listener
    prints_paths: bool
    report: BatchReport | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    _jobs: dict[int, Job] = field(init=False)
    _told: set[tuple[Message, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Find jobs by their numbers."""
        self._jobs = {job.number: job for job in self.batch.jobs}

    def run(self, engine: Engine) -> None:
        """Run the jobs. Raises SmdError: what ends all of them; or there is one alone, and it failed."""
        began = time.perf_counter()
        try:
            for outcome in engine.run(self.batch.jobs):
                self.seconds = time.perf_counter() - began
                self.outcomes.append(outcome)
                if self.report:
                    self.report.add(outcome)
                self._tell(outcome)
        except SmdError:
            if (total := len(self._jobs)) > 1:
                things = _things(self._jobs.values())
                self.listener(Noted(f"{len(self.written)} of {total} {things} are written"))
            raise
        finally:
            self.seconds = time.perf_counter() - began

    @property
    def written(self) -> list[Outcome]:
        """The outcomes of files that were written."""
        return [outcome for outcome in self.outcomes if outcome.status == "written"]

    def job(self, outcome: Outcome) -> Job:
        """Return the job of an outcome."""
        return self._jobs[outcome.job]

    @property
    def failed(self) -> list[Outcome]:
        """The outcomes of jobs that failed."""
        return [outcome for outcome in self.outcomes if outcome.status == "failed"]

    def totals(self) -> RenderReport | None:
        """Return what the files took that were written; None: none was."""
        from smd_cli.app.reports import RenderReport

        if not (written := self.written):
            return None
        return RenderReport(
            outputs=tuple(outcome.output for outcome in written if outcome.output),
            timing={**_sums(outcome.timing for outcome in written), "total_s": self.seconds},
            work={name: int(count) for name, count in _sums(outcome.work for outcome in written).items()},
            device=written[-1].device,
            steps=written[-1].steps if len({outcome.steps for outcome in written}) == 1 else 0,
        )

    def check_whole(self) -> None:
        """Raise PartialError where some of several jobs failed; where all did, what the first is like."""
        if not self.failed:
            return
        count, total, things = len(self.failed), len(self._jobs), _things(self._jobs.values())
        if count < total:
            left = total - len(self.outcomes)
            rest = f"; {left} were not made" if left else "; the others are written"
            raise PartialError(f"{count} of {total} {things} failed{rest}")
        raise _error_of(self.failed[0], f"all {total} {things} failed")

    def _tell(self, outcome: Outcome) -> None:
        if outcome.status == "failed":
            self._tell_failure(outcome)
        elif outcome.output and outcome.status == "skipped":
            self.listener(Noted(f"{outcome.output.path}: exists, skipped"))
            document().append("skipped", asdict(outcome.output))
        elif outcome.output:
            document().append("outputs", asdict(outcome.output))
            if self.prints_paths:
                print_result(outcome.output.path)
        warn_of_other_pixels(self.batch, outcome, self.listener)

    def _tell_failure(self, outcome: Outcome) -> None:
        """Print why a job failed: once, of several that fail alike."""
        from smd_cli.app.batch.report import failure_facts

        job = self._jobs[outcome.job]
        document().append("failed", failure_facts(job, outcome))
        if len(self._jobs) == 1:
            raise _error_of(outcome, *outcome.problems)
        if outcome.problems in self._told:
            return
        self._told.add(outcome.problems)
        failure = _error_of(outcome, *(_of_job(problem, job) for problem in outcome.problems))
        print_error(failure)
        document().problems += failure.problems


def warn_of_other_pixels(batch: Batch, outcome: Outcome, listener: Listener) -> None:
    """Warn where a file shows other pixels than the lock holds, if there is a lock."""
    held = batch.held.get(outcome.job)
    if held and outcome.output and (message := held.other_pixels(outcome.output)):
        listener(Warned(message))


def _error_of(outcome: Outcome, *lines: str) -> SmdError:
    """Return lines as an error of the kind that ended a job."""
    return kind_of(outcome.exit_code)(*lines)


def _of_job(problem: Message, job: Job) -> Message:
    """Return a problem with the file that it is of."""
    what = ", ".join(filter(None, (f"seed {job.seed}", job.point)))
    return Place.of_file(job.target).says(f"{what}: {problem.removeprefix(f'{job.target}: ')}")


def _things(jobs: Iterable[Job]) -> str:
    kinds = {job.scene.plan.task == "stream" for job in jobs}
    return "pictures" if kinds == {False} else "streams" if kinds == {True} else "pictures and streams"


def _sums(tables: Iterable[dict[str, float]] | Iterable[dict[str, int]]) -> dict[str, float]:
    """Add up values by their names."""
    sums: dict[str, float] = {}
    for table in tables:
        for name, value in table.items():
            sums[name] = sums.get(name, 0) + value
    return sums


@dataclass(frozen=True)
class Beside:
    """What a batch leaves beside its files: a contact sheet, and a report (`-`: on stdout)."""

    sheet: BatchSheet | None = None
    report: Path | None = None

    @property
    def is_result(self) -> bool:
        """Tell whether the report is what the command prints as its result."""
        return str(self.report) == "-"


def run_batch(
    batch: Batch,
    request: Request,
    reporting: options.Reporting,
    beside: Beside | None = None,
    make_engine: MakeEngine | None = None,
) -> None:
    """Run the jobs of a batch, showing how it goes, and tell what they took: with `beside`, scene by scene.

    They are run in this process, unless another engine is made for them.

    Raises SmdError: what ended all of them; PartialError: some failed, as has been told.
    """
    extra, messages = beside or Beside(), reporting.messages()
    for outcome in batch.skipped:
        if outcome.output:
            document().append("skipped", asdict(outcome.output))
        warn_of_other_pixels(batch, outcome, messages)
    with _report(extra, batch) as report:
        run = BatchRun(batch, messages, not (reporting.json or extra.is_result), report)
        if batch.jobs:
            _run(run, request, messages, make_engine)
    if totals := run.totals():
        document().add(**totals.to_dict())
    if not reporting.quiet:
        _print_tables(run, by_scene=beside is not None)
    if extra.sheet:
        _draw_sheet(extra.sheet, run, messages)
    run.check_whole()


def _run(run: BatchRun, request: Request, messages: MessagePrinter, make_engine: MakeEngine | None) -> None:
    from smd_cli.app.batch.run import LocalEngine
    from smd_cli.cli.batch_bars import show_batch
    from smd_cli.cli.progress import show_progress

    total = len(run.batch.jobs)
    skipped = len(run.batch.skipped)
    alone = total == 1 and make_engine is None
    shown = show_progress(messages) if alone else show_batch(messages, total + skipped, skipped)
    with shown as listener:
        run.run((make_engine or LocalEngine)(request, listener))


@contextmanager
def _report(beside: Beside, batch: Batch) -> Iterator[BatchReport | None]:
    """Give the report of a batch, if there is to be one."""
    if beside.report is None:
        yield None
        return
    from smd_cli.app.batch.report import appending, reporting

    lines = nullcontext(print_result) if beside.is_result else appending(beside.report)
    with lines as put, reporting(batch, put) as report:
        yield report


def _print_tables(run: BatchRun, *, by_scene: bool) -> None:
    from smd_cli.cli.batch_tables import print_batch, print_failures
    from smd_cli.cli.progress import print_render_report

    if by_scene:
        print_batch(run)
        print_failures(run)
    elif totals := run.totals():
        print_render_report(totals)


def _draw_sheet(sheet: BatchSheet, run: BatchRun, messages: MessagePrinter) -> None:
    """Write the contact sheet. Raises SmdError."""
    pages = sheet.write([*run.batch.skipped, *run.outcomes])
    document().add(sheet=[str(page) for page in pages])
    for page in pages:
        messages(Noted(f"{page}: contact sheet"))
