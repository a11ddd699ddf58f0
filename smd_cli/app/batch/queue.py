"""Which job comes next: those of one model together, and none that would fail as another did."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from smd_cli.app.batch.jobs import Job, ModelKey, Outcome
from smd_cli.app.batch.perform import ends_alike

if TYPE_CHECKING:
    from smd_cli.app.scenes import OpenedScene

_WORTH_LOADING = 2  # jobs that wait for each worker of a model, before one of another model loads it too


class JobQueue:
    """The jobs of a batch, for one worker or several that each hold one model, and one scene prepared.

    Attributes:
        fail_fast: after a failure no further job is handed out.
        total: how many jobs there are.
        ended: how many of them have ended.
    """

    def __init__(self, jobs: Iterable[Job], *, fail_fast: bool = False) -> None:
        self.fail_fast = fail_fast
        self.total = 0
        self.ended = 0
        self._keys: dict[int, ModelKey] = {}  # of scenes: many jobs share one
        self._models: dict[ModelKey, dict[int, deque[Job]]] = {}
        for job in jobs:
            self._scenes(job).setdefault(id(job.scene), deque()).append(job)
            self.total += 1
        self._running: dict[int, Job] = {}
        self._has_failed = False

    def take(self, holding: ModelKey | None = None, scene: OpenedScene | None = None) -> Job | None:
        """Return a job to begin; None: there is none for this worker, at least so far.

        It is one of the model that the worker holds if there is one, and of those of the scene that it had
        last. Otherwise it is of a model, and of a scene, that no other worker is at, if there is such a one.
        A worker that holds another model helps only where many jobs wait: to load a model takes as long as
        some jobs do.
        """
        if self._has_failed and self.fail_fast:
            return None
        key = holding if holding in self._models else self._another_model(holding)
        if key is None:
            return None
        job = self._of_scene(key, scene).popleft()
        self._clear(job)
        self._running[job.number] = job
        return job

    def put_back(self, job: Job) -> None:
        """Take a job back, to be begun once more before others of its model."""
        del self._running[job.number]
        scenes = self._scenes(job)
        again = scenes.pop(id(job.scene), deque())
        again.appendleft(job)
        self._models[self._key(job)] = {id(job.scene): again, **scenes}

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

    def _key(self, job: Job) -> ModelKey:
        key = self._keys.get(id(job.scene))
        return self._keys.setdefault(id(job.scene), job.model_key) if key is None else key

    def _scenes(self, job: Job) -> dict[int, deque[Job]]:
        """Return the waiting jobs of a job's model, by their scenes."""
        return self._models.setdefault(self._key(job), {})

    def _another_model(self, holding: ModelKey | None) -> ModelKey | None:
        workers = Counter(self._key(job) for job in self._running.values())
        waiting = {key: sum(map(len, scenes.values())) for key, scenes in self._models.items()}
        free = [key for key in waiting if key not in workers]
        worth = [key for key in waiting if holding is None or waiting[key] > _WORTH_LOADING * workers[key]]
        return free[0] if free else max(worth, key=waiting.__getitem__, default=None)

    def _of_scene(self, key: ModelKey, scene: OpenedScene | None) -> deque[Job]:
        """Return the waiting jobs of a model that are of the scene, of one that is free, or of any."""
        scenes = self._models[key]
        if id(scene) in scenes:
            return scenes[id(scene)]
        taken = {id(job.scene) for job in self._running.values()}
        return scenes[next((each for each in scenes if each not in taken), next(iter(scenes)))]

    def _clear(self, job: Job) -> None:
        """Forget the scene of a job, and its model, where nothing waits for them any more."""
        scenes = self._models[self._key(job)]
        if not scenes[id(job.scene)]:
            del scenes[id(job.scene)]
        if not scenes:
            del self._models[self._key(job)]

    def _drop(self, job: Job, outcome: Outcome) -> list[Outcome]:
        """Take out the waiting jobs of a job's scene."""
        alike = self._scenes(job).pop(id(job.scene), deque())
        if not self._models[self._key(job)]:
            del self._models[self._key(job)]
        return [replace(outcome, job=other.number, timing={}, attempts=0) for other in alike]
