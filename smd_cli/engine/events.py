"""What a render tells those who watch it: phases, their progress and seconds, frames, notes and warnings.

One listener hears all of it: a console, a report, a server, a batch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token, copy_context
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["load", "encode", "denoise", "decode", "save"]
PHASES: tuple[Phase, ...] = ("load", "encode", "denoise", "decode", "save")


@dataclass(frozen=True)
class Started:
    """A phase begins; it will advance `total` times, or nobody knows so far how often."""

    phase: Phase
    total: int | None


@dataclass(frozen=True)
class Advanced:
    """A phase got on by one."""

    phase: Phase


@dataclass(frozen=True)
class Reached:
    """A phase has done so many of its parts."""

    phase: Phase
    done: int
    total: int


@dataclass(frozen=True)
class Finished:
    """A phase ended after `seconds`, by an error too."""

    phase: Phase
    seconds: float


@dataclass(frozen=True)
class StreamProgress:
    """How far a stream is, after a frame.

    Attributes:
        frames: how many have been handed on, of `total`.
        skipped: how many of them repeat the one before.
        seconds: since the first was asked for.
        latency: mean seconds of a frame from being read to being handed on.
        queues: how many frames wait after each part of the pipeline, by its name.
    """

    frames: int = 0
    total: int = 0
    skipped: int = 0
    seconds: float = 0.0
    latency: float = 0.0
    queues: dict[str, int] = field(default_factory=dict)

    @property
    def frames_per_second(self) -> float:
        """Return the frames handed on a second."""
        return self.frames / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class JobStarted:
    """A job of a batch begins.

    Attributes:
        job: its number in the batch.
        position: how many have begun before it, and one.
        total: how many jobs the batch has.
        name: what people call it.
    """

    job: int
    position: int
    total: int
    name: str


@dataclass(frozen=True)
class JobEnded:
    """A job of a batch has ended: its file was written, was there already, or could not be made."""

    job: int
    status: Literal["written", "skipped", "failed"]


@dataclass(frozen=True)
class Noted:
    """Something was adapted, a picture resized say. `text` is one line."""

    text: str


@dataclass(frozen=True)
class Warned:
    """Something is likely a mistake, or gets lost. `text` is one line, a `Message` where it has a place."""

    text: str


@dataclass(frozen=True)
class OfWorker:
    """What one of several workers is at: an event of its job, or that it begins one.

    Attributes:
        worker: its number, from 1.
        event: of the job.
    """

    worker: int
    event: Event


@dataclass(frozen=True)
class Printed:
    """A line that something in a worker has printed: a library, or Python as it crashes."""

    worker: int
    line: str


Event = (
    Started
    | Advanced
    | Reached
    | Finished
    | JobStarted
    | JobEnded
    | OfWorker
    | Printed
    | StreamProgress
    | Noted
    | Warned
)
Listener = Callable[[Event], None]


def ignore_events(event: Event) -> None:
    """Listen to nothing."""


@dataclass(frozen=True)
class PhaseProgress:
    """How a phase tells that it gets on: called each time, or by how many of its parts it has done."""

    phase: Phase
    listen: Listener

    def __call__(self) -> None:
        """Get on by one."""
        self.listen(Advanced(self.phase))

    def reach(self, done: int, total: int) -> None:
        """Have done so many parts."""
        self.listen(Reached(self.phase, done, total))


@dataclass
class Clock:
    """Times phases and tells a listener; seconds of the same phase add up."""

    listen: Listener = ignore_events
    seconds: dict[Phase, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))

    @contextmanager
    def phase(self, phase: Phase, total: int | None = 1) -> Iterator[PhaseProgress]:
        """Time a block; it is given what tells that it gets on."""
        self.listen(Started(phase, total))
        began = time.perf_counter()
        try:
            yield PhaseProgress(phase, self.listen)
        finally:
            spent = time.perf_counter() - began
            self.seconds[phase] += spent
            self.listen(Finished(phase, spent))


class WarningRoute(logging.Handler):
    """Emits what the packages log as warnings; within `with` it is attached to their logger.

    It hears the thread that entered it, and threads that run in its `context`: renders at the same time do
    not hear each other. A text is emitted once: a stream meets the same warning frame after frame.
    """

    def __init__(self, listener: Listener) -> None:
        super().__init__(logging.WARNING)
        self.listener = listener
        self._emitted: set[str] = set()
        self._before: Token[WarningRoute | None] | None = None

    def context(self) -> Context:
        """Return a context for another thread, whose warnings are emitted too."""
        context = copy_context()
        context.run(_route.set, self)
        return context

    def attach(self) -> None:
        """Attach the route to the packages' logger. Nothing is heard of this thread."""
        if self.listener is not ignore_events:  # then Python's own handling of warnings stays
            logging.getLogger("smd_cli").addHandler(self)

    def detach(self) -> None:
        """Detach it."""
        logging.getLogger("smd_cli").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Turn a record into an event."""
        text = record.getMessage()
        if _route.get() is self and text not in self._emitted:
            self._emitted.add(text)
            self.listener(Warned(text))

    def __enter__(self) -> WarningRoute:
        """Attach the route, and hear this thread."""
        self._before = _route.set(self)
        self.attach()
        return self

    def __exit__(self, *_: object) -> None:
        """Detach it."""
        self.detach()
        if self._before is not None:
            _route.reset(self._before)


_route: ContextVar[WarningRoute | None] = ContextVar("route", default=None)
