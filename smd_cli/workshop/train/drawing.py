"""Drawing many pictures of the world, on all processors."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TypeVar

from smd_cli.workshop.world import Picture, draw_picture

CHUNK = 32  # pictures that a process draws before it hands them over
WAVE = 1024  # pictures that may wait in memory
FEW = 4 * CHUNK  # drawn here: starting processes would take longer

Drawn = TypeVar("Drawn")


def draw_pictures(seeds: Sequence[int], size: int = 256) -> Iterator[Picture]:
    """Draw the pictures of seeds at `size` px, in order."""
    return draw_many(seeds, partial(draw_picture, size=size))


def draw_many(seeds: Sequence[int], draw: Callable[[int], Drawn]) -> Iterator[Drawn]:
    """Draw what `draw`, a function of a module, makes of each seed, in order."""
    if len(seeds) <= FEW:
        yield from map(draw, seeds)
        return
    spawning = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawning) as pool:
        for start in range(0, len(seeds), WAVE):
            yield from pool.map(draw, seeds[start : start + WAVE], chunksize=CHUNK)
