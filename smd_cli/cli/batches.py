"""Running a batch on the terminal: results as they come, what failed and why, and what it took in all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from smd_cli.cli import options
from smd_cli.cli.console import print_error, print_result
from smd_cli.cli.document import document
from smd_cli.engine.events import Listener, Noted, Warned
from smd_cli.errors import PartialError, SmdError, kind_of
from smd_cli.messages import Message, Place

if TYPE_CHECKING:
    from smd_cli.app.batch.jobs import Job, Outcome
    from smd_cli.app.batch.planning import Batch, Request
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
        outcomes: of the jobs that have ended, in that order.
        seconds: since the beginning.
    """

    batch: Batch
    listener: Listener
    prints_paths: bool
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

    @property
    def failed(self) -> list[Outcome]:
        """The outcomes of jobs that failed."""
        return [outcome for outcome in self.outcomes if outcome.status == "failed"]

    def report(self) -> RenderReport | None:
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
            document().add(skipped=[*document().parts["skipped"], asdict(outcome.output)])
        elif outcome.output:
            document().add(outputs=[*document().parts["outputs"], asdict(outcome.output)])
            if self.prints_paths:
                print_result(outcome.output.path)
        warn_of_other_pixels(self.batch, outcome, self.listener)

    def _tell_failure(self, outcome: Outcome) -> None:
        """Print why a job failed: once, of several that fail alike."""
        if len(self._jobs) == 1:
            raise _error_of(outcome, *outcome.problems)
        if outcome.problems in self._told:
            return
        self._told.add(outcome.problems)
        job = self._jobs[outcome.job]
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


def run_batch(
    batch: Batch,
    request: Request,
    reporting: options.Reporting,
    sheet: BatchSheet | None = None,
    make_engine: MakeEngine | None = None,
) -> None:
    """Run the jobs of a batch, showing how it goes, tell what they took, and draw its contact sheet.

    They are run in this process, unless another engine is made for them.

    Raises SmdError: what ended all of them; PartialError: some failed, as has been told.
    """
    for outcome in batch.skipped:
        if outcome.output:
            document().add(skipped=[*document().parts["skipped"], asdict(outcome.output)])
        warn_of_other_pixels(batch, outcome, reporting.messages())
    run = None
    if batch.jobs:
        run = _run(batch, request, reporting, make_engine)
    if sheet:
        pages = sheet.write([*batch.skipped, *(run.outcomes if run else ())])
        document().add(sheet=[str(page) for page in pages])
        messages = reporting.messages()
        for page in pages:
            messages(Noted(f"{page}: contact sheet"))
    if run:
        run.check_whole()


def _run(
    batch: Batch, request: Request, reporting: options.Reporting, make_engine: MakeEngine | None
) -> BatchRun:
    from smd_cli.app.batch.run import LocalEngine
    from smd_cli.cli.progress import print_render_report, show_progress

    with show_progress(reporting.messages()) as listener:
        run = BatchRun(batch, listener, prints_paths=not reporting.json)
        run.run((make_engine or LocalEngine)(request, listener))
    if report := run.report():
        document().add(**report.to_dict())
        if not reporting.quiet:
            print_render_report(report)
    return run
