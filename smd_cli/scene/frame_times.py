"""When the frames of a stream are shown: at an even rate, or as those of the film that they repaint."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Protocol, TypeVar

T = TypeVar("T")

_MAX_DENOMINATOR = 10_000  # of rates: 23.976 and 30000/1001 are exact


class FrameTimes(Protocol):
    """When each frame begins, in whole ticks, the first one at 0; each lasts until the next one."""

    def __hash__(self) -> int: ...

    @property
    def clock(self) -> int:
        """Return the ticks a second."""

    @property
    def rate(self) -> Fraction:
        """Return the frames a second, on average."""

    def start(self, frame: int) -> int:
        """Return the tick at which a frame begins, also beyond the end."""

    def nearest(self, seconds: float) -> int:
        """Return the frame that begins nearest to a time, also beyond the end."""


@dataclass(frozen=True)
class EvenTimes:
    """Frames that last equally long, without an end; `rate` is how many a second has."""

    rate: Fraction

    @classmethod
    def of(cls, fps: float) -> EvenTimes:
        """Return the times of so many frames a second."""
        return cls(Fraction(fps).limit_denominator(_MAX_DENOMINATOR))

    @property
    def clock(self) -> int:
        """Return the ticks a second."""
        return self.rate.numerator

    def start(self, frame: int) -> int:
        """Return the tick at which a frame begins."""
        return frame * self.rate.denominator

    def nearest(self, seconds: float) -> int:
        """Return the frame that begins nearest to a time."""
        return round(seconds * self.rate)


@dataclass(frozen=True, eq=False)
class RecordedTimes:
    """The times of a film's frames, which last as long as the film says.

    Attributes:
        clock: ticks a second.
        starts: the ticks at which frames begin, rising, the first of them 0.
        end: the tick at which the last frame ends.
    """

    clock: int
    starts: tuple[int, ...]
    end: int

    @classmethod
    def of(cls, durations: Sequence[Fraction], clock: int) -> RecordedTimes:
        """Return the times of frames that last so many seconds, to the nearest tick of a clock."""
        ticks = [round(end * clock) for end in accumulate(durations, initial=Fraction(0))]
        return cls(clock, tuple(ticks[:-1]), ticks[-1])

    @property
    def rate(self) -> Fraction:
        """Return the frames a second, on average."""
        return Fraction(len(self.starts) * self.clock, self.end)

    def start(self, frame: int) -> int:
        """Return the tick at which a frame begins; beyond the end, frames last as long as on average."""
        beyond = frame - len(self.starts)
        return self.starts[frame] if beyond < 0 else self.end + round(beyond * self.clock / self.rate)

    def nearest(self, seconds: float) -> int:
        """Return the frame that begins nearest to a time, of two the earlier one."""
        tick, frames = seconds * self.clock, len(self.starts)
        if tick >= self.end:
            return frames + round((tick - self.end) / self.clock * self.rate)
        after = bisect_left(self.starts, tick)
        return after if after == 0 or self.start(after) - tick < tick - self.starts[after - 1] else after - 1

    def cut(self, frames: int, seconds: float | None = None) -> RecordedTimes:
        """Return the times of the first frames; `seconds`: at most for so long."""
        end = self.start(frames)
        if seconds is not None:
            end = min(end, max(self.starts[frames - 1] + 1, round(seconds * self.clock)))
        return RecordedTimes(self.clock, self.starts[:frames], end)


def seconds_of(times: FrameTimes, frames: int) -> float:
    """Return how long so many frames last, in seconds."""
    return times.start(frames) / times.clock


def resample(times: RecordedTimes, even: EvenTimes) -> tuple[int, ...]:
    """Return, for each frame at an even rate, which frame of a film is shown then.

    The film keeps its length, to half a frame. Since a clock rounds times, a frame that begins within half a
    tick counts as shown already: a film at its own rate stays what it is.
    """
    lasts = times.clock / even.rate
    soon = min(Fraction(1, 2), lasts / 2)
    count = max(1, round(times.end / lasts))
    return tuple(bisect_right(times.starts, frame * lasts + soon) - 1 for frame in range(count))


def hold(moments: Iterable[int], timed: Iterator[tuple[int, T]]) -> Iterator[T]:
    """Yield what is shown at each of some rising moments: of things that each come with a time, in order.

    That is the last one whose time has come; before the first one's, that one.
    """
    for _, shown in timed:
        later = next(timed, None)
        for moment in moments:
            while later is not None and later[0] <= moment:
                shown, later = later[1], next(timed, None)
            yield shown
        return
