"""What a render tells those who watch it: phases, their progress and their seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["load", "encode", "denoise", "decode", "save"]
PHASES: tuple[Phase, ...] = ("load", "encode", "denoise", "decode", "save")


@dataclass(frozen=True)
class Started:
    """A phase begins; it will advance `total` times."""

    phase: Phase
    total: int


@dataclass(frozen=True)
class Advanced:
    """A phase got on by one."""

    phase: Phase


@dataclass(frozen=True)
class Finished:
    """A phase ended after `seconds`."""

    phase: Phase
    seconds: float


Event = Started | Advanced | Finished
Listener = Callable[[Event], None]


def nobody(event: Event) -> None:
    """Listen to nothing."""


@dataclass
class Clock:
    """Times phases and tells a listener; seconds of the same phase add up."""

    listen: Listener = nobody
    seconds: dict[Phase, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    began: float = field(default_factory=time.perf_counter)

    def total(self) -> float:
        """Return the seconds since the clock was made."""
        return time.perf_counter() - self.began

    @contextmanager
    def phase(self, phase: Phase, total: int = 1) -> Iterator[Callable[[], None]]:
        """Time a block; it is given a function to call each time it gets on."""
        self.listen(Started(phase, total))
        began = time.perf_counter()
        yield lambda: self.listen(Advanced(phase))
        spent = time.perf_counter() - began
        self.seconds[phase] += spent
        self.listen(Finished(phase, spent))
