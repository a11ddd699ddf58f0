"""diffusers' panorama pipeline is given the same work."""

import pytest

from smd_cli.bench.panorama import diffusers_panorama
from smd_cli.bench.programs import this_program
from smd_cli.bench.speed import difference


def panorama(tile: int) -> str:
    return f"sampler: {{kind: ddim, steps: 4, tile: {tile}}}\nbootstrap: {{steps: 0}}"


def test_on_one_tile_both_paint_the_same(stage):
    made = stage(panorama(192))
    assert difference(this_program(made).paint(3), diffusers_panorama(made).paint(3)) <= 1


@pytest.mark.parametrize("program", [this_program, diffusers_panorama])
def test_on_more_tiles_the_calls_are_the_same(stage, calls, program):
    entry = program(stage(panorama(128)))
    assert entry.paint(3).size == (192, 128)
    assert calls == [2] * 4  # four steps, two tiles at once
    assert entry.evaluations == 8
