"""Running the jobs of a batch, one after the other in this process, or by another engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from smd_cli.app.batch.jobs import Job, Outcome
from smd_cli.app.batch.perform import perform
from smd_cli.app.batch.queue import JobQueue
from smd_cli.app.batch.request import Request
from smd_cli.app.captions import caption_jobs
from smd_cli.app.renderer import Renderer
from smd_cli.engine.events import JobEnded, JobStarted, Listener, ignore_events


class Engine(Protocol):
    """Runs jobs."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run jobs; yield the outcome of each as it ends, one for each job that was begun.

        Raises SmdError: what ends all of them, such as a full disk or a device that is not there.
        """


@dataclass(frozen=True)
class LocalEngine:
    """Runs jobs in this process, those of one model after the other; `listener` hears of them."""

    request: Request
    listener: Listener = ignore_events

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run jobs (see `Engine`)."""
        request = self.request
        captioned = caption_jobs(jobs, request.settings, self.listener)
        queue = JobQueue(captioned, fail_fast=request.fail_fast)
        with Renderer.of(request.settings, self.listener) as renderer:
            for job in in_turn(queue, self.listener):
                for outcome in queue.end(perform(job, renderer, request.existing, hint=request.hint)):
                    self.listener(JobEnded(outcome.job, outcome.status))
                    yield outcome


def in_turn(queue: JobQueue, listener: Listener) -> Iterator[Job]:
    """Yield jobs as one renderer is best given them, and tell that each begins.

    Those of one model, and of one scene, follow each other; what is painted of a scene is let go of after its
    last job. A job has to end before the next one is asked for.
    """
    last: Job | None = None
    while job := queue.take(last.model_key if last else None, last.scene if last else None):
        if last is not None and last.scene is not job.scene:
            last.scene.release_images()
        last = job
        listener(JobStarted(job.number, queue.ended + 1, queue.total, job.name))
        yield job
