"""Drawing many pictures of the world, on all processors."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from smd_cli.flatland.world import Picture, draw_picture

CHUNK = 32  # pictures that a process draws before it hands them over
WAVE = 1024  # pictures that may wait in memory
FEW = 4 * CHUNK  # drawn here: starting processes would take longer


def draw_many(seeds: Sequence[int], size: int = 256) -> Iterator[Picture]:
    """Draw the pictures of seeds at `size` px, in order."""
    draw = partial(draw_picture, size=size)
    if len(seeds) <= FEW:
        yield from map(draw, seeds)
        return
    spawning = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawning) as pool:
        for start in range(0, len(seeds), WAVE):
            yield from pool.map(draw, seeds[start : start + WAVE], chunksize=CHUNK)
