"""Running the jobs of a batch on Ray: by actors, each with a model, on this machine or on a cluster's nodes.

This process reads scenes, hands out jobs and writes files; it imports no torch. Ray decides where workers
begin, and starts nodes for them where it can. A worker that is lost is replaced, and its job tried once more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from smd_cli.app.batch.jobs import Job, ModelKey, Outcome
from smd_cli.app.batch.perform import failed
from smd_cli.app.batch.queue import JobQueue
from smd_cli.app.batch.ray_cluster import Cluster, Share, connected
from smd_cli.app.batch.ray_options import RayOptions, threads, variables
from smd_cli.app.batch.ray_outputs import place_files
from smd_cli.app.batch.ray_parcels import Sender, Sent
from smd_cli.app.batch.ray_worker import Installed, Order, Reply, Worker, model_digests
from smd_cli.app.batch.request import Request
from smd_cli.app.captions import caption_jobs
from smd_cli.app.scenes import OpenedScene
from smd_cli.engine.events import JobEnded, JobStarted, Listener, Noted, OfWorker, Warned, ignore_events
from smd_cli.errors import AssetError, DeviceError, MismatchError, SmdError

ATTEMPTS = 2
"""How often a job is begun whose worker is lost."""

_PATIENCE = 5.0  # seconds until it is said that no worker has begun
_STARTS = 3  # of a worker that is lost before it has begun
_CLOSING = 2.0  # seconds that workers have to remove their files
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_SENTENCE = re.compile(r"(?<=\.)\s")


@dataclass(frozen=True)
class RayEngine:
    """Runs jobs on Ray (see `Engine`); `listener` hears of them."""

    request: Request
    options: RayOptions
    listener: Listener = ignore_events

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run jobs. Raises as `Engine`, and DeviceError, AssetError: as `connected`; no worker can begin."""
        here = replace(self.request.settings, device="cpu")  # the nodes' devices may be others
        captioned = caption_jobs(jobs, here, self.listener)
        with connected(self.options.head, self.options.cpus) as cluster:
            share = self.options.share(self.request.settings.device, cluster)
            yield from _Run(self, cluster, share, captioned).outcomes()


@dataclass(eq=False)
class _Hand:
    """A worker: its number, its actor, what it does, and the model and scene that it had last."""

    number: int
    actor: Any
    job: Job | None = None
    holding: ModelKey | None = None
    scene: OpenedScene | None = None
    has_begun: bool = False
    starts: int = 1


@dataclass
class _Sending:
    """The scenes of jobs in the store, each until the last of its jobs has ended, and digests of models."""

    sender: Sender
    offline: bool
    left: Counter[int]
    sent: dict[int, Sent] = field(default_factory=dict)
    models: dict[ModelKey, dict[str, str]] = field(default_factory=dict)

    def parcel(self, job: Job) -> Any:  # noqa: ANN401 - Ray's reference to it
        """Return what stands for the scene of a job. Raises AssetError: a file cannot be read."""
        key = id(job.scene)
        if key not in self.sent:
            self.sent[key] = self.sender.send(job.scene)
        return self.sent[key].parcel

    def order(self, job: Job) -> Order:
        """Return a job as workers are given it. Raises AssetError: the model is not here."""
        if job.model_key not in self.models:
            self.models[job.model_key] = model_digests(job.scene, offline=self.offline)
        model = self.models[job.model_key]
        return Order(job.number, job.seed, job.target, job.point, job.digests, model)

    def end(self, scene: OpenedScene) -> None:
        """Note that one of the jobs of a scene has ended."""
        self.left[id(scene)] -= 1
        if not self.left[id(scene)]:
            self.sent.pop(id(scene), None)


class _Run:
    """One run of jobs on a cluster."""

    def __init__(self, engine: RayEngine, cluster: Cluster, share: Share, jobs: Sequence[Job]) -> None:
        self._request, self._listener = engine.request, engine.listener
        self._cluster, self._ray, self._share = cluster, cluster.ray, share
        self._jobs = {job.number: job for job in jobs}
        self._queue = JobQueue(jobs, fail_fast=self._request.fail_fast)
        offline = self._request.settings.offline
        self._sending = _Sending(Sender(self._ray.put), offline, Counter(id(job.scene) for job in jobs))
        self._limit = engine.options.workers or max(1, self._room())
        self._has_more = True
        self._calls: dict[Any, _Hand] = {}  # what each worker does now, by what stands for its answer
        self._attempts: Counter[int] = Counter()
        self._begun = self._asked = 0
        self._closing: list[Any] = []
        self._told: set[str] = set()

    def outcomes(self) -> Iterator[Outcome]:
        """Run the jobs, and yield their outcomes as they end."""
        if self._cluster.is_ours and not self._room():
            raise DeviceError(self._cluster.why_none(self._share))
        try:
            while self._staff():
                yield from self._ended(self._next())
        finally:
            for hand in self._calls.values():
                self._dismiss(hand)
            if self._closing:
                self._ray.wait(self._closing, num_returns=len(self._closing), timeout=_CLOSING)

    def _room(self) -> int:
        """Return how many workers the nodes have room for; on CPUs, each computes with all of its node's."""
        counts = [self._share.times_in(node) for node in self._cluster.nodes()]
        return sum(counts) if self._share.gpus or threads() else sum(map(bool, counts))

    def _staff(self) -> bool:
        """Ask for workers, as long as jobs are waiting; tell whether any job is still to end."""
        if self._has_more:
            wanted = min(self._limit, self._queue.total - self._queue.ended)
            while len(self._calls) < wanted:
                self._ask_for_worker()
        return self._has_more or any(hand.job for hand in self._calls.values())

    def _ask_for_worker(self, starts: int = 1) -> None:
        options = {"num_cpus": self._share.cpus, "num_gpus": self._share.gpus, "max_restarts": 0}
        spread = {} if self._share.gpus else {"scheduling_strategy": "SPREAD"}
        actor = self._ray.remote(Worker).options(**options, **spread)
        self._asked += 1
        hand = _Hand(self._asked, actor.remote(self._request.settings, variables()), starts=starts)
        self._calls[hand.actor.hello.remote()] = hand

    def _next(self) -> Any:  # noqa: ANN401 - Ray's reference to an answer
        """Wait for the next answer; say what is waited for where no worker has begun."""
        calls = list(self._calls)
        if not any(hand.has_begun for hand in self._calls.values()):
            ready, _ = self._ray.wait(calls, timeout=_PATIENCE)
            if ready:
                return ready[0]
            self._tell(Noted(f"waiting for a worker: {self._cluster.why_none(self._share)}"))
        ready, _ = self._ray.wait(calls)
        return ready[0]

    def _ended(self, call: Any) -> Iterator[Outcome]:  # noqa: ANN401
        """Handle an answer: give the worker its next job before what it has made is written."""
        hand = self._calls.pop(call)
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(call)
        except errors.RayTaskError as error:
            raise error.cause from error
        except errors.RayError as error:
            yield from self._lost(hand, error)
            return
        job, hand.job = hand.job, None
        if job is None:
            self._check_installed(*answer)
            hand.has_begun = True
            yield from self._give(hand)
            return
        yield from self._done(hand, job, answer)

    def _done(self, hand: _Hand, job: Job, reply: Reply) -> Iterator[Outcome]:
        for event in reply.events:
            self._tell(event)
        if reply.error:
            raise reply.error
        if reply.outcome is None:
            raise RuntimeError("a worker answers with an outcome or an error")
        if is_good := reply.outcome.status == "written":
            yield from self._give(hand)
        outcome = place_files(job, reply.outcome, reply, self._request)
        yield from self._end(replace(outcome, attempts=self._attempts[job.number] + 1))
        if not is_good:  # which may have ended others too
            yield from self._give(hand)

    def _give(self, hand: _Hand) -> Iterator[Outcome]:
        """Give a worker its next job; one that is not needed any more ends.

        Yields the outcomes of jobs whose files are gone.
        """
        while job := self._queue.take(hand.holding, hand.scene):
            try:
                parcel, order = self._sending.parcel(job), self._sending.order(job)
            except AssetError as error:
                yield from self._end(failed(job, error))
                continue
            self._begin(hand, job, parcel, order)
            return
        self._has_more = False
        self._dismiss(hand)

    def _begin(self, hand: _Hand, job: Job, parcel: Any, order: Order) -> None:  # noqa: ANN401
        hand.job, hand.holding, hand.scene = job, job.model_key, job.scene
        self._calls[hand.actor.perform.remote([parcel], order)] = hand
        self._begun += 1
        started = JobStarted(job.number, self._begun, self._queue.total, job.name)
        self._listener(OfWorker(hand.number, started))

    def _end(self, outcome: Outcome) -> Iterator[Outcome]:
        for each in self._queue.end(outcome):
            self._sending.end(self._jobs[each.job].scene)
            self._listener(JobEnded(each.job, each.status))
            yield each

    def _lost(self, hand: _Hand, error: Exception) -> Iterator[Outcome]:
        """Handle the loss of a worker: its job is tried once more, by another."""
        self._ray.kill(hand.actor)
        reason, job = _reason(error), hand.job
        if job is None:
            if getattr(error, "actor_init_failed", False):
                raise DeviceError(f"a worker cannot begin: {reason}; each node needs smd-cli as it is here")
            if hand.starts >= _STARTS:
                raise DeviceError(f"no worker can begin: {reason}")
            self._ask_for_worker(hand.starts + 1)
            return
        self._attempts[job.number] += 1
        if self._attempts[job.number] < ATTEMPTS:
            self._tell(Warned(f"{job.name}: its worker was lost, so it is tried once more: {reason}"))
            self._queue.put_back(job)
            self._has_more = True
            return
        lost = SmdError(f"{job.target}: a worker was lost over it {ATTEMPTS} times: {reason}")
        yield from self._end(failed(job, lost, attempts=ATTEMPTS))

    def _check_installed(self, host: str, there: Installed) -> None:
        """Compare what a node has installed with this machine. Raises MismatchError."""
        here = Installed.here()
        if (there.program, there.python) != (here.program, here.python):
            raise MismatchError(
                f"{host}: has smd {there.program} on Python {there.python}, and this machine smd "
                f"{here.program} on Python {here.python}; they must be the same"
            )
        if differences := there.differences(here):
            told = f"{host}: other libraries may round pixels otherwise: {', '.join(differences)}"
            self._tell(Warned(told))

    def _dismiss(self, hand: _Hand) -> None:
        """Let a worker go: one that works is ended, another ends by itself once nothing refers to it."""
        if hand.job:
            self._ray.kill(hand.actor)
        else:
            self._closing.append(hand.actor.close.remote())

    def _tell(self, event: Noted | Warned) -> None:
        """Tell what several workers may have to say, once."""
        if event.text not in self._told:
            self._told.add(event.text)
            self._listener(event)


def _reason(error: Exception) -> str:
    """Return in a line why Ray lost a worker: the first sentence of the last line of what it says."""
    if type(error).__name__ == "ActorUnavailableError":
        return "its node does not answer"
    lines = [line.strip() for line in _COLORS.sub("", str(error)).splitlines() if line.strip()]
    return _SENTENCE.split(lines[-1])[0].rstrip(".") if lines else type(error).__name__
