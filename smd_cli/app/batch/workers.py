"""Running the jobs of a batch in several processes, each with a renderer. Knows no torch; they do.

How a worker gets on comes over a connection, whose end is how its death shows: what it told before is heard
first, so that no job ends twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

from smd_cli.app.batch.crew import Worker
from smd_cli.app.batch.jobs import Job, Outcome
from smd_cli.app.batch.perform import failed
from smd_cli.app.batch.queue import JobQueue
from smd_cli.app.batch.request import Request
from smd_cli.app.batch.worker import Ready, Setup
from smd_cli.app.captions import caption_jobs
from smd_cli.app.existing import again
from smd_cli.engine.events import (
    Event,
    JobEnded,
    JobStarted,
    Listener,
    Noted,
    OfWorker,
    Printed,
    Warned,
    ignore_events,
)
from smd_cli.errors import DeviceError, SmdError
from smd_cli.interrupts import last_words
from smd_cli.media.drafts import remove_leftovers
from smd_cli.media.files import Existing

ATTEMPTS = 2  # at a job of which a worker dies, and at starting a worker
PATIENCE = 12.0  # seconds that a worker has to end: it may have a file to make whole first
LAST_WORDS = 1.5  # seconds of them that are waited for where a signal ends this process


@dataclass(frozen=True)
class WorkerEngine:
    """Runs jobs in processes, one for each of the devices; the same one may be named several times."""

    request: Request
    devices: Sequence[str]
    listener: Listener = ignore_events

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run jobs (see `Engine`); with `fail_fast` a failure stops those that other workers are at."""
        captioned = caption_jobs(jobs, self.request.settings, self.listener)
        crew = _Crew(self.request, self.listener, JobQueue(captioned, fail_fast=self.request.fail_fast))
        with last_words(lambda _: crew.end(LAST_WORDS), takes_long=True):
            try:
                crew.start(self.devices[: len(jobs)])
                yield from crew.run()
            finally:
                crew.end(PATIENCE)
                crew.let_go()


class _Crew:
    """The workers of a batch, and its jobs."""

    def __init__(self, request: Request, listener: Listener, queue: JobQueue) -> None:
        self._request = request
        self._listener = listener
        self._queue = queue
        self._workers: list[Worker] = []
        self._attempts: Counter[int] = Counter()  # at jobs, by their numbers
        self._failed_starts: Counter[int] = Counter()  # one after the other, by the numbers of workers

    def start(self, devices: Sequence[str]) -> None:
        """Start a worker for each device. Raises DeviceError: the system has no room for so many."""
        for number, device in enumerate(devices, start=1):
            settings = replace(self._request.settings, device=device)
            self._workers.append(Worker.start(Setup(number, settings, self._request.hint, len(devices))))

    def run(self) -> Iterator[Outcome]:
        """Run the jobs (see `Engine`)."""
        while self._queue.ended < self._queue.total:
            for source, worker in self._speaking():
                if source is worker.output:
                    self._print(worker)
                    continue
                outcomes = [*self._hear(worker), *self._give_jobs(worker)]
                for outcome in outcomes:
                    self._listener(JobEnded(outcome.job, outcome.status))
                yield from outcomes
                if self._request.fail_fast and any(each.status == "failed" for each in outcomes):
                    return

    def _speaking(self) -> Iterator[tuple[Connection, Worker]]:
        """Wait until a worker reports, prints or ends; yield its connection or output."""
        workers = {source: worker for worker in self._workers for source in worker.sources}
        ready = set(wait(list(workers)))
        for source, worker in workers.items():
            if source in ready and not worker.is_over:
                yield source, worker

    def end(self, seconds: float) -> None:
        """End the workers, as soon as a file that one of them writes is whole; wait some seconds for that."""
        until = time.monotonic() + seconds
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(max(0, until - time.monotonic()))

    def let_go(self) -> None:
        """Kill workers that have not ended, and let go of all."""
        for worker in self._workers:
            worker.bury(0)
            worker.close()

    def _hear(self, worker: Worker) -> list[Outcome]:
        """Hear a worker's next report; return the outcomes that come of it. Raises what ends the batch."""
        try:
            report = worker.hear()
        except (EOFError, OSError):
            return self._replace(worker)
        if isinstance(report, Exception):
            raise report
        if isinstance(report, Ready):
            worker.is_ready = True
            self._failed_starts[worker.number] = 0
        elif isinstance(report, Outcome):
            worker.job = None
            return self._queue.end(replace(report, attempts=self._attempts[report.job]))
        elif isinstance(report, Noted | Warned):
            self._listener(report)
        else:
            self._listener(OfWorker(worker.number, report))
        return []

    def _print(self, worker: Worker) -> None:
        for line in worker.printed():
            self._listener(Printed(worker.number, line))

    def _give_jobs(self, first: Worker) -> list[Outcome]:
        """Give jobs to the workers that wait, first to one; return the outcomes of those that none takes."""
        outcomes = []
        for worker in (first, *(other for other in self._workers if other is not first)):
            last = worker.last
            while worker.is_free and (job := self._queue.take(worker.holding, last.scene if last else None)):
                outcomes += self._give(worker, job)
        return outcomes

    def _give(self, worker: Worker, job: Job) -> list[Outcome]:
        is_retry = self._attempts[job.number] > 0
        existing = _of_retry(self._request.existing) if is_retry else self._request.existing
        try:
            worker.give(job, existing)
        except Exception as error:  # whatever something in it raises
            problem = SmdError(f"the scene cannot be sent to a worker: {type(error).__name__}: {error}")
            return self._queue.end(failed(job, problem, attempts=self._attempts[job.number]))
        self._attempts[job.number] += 1
        total = self._queue.total
        self._tell(worker, JobStarted(job.number, len(self._attempts), total, job.name))
        return []

    def _tell(self, worker: Worker, event: Event) -> None:
        self._listener(OfWorker(worker.number, event))

    def _replace(self, worker: Worker) -> list[Outcome]:
        """Replace a worker that has died; return the outcome of a job of which two have.

        Raises DeviceError: workers die before they can begin.
        """
        how = worker.bury(PATIENCE)
        self._print(worker)
        worker.close()
        self._workers.remove(worker)
        if not worker.is_ready:
            self._failed_starts[worker.number] += 1
            if self._failed_starts[worker.number] >= ATTEMPTS:
                raise DeviceError(f"worker {worker.number} ended before it could begin ({how})")
        outcomes = self._end_or_put_back(worker.job, worker.number, how) if worker.job else []
        if self._queue.ended < self._queue.total:
            self._workers.append(Worker.start(worker.setup))
        return outcomes

    def _end_or_put_back(self, job: Job, worker: int, how: str) -> list[Outcome]:
        """Decide what becomes of the job of a worker that has died of it, or while at it."""
        for folder in {Path(job.target), Path(job.target).parent}:
            remove_leftovers(folder)
        attempts = self._attempts[job.number]
        if attempts >= ATTEMPTS:
            problem = SmdError(f"a second worker has died at it ({how})")
            return self._queue.end(failed(job, problem, attempts=attempts))
        self._queue.put_back(job)
        self._listener(Warned(f"{job.target}: worker {worker} has died ({how}); another one begins it again"))
        return []


def _of_retry(existing: Existing) -> Existing:
    """Return what is done about a file that the first attempt may have left whole."""
    return Existing.REPLACE_OWN if existing is Existing.FAIL else again(existing)
