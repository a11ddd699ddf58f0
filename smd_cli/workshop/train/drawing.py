"""Draws many pictures of the world in parallel processes."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TypeVar

from smd_cli.workshop.world import CaptionedPicture, draw_picture

CHUNK = 32  # pictures that a process draws per task
WAVE = 1024  # pictures in memory at once
FEW = 4 * CHUNK  # up to here one process is faster than starting several

Drawn = TypeVar("Drawn")


def draw_pictures(seeds: Sequence[int], size: int = 256) -> Iterator[CaptionedPicture]:
    """Yield the pictures of seeds at `size` px, in order."""
    return draw_many(seeds, partial(draw_picture, size=size))


def draw_many(seeds: Sequence[int], draw: Callable[[int], Drawn]) -> Iterator[Drawn]:
    """Yield `draw(seed)` for each seed, in order; `draw` has to be picklable."""
    if len(seeds) <= FEW:
        yield from map(draw, seeds)
        return
    spawning = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawning) as pool:
        for start in range(0, len(seeds), WAVE):
            yield from pool.map(draw, seeds[start : start + WAVE], chunksize=CHUNK)
