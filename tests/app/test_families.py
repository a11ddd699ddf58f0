"""Every family of models does every task, by one way: regions, tiles, inpainting, panoramas and streams."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import smd_cli as smd
from smd_cli.core.guidance import ModelInput
from smd_cli.engine.batching import Evaluator
from smd_cli.families import FAMILIES
from tests.checkpoints import klein, sd3, sdxl, zimage
from tests.checkpoints.sd15 import SD2, SD15

MAKERS = {
    "sd15": SD15.make_folder,
    "sd2": SD2.make_folder,
    "sdxl": sdxl.make_folder,
    "sd3": sd3.make_folder,
    "klein": klein.make_folder,
    "zimage": zimage.make_folder,
}

SCENE = """\
smd: 1
canvas: {width: 128, height: 64}
seed: 3
sampler: {steps: 2, indices: [0, 1]}
bootstrap: {steps: 1}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 1]}}
  - {name: tree, prompt: a tree, mask: {box: [0.5, 0.25, 1, 1]}}
"""


@pytest.fixture(scope="module", params=list(FAMILIES))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random checkpoint of a family, which takes few steps."""
    return MAKERS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def renderer() -> Iterator[smd.Renderer]:
    with smd.Renderer(offline=True) as one:
        yield one


@pytest.fixture
def load(model: Path):
    def load(text: str = SCENE, **overrides: object) -> smd.OpenedScene:
        named = {key.replace("__", "."): value for key, value in overrides.items()}
        return smd.load_scene(text, overrides={"model": {"base": str(model), "lcm_lora": "none"}, **named})

    return load


def pixels(renderer: smd.Renderer, scene: smd.OpenedScene) -> np.ndarray:
    return np.asarray(renderer.render(scene).image).astype(int)


@pytest.mark.parametrize("late", ["views", "coupled"])
def test_regions_and_tiles_take_the_evaluations_that_were_planned(late, load, renderer, monkeypatch) -> None:
    scene, rows = load(sampler__late=late), []
    evaluate = Evaluator.__call__

    def count(self: Evaluator, asked: ModelInput) -> Tensor:
        rows.append(len(asked))
        return evaluate(self, asked)

    monkeypatch.setattr(Evaluator, "__call__", count)
    picture, planned = renderer.render(scene), smd.plan(scene).forecast.work
    assert picture.work == planned
    assert sum(rows) == planned.model_evaluations < planned.without_savings
    assert picture.image.size == (128, 64)
    assert np.asarray(picture.image).std() > 1


@pytest.mark.parametrize("kind", ["lcm", "euler"])
def test_a_prompt_counts_as_far_as_its_strength_says(kind: str, load, renderer) -> None:
    """At 0 a region's own prompt is nowhere left, neither in its tokens nor in what is pooled of them."""
    without = {"regions[0].prompt_strength": 0, "sampler.kind": kind, "sampler.guidance_scale": 1}
    weak = [
        pixels(renderer, load(**without, **{"regions[0].prompt": text}))
        for text in ("the sun", "a red house, snow")
    ]
    assert (weak[0] == weak[1]).all()
    half = pixels(renderer, load(**{**without, "regions[0].prompt_strength": 0.5}))
    whole = pixels(renderer, load(**{**without, "regions[0].prompt_strength": 1}))
    assert len({each.tobytes() for each in (weak[0], half, whole)}) == 3


def test_one_region_does_not_reach_another(load, renderer) -> None:
    """Where tiles and masks do not overlap, another prompt on the left changes no latent on the right."""
    settings = {"sampler.overlap": 0, "bootstrap.steps": 0}
    longer = {"regions[0].prompt": "a much longer prompt of a red house in the snow"}
    one, other = (renderer.render(load(**settings, **more)).latents.float() for more in ({}, longer))
    half = one.shape[-1] // 2
    assert (one[..., :half] - other[..., :half]).abs().max() > 0.1
    torch.testing.assert_close(one[..., half:], other[..., half:], rtol=1e-4, atol=1e-4)


def test_inpainting_leaves_what_no_mask_covers(load, renderer, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    painted = pixels(
        renderer,
        load(
            f"""\
smd: 1
task: inpaint
seed: 3
sampler: {{steps: 2, indices: [0, 1]}}
background: {{prompt: grass, image: {tmp_path / "photo.png"}}}
regions: [{{name: sun, prompt: the sun, mask: {{box: [0.5, 0, 1, 1]}}}}]
"""
        ),
    )
    assert (painted[:, :32] == noise[:, :32]).all()
    assert np.abs(painted[:, 32:] - noise[:, 32:]).mean() > 5


def test_a_panorama_closes_on_itself(load, renderer) -> None:
    scene = load(
        """\
smd: 1
task: panorama
canvas: {width: 128, height: 64, wrap: x}
seed: 3
sampler: {steps: 2, indices: [0, 1]}
background: {prompt: grass}
"""
    )
    assert smd.plan(scene).forecast.work.model_evaluations == 2 * 4  # a tile begins every half of one
    assert pixels(renderer, scene).shape == (64, 128, 3)


def test_a_frame_of_a_stream_is_the_picture_of_its_scene(load, renderer) -> None:
    still = pixels(renderer, load(canvas__width=64))
    frames = [
        np.asarray(frame.image).astype(int)
        for frame in renderer.stream(load(task="stream", canvas__width=64, stream={"frames": 3}))
    ]
    assert len(frames) == 3
    for frame in frames:
        assert np.abs(frame - still).max() <= 1


def test_a_tile_that_is_denoised_once_for_all_its_regions(load) -> None:
    """By every family, in a picture as in a stream of it, whose batches would round otherwise in 16 bits."""
    coupled = {"sampler.late": "coupled", "canvas.wrap": "x"}
    with smd.Renderer(offline=True, dtype="float32") as renderer:
        still = renderer.render(load(**coupled))
        views = renderer.render(load(**{**coupled, "sampler.late": "views"}))
        stream = renderer.stream(load(**coupled, task="stream", stream={"frames": 2}))
        frames = [np.asarray(frame.image).astype(int) for frame in stream]
    assert views.work.model_evaluations > still.work.model_evaluations
    assert (views.latents - still.latents).abs().max() > 1e-3
    assert len(frames) == 2
    for frame in frames:
        assert np.abs(frame - np.asarray(still.image).astype(int)).max() <= 1
