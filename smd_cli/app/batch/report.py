"""The report of a batch as it goes: a line of JSON when it begins, when a job ends, and at the end.

Each line is written at once and whole, so that another program can follow it, and a batch that is killed
leaves whole lines. Knows no torch.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from smd_cli import __version__
from smd_cli.app.apart import Inputs
from smd_cli.app.batch.jobs import Job, Outcome
from smd_cli.app.batch.outputs import Outputs
from smd_cli.app.batch.planning import Batch
from smd_cli.errors import SmdError, UsageError
from smd_cli.interrupts import finishing, last_words
from smd_cli.media.files import Existing, check_target, report_write_errors
from smd_cli.messages import Message, Place
from smd_cli.regular_files import open_regular

VERSION = 1
STDOUT = "-"
Put = Callable[[str], object]
_BEGINNING = b'{"event": "batch", "report": '  # of the first line


@dataclass
class BatchReport:
    """The lines of a batch's report; `put` takes each, without a line feed."""

    batch: Batch
    put: Put
    _jobs: dict[int, Job] = field(init=False)
    _statuses: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Find jobs by their numbers."""
        self._jobs = {job.number: job for job in (*self.batch.jobs, *self.batch.left)}

    def begin(self) -> None:
        """Tell what the batch is, and which jobs have their files already. Raises as `put`."""
        sources = dict.fromkeys(job.scene.locate().source for job in _in_order(self._jobs))
        self._tell(
            "batch",
            report=VERSION,
            smd=__version__,
            began=datetime.now(UTC).isoformat(timespec="seconds"),
            scenes=list(sources),
            jobs=len(self._jobs),
        )
        for outcome in self.batch.skipped:
            self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """Tell what has become of a job. Raises as `put`."""
        self._statuses[outcome.status] += 1
        self._tell("job", **job_facts(self._jobs[outcome.job], outcome))

    def end(self, seconds: float, problems: Sequence[Message] = ()) -> None:
        """Tell the totals, and what ended the batch before all jobs were done. Raises as `put`."""
        counts = {status: self._statuses[status] for status in ("written", "skipped", "failed")}
        self._tell(
            "end",
            **counts,
            not_made=len(self._jobs) - sum(counts.values()),
            seconds=round(seconds, 3),
            problems=[problem.to_dict() for problem in problems],
        )

    def _tell(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - any JSON value
        self.put(json.dumps({"event": event, **facts}))


@contextmanager
def reporting(batch: Batch, put: Put) -> Iterator[BatchReport]:
    """Give the report of a batch that runs in a block; however that ends, the totals are told."""
    report, began = BatchReport(batch, put), time.perf_counter()
    report.begin()

    def end(*problems: Message) -> None:
        report.end(time.perf_counter() - began, problems)

    with last_words(lambda word: end(Message(word))):
        try:
            yield report
        except SmdError as error:
            end(*error.problems)
            raise
    end()


def job_facts(job: Job, outcome: Outcome) -> dict[str, Any]:
    """Return what machines are told of a job that has ended."""
    output = outcome.output
    return {
        "job": job.number,
        "scene": job.scene.locate().source,
        "task": job.scene.plan.task,
        "seed": job.seed,
        "point": dict(job.values),
        "status": outcome.status,
        "path": job.target,
        "sha256": (output and output.sha256) or None,
        "pixels_sha256": output.pixels_sha256 if output else None,
        "recipe_sha256": outcome.recipe,
        "seconds": round(outcome.timing.get("total_s", 0.0), 3),
        "model_evaluations": outcome.work.get("model_evaluations", 0),
        "device": outcome.device.get("name"),
        "attempts": outcome.attempts,
        "problems": [problem.to_dict() for problem in outcome.problems],
    }


def failure_facts(job: Job, outcome: Outcome) -> dict[str, Any]:
    """Return what machines are told of a job that has failed, beside those that have files."""
    told = ("job", "scene", "seed", "point", "path", "attempts", "problems")
    return {key: value for key, value in job_facts(job, outcome).items() if key in told}


def check_report(path: Path, batch: Batch) -> None:
    """Check, before any work, that a report can be written; an earlier one is replaced.

    Raises UsageError: it cannot; or another file lies there, or is to lie there.
    """
    place = Place.of_file(path, "--report")
    if path.is_file() and not _is_report(path):
        raise UsageError(place.says("exists, and is no report of smd's; give another name"))
    check_target(path, Existing.OVERWRITE)
    if job := Outputs((*batch.jobs, *batch.left)).at(path):
        raise UsageError(place.says(f"lies where {job.name} is to lie; give another name"))
    Inputs(batch.scenes).check_apart(path, "--report")


@contextmanager
def appending(path: Path) -> Iterator[Put]:
    """Begin a file anew, and give what writes a line to it: all of it, or an SmdError."""
    with report_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)

    def put(line: str) -> None:
        rest = f"{line}\n".encode()
        with finishing(), report_write_errors(path):
            while rest:
                rest = rest[os.write(file, rest) :]

    try:
        yield put
    finally:
        os.close(file)


def _is_report(path: Path) -> bool:
    """Tell whether a file begins as reports do, or is empty."""
    with suppress(OSError), open_regular(path) as file:
        return file.read(len(_BEGINNING)) in (_BEGINNING, b"")
    return False


def _in_order(jobs: dict[int, Job]) -> list[Job]:
    return [jobs[number] for number in sorted(jobs)]
