"""Which job comes next: those of one model together, and none that would fail as another did."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from smd_cli.app.batch.jobs import Job, ModelKey, Outcome
from smd_cli.app.batch.perform import ends_alike


class JobQueue:
    """The jobs of a batch, for one worker or several that each hold one model.

    Attributes:
        fail_fast: after a failure no further job is handed out.
        total: how many jobs there are.
        ended: how many of them have ended.
    """

    def __init__(self, jobs: Iterable[Job], *, fail_fast: bool = False) -> None:
        self.fail_fast = fail_fast
        self.ended = 0
        self._models: dict[ModelKey, deque[Job]] = {}
        for job in jobs:
            self._models.setdefault(job.model_key, deque()).append(job)
        self.total = sum(map(len, self._models.values()))
        self._begun: set[ModelKey] = set()
        self._running: dict[int, Job] = {}
        self._has_failed = False

    def take(self, holding: ModelKey | None = None) -> Job | None:
        """Return a job to begin, one of the model that the worker holds if there is one; None: there is none.

        A worker without one begins with a model that no other has, else with the one of the most jobs.
        """
        if self._has_failed and self.fail_fast:
            return None
        key = holding if holding in self._models else self._another_model()
        if key is None:
            return None
        waiting = self._models[key]
        job = waiting.popleft()
        if not waiting:
            del self._models[key]
        self._begun.add(key)
        self._running[job.number] = job
        return job

    def put_back(self, job: Job) -> None:
        """Take a job back, to be begun once more before others of its model."""
        del self._running[job.number]
        self._models.setdefault(job.model_key, deque()).appendleft(job)

    def end(self, outcome: Outcome) -> list[Outcome]:
        """Note that a job has ended; return its outcome, and those of jobs that would fail as it did."""
        job = self._running.pop(outcome.job)
        outcomes = [outcome]
        if outcome.status == "failed":
            self._has_failed = True
            if ends_alike(outcome) and not self.fail_fast:
                outcomes += self._drop(job, outcome)
        self.ended += len(outcomes)
        return outcomes

    def _another_model(self) -> ModelKey | None:
        fresh = [key for key in self._models if key not in self._begun]
        return fresh[0] if fresh else max(self._models, key=lambda key: len(self._models[key]), default=None)

    def _drop(self, job: Job, outcome: Outcome) -> list[Outcome]:
        """Take out the waiting jobs of a job's scene."""
        key = job.model_key
        waiting = self._models.pop(key, deque())
        alike = [other for other in waiting if other.scene is job.scene]
        if rest := deque(other for other in waiting if other.scene is not job.scene):
            self._models[key] = rest
        return [replace(outcome, job=other.number, timing={}, attempts=0) for other in alike]
