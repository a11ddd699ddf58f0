"""The plain loop does all the work and paints the same picture."""

import pytest

from smd_cli.bench.programs import every_view, plain_loop, this_program
from smd_cli.bench.speed import difference

SUN = "regions: [{name: sun, prompt: the sun, mask: {ellipse: [0.15, 0.5, 0.1, 0.3]}}]"
TILED = "tile: 128, indices: [0, 25]"


@pytest.mark.parametrize("guidance", ["guidance_scale: 1", "guidance_scale: 2"])
def test_the_plain_loop_evaluates_everything_and_paints_the_same(stage, calls, guidance):
    made = stage(f"sampler: {{{TILED}, {guidance}}}\n{SUN}")
    ours, plain = this_program(made), plain_loop(made)
    picture = ours.paint(5)
    assert sum(calls) == ours.evaluations < made.work.without_savings
    calls.clear()
    assert difference(picture, plain.paint(5)) <= 1
    # Two steps, two tiles, two prompts; each view comes alone with both halves.
    assert calls == [2] * 8
    assert plain.evaluations == made.work.without_savings == 16


def test_another_seed_is_another_picture(stage):
    program = this_program(stage(f"sampler: {{{TILED}}}"))
    assert difference(program.paint(1), program.paint(2)) > 1


def test_every_view_keeps_the_views_that_matter_and_adds_the_others(stage):
    regions = stage(f"sampler: {{{TILED}}}\n{SUN}").regions
    for chosen, everything in zip(regions.views, every_view(regions), strict=True):
        assert set(chosen) < set(everything)
        assert [(view.tile, view.regions[0]) for view in everything] == [(0, 0), (0, 1), (1, 0), (1, 1)]
