"""Seeds as a scene and the command line write them: `7`, `1-4,9`, `random`, or a list of these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import SystemRandom
from typing import Any

LAST_SEED = 2**63 - 1
MAX_SEEDS = 10_000
RANDOM = "random"
NO_SEED = f"is no seed: give a number, several such as 1-4,9, or {RANDOM}"
_DRAWN_BELOW = 2**32  # short enough to type again
_WORD = re.compile(r"([+-]?[0-9]{1,19})(?:\s*-\s*([0-9]{1,19}))?", re.ASCII)
_ONE = rf"([0-9]+(\s*-\s*[0-9]+)?|{RANDOM})"
PATTERN = rf"^\s*{_ONE}(\s*,\s*{_ONE})*\s*$"


class NoSeed(ValueError):  # noqa: N818 - the value itself, which its reader quotes
    """Something that is no seed at all."""

    def __init__(self, value: object) -> None:
        super().__init__(f"{value!r} {NO_SEED}")
        self.value = value


def parse_seeds(given: Any) -> tuple[int, ...]:  # noqa: ANN401 - what a file says, of any shape
    """Return the seeds that a number, a text or a list of both names, in order; `random` is drawn here.

    Raises NoSeed: some of it is no seed; ValueError: one is out of range or given twice, or there are none or
    more than `MAX_SEEDS`.
    """
    seeds: list[int | None] = []
    for run in _runs(given):
        if len(seeds) + (run.stop - run.start if run else 1) > MAX_SEEDS:
            raise ValueError(f"more than {MAX_SEEDS:,} seeds are too many for one run")
        seeds += run or [None]
    if not seeds:
        raise ValueError("names no seed")
    taken: set[int] = set()
    for seed in seeds:
        if seed in taken:
            raise ValueError(f"{seed} is given twice")
        if seed is not None:
            taken.add(seed)
    return tuple(_draw(taken) if seed is None else seed for seed in seeds)


def has_random(given: Any) -> bool:  # noqa: ANN401
    """Tell whether some of the seeds are drawn."""
    if isinstance(given, (list, tuple)):
        return any(map(has_random, given))
    return isinstance(given, str) and RANDOM in given


def in_range(seed: int) -> int:
    """Return a seed that is in range. Raises ValueError."""
    if not 0 <= seed <= LAST_SEED:
        raise ValueError(f"{seed} is not between 0 and {LAST_SEED}")
    return seed


def _runs(given: Any) -> Iterator[range | None]:  # noqa: ANN401
    """Yield each run of seeds; None stands for one to draw."""
    for item in given if isinstance(given, (list, tuple)) else [given]:
        if isinstance(item, str):
            yield from (_run(word.strip()) for word in item.split(","))
        elif type(item) is int:
            yield range(in_range(item), item + 1)
        else:
            raise NoSeed(item)


def _run(word: str) -> range | None:
    if word == RANDOM:
        return None
    match = _WORD.fullmatch(word)
    if match is None:
        raise NoSeed(word)
    first = in_range(int(match[1]))
    last = in_range(int(match[2])) if match[2] else first
    if first > last:
        raise ValueError(f"{first}-{last} runs backwards; write {last}-{first}")
    return range(first, last + 1)


def _draw(taken: set[int]) -> int:
    """Draw a seed that is not taken, and take it."""
    while (seed := SystemRandom().randrange(_DRAWN_BELOW)) in taken:
        pass
    taken.add(seed)
    return seed
