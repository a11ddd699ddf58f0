"""Stages: what a scene becomes before any noise is drawn, on the embedded model."""

import logging
from pathlib import Path

import pytest
import torch
from PIL import Image

from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.media.paint import paint_scene
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.embedded import backbone

LEFT = "{name: left, prompt: a red circle, mask: {box: [0, 0, 0.5, 1]}}"
ALL = "{name: all, prompt: a blue square, mask: {box: [0, 0, 1, 1]}}"


def stage(settings: str, width: int = 256) -> PreparedScene:
    text = f"smd: 1\ncanvas: {{width: {width}, height: 256}}\n{settings}\n"
    plan = resolve(load_text(text, "scene").scene, "scene", Path())
    painted = paint_scene(plan)
    with torch.inference_mode():
        return prepare(plan, CanvasImages(painted.masks, painted.background), backbone(), batch=4)


def test_a_prompted_background_is_a_first_region_where_the_others_leave_room():
    made = stage(f"background: {{prompt: grass}}\nregions: [{LEFT}]")
    assert len(made.regions) == 2
    assert len(made.table) == 4
    assert made.regions.background is None
    assert made.regions.masks.sum(0).eq(1).all()
    assert made.regions.masks[0, 0, 0, 0].tolist() == [0] * 16 + [1] * 16


def test_without_a_background_white_stands_in_where_nothing_is_painted():
    assert stage(f"regions: [{LEFT}]").regions.background is not None
    assert stage(f"regions: [{ALL}]").regions.background is None


@pytest.mark.parametrize("through", [False, True])
def test_a_background_shows_through_regions_while_they_are_bootstrapped(through):
    settings = f"bootstrap: {{steps: 2, show_through: {through}}}\nbackground: {{prompt: grass}}"
    made = stage(f"{settings}\nregions: [{LEFT}]", width=512)
    behind = made.regions.masks[0, :, 0, 0, 0].tolist()
    assert behind == ([1] * 2 + [0] * 3 if through else [0] * 5)
    assert made.regions.behind == ({0} if through else set())
    assert made.method.bootstrap.show_through is through
    # of three tiles the left one is all region: only what shows through is evaluated there
    assert made.work == (22 if through else 20, 60)


def test_a_scene_without_regions_is_its_background():
    made = stage("background: {prompt: grass}")
    assert len(made.regions) == 1
    assert made.regions.masks.eq(1).all()
    assert made.work == (5, 10)


def test_a_view_that_weighs_nothing_is_not_counted():
    made = stage(f"background: {{prompt: grass}}\nregions: [{LEFT}]", width=512)
    # Three tiles, the left region in two of them, the background in two: four views a step of six.
    assert made.work == (20, 60)


def test_what_fits_into_a_tile_is_bootstrapped_in_one_of_its_own_where_the_scene_says_so():
    """Half of three tiles, and what that leaves, lie in two of them each."""
    scene = f"background: {{prompt: grass}}\nregions: [{LEFT}]\nbootstrap: {{steps: 2, own_tiles: true}}"
    made = stage(scene, width=512)
    assert [sum(view.tile is None for view in of_step) for of_step in made.regions.views] == [2, 2, 0, 0, 0]
    assert made.work == (20 - 2 * 2, 60)


def test_guidance_counts_the_negative_half_where_it_is_evaluated():
    assert stage("background: {prompt: grass}\nsampler: {guidance_scale: 2}").work == (10, 10)


@pytest.mark.parametrize(("alpha", "left"), [(0, 0), (0.3, 0), (1, 1)])
def test_a_covered_region_keeps_the_share_that_the_scene_says(alpha, left):
    made = stage(f"masks: {{cover_alpha: {alpha}}}\nregions: [{LEFT}, {ALL}]")
    assert made.regions.masks[0, 0, 0, 0, 0] == left
    assert made.regions.masks[1, 0].eq(1).all()


@pytest.mark.parametrize(("strength", "painted"), [(1, True), (0.3, False)])
def test_a_region_that_opens_at_no_step_is_told(strength, painted, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("smd_cli"), "propagate", True)  # the commands turn it off
    made = stage(f"masks: {{strength: {strength}}}\nbackground: {{prompt: grass}}\nregions: [{LEFT}]")
    assert bool(made.regions.masks[1].any()) is painted
    assert ("'left' is not painted" in caplog.text) is not painted


def test_prompt_strength_leans_towards_the_background():
    def row(strength: float) -> torch.Tensor:
        region = LEFT.replace("{name", f"{{prompt_strength: {strength}, name")
        return stage(f"background: {{prompt: grass}}\nregions: [{region}]").table.embeds[1]

    assert torch.allclose(row(0.5), (row(0) + row(1)) / 2, atol=1e-5)
    assert not torch.allclose(row(0), row(1), atol=1e-2)


def test_ddim_takes_its_whole_grid():
    made = stage("background: {prompt: grass}\nsampler: {kind: ddim, steps: 20}")
    assert len(made.method.schedule) == 20


@pytest.mark.parametrize(("indices", "starts_from_picture"), [([4, 25], True), ([0, 25], False)])
def test_steps_that_leave_out_the_noisiest_start_from_the_picture(indices, starts_from_picture, tmp_path):
    """Noise alone is at the level of the first step only."""
    Image.new("RGB", (64, 64), "navy").save(tmp_path / "picture.png")
    text = (
        f"smd: 1\ncanvas: {{width: 64, height: 64}}\nsampler: {{indices: {indices}}}\n"
        "background: {image: picture.png}\nregions: [{name: a, prompt: sun, mask: {box: [0, 0, 0.5, 1]}}]\n"
    )
    loaded = load_text(text, "scene", base_dir=tmp_path)
    plan = resolve(loaded.scene, "scene", tmp_path)
    painted = paint_scene(plan, loaded.locate)
    prepared = prepare(plan, CanvasImages(painted.masks, painted.background), backbone())
    noise = torch.randn(prepared.shape, generator=torch.Generator().manual_seed(2))
    level, clean = prepared.method.schedule.start, prepared.regions.background
    expected = level.alpha[0] * clean + level.sigma[0] * noise if starts_from_picture else noise
    torch.testing.assert_close(prepared.starting_rows(noise).x, expected)
