"""Families of models on small random weights: every kind of scene, and what suits none."""

import json

import numpy as np
import pytest
from PIL import Image

from smd_cli import AssetError, Renderer, SceneError, load_scene
from smd_cli.app.checking import check_scene
from smd_cli.engine.events import Warned
from tests.checkpoints import klein, sdxl, zimage

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
sampler: {kind: euler, steps: 3}
bootstrap: {steps: 1}
background: {prompt: a house}
regions:
  - {name: left, prompt: a red house, mask: {box: [0, 0, 0.5, 1]}, prompt_strength: 0.7}
  - {name: right, prompt: the sun, mask: {box: [0.5, 0, 1, 1]}}
"""
LONG = "snow on every one of the houses, and on all of the trees"  # more than fits in a block of 32 tokens


def few_step_sdxl(folder):
    """An SDXL whose scheduler says that it was distilled."""
    config = sdxl.make_folder(folder) / "scheduler/scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "_class_name": "LCMScheduler"}))
    return folder


FAMILIES = {"zimage": zimage.make_folder, "klein": klein.make_folder, "sdxl": few_step_sdxl}
ORDINARY = {
    "zimage": lambda folder: zimage.make_folder(folder, shift=6.0),
    "klein": lambda folder: klein.make_folder(folder, is_distilled=False),
}
"""What makes checkpoints of each family that are not distilled."""


BY_QWEN = pytest.mark.parametrize("family", ORDINARY, indirect=True, scope="module")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def model(family, tmp_path_factory):
    return str(FAMILIES[family](tmp_path_factory.mktemp(family) / "model"))


@pytest.fixture(scope="module")
def renderer():
    with Renderer(dtype="float32") as renderer:
        yield renderer


def opened(model, text=SCENE, **overrides):
    changes = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_scene(text, overrides={"model": model, **changes})


@pytest.mark.parametrize("kind", ["euler", "lcm"])
def test_a_region_does_not_depend_on_anothers_prompt_nor_its_length(model, renderer, kind):
    """All steps are bootstrapped here, so that no region sees another."""
    alone = {
        "sampler.kind": kind,
        "sampler.indices": [0, 1, 2],
        "bootstrap.steps": 3,
        "bootstrap.mix_steps": 3,
    }
    latents = [
        renderer.render(
            load_scene(SCENE, overrides={"model": model, **alone, "regions[right].prompt": prompt})
        ).latents
        for prompt in ("the sun", LONG)
    ]
    half = latents[0].shape[-1] // 2
    one, other = (each[..., :half] for each in latents)
    assert (one - other).abs().max() < 1e-4 * one.abs().max()
    assert (latents[0] - latents[1])[..., half:].abs().max() > 0.05 * one.abs().max()


def test_prompt_strength_moves_a_region(model, renderer):
    pictures = [
        renderer.render(
            load_scene(SCENE, overrides={"model": model, "regions[left].prompt_strength": strength})
        ).latents
        for strength in (1.0, 0.99, 0.0)
    ]
    whole = (pictures[0] - pictures[2]).abs().max()
    assert 0 < (pictures[0] - pictures[1]).abs().max() < whole / 5


def test_panoramas_are_tiled(model, renderer):
    text = SCENE.partition("regions:")[0] + "task: panorama\n"
    picture = renderer.render(load_scene(text, overrides={"model": model, "canvas.width": 128}))
    assert picture.image.size == (128, 64)
    assert picture.work.model_evaluations == 3 * 3  # tiles of 64 px at 0, 32 and 64


def test_inpainting_leaves_the_rest_of_the_picture(model, renderer, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    text = SCENE.partition("  - {name: right")[0].replace("{prompt: a house}", "{image: picture.png}")
    scene = load_scene(text, base_dir=tmp_path, overrides={"model": model, "task": "inpaint"})
    painted = np.asarray(renderer.render(scene).image)
    assert (painted[:, 40:] == pixels[:, 40:]).all()
    assert (painted[:, :24] != pixels[:, :24]).any()


def test_a_static_stream_shows_the_picture(model, renderer):
    still = renderer.render(opened(model))
    text = SCENE + "task: stream\nstream: {frames: 2}\n"
    frames = [np.asarray(frame.image).astype(int) for frame in renderer.stream(opened(model, text))]
    assert len(frames) == 2
    for frame in frames:
        assert abs(frame - np.asarray(still.image).astype(int)).max() <= 1


@BY_QWEN
def test_a_default_that_it_is_not_distilled_for_is_told(family, model, tmp_path):
    """The default is its family's, unless the model was not here when the scene was opened."""
    coming = tmp_path / "coming"
    text = SCENE.replace("{kind: euler, steps: 3}", "{}")
    early = load_scene(text, overrides={"model": str(coming)})
    coming.symlink_to(model)
    lcm = load_scene(SCENE.replace("euler", "lcm"), overrides={"model": model})
    for scene, warned in ((early, 1), (load_scene(text, overrides={"model": model}), 0), (lcm, 0)):
        told = []
        check_scene(scene, told.append)
        texts = [event.text for event in told if isinstance(event, Warned) and "distilled" in event.text]
        assert len(texts) == warned
        assert all(f"{family} models are distilled for euler in" in text for text in texts)


@BY_QWEN
@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"canvas.width": 72}, "canvas.width: 72 is not a multiple of 16"),
        ({"sampler.tile": 72}, "sampler.tile: 72 is not a multiple of 16"),
        ({"sampler.kind": "ddim"}, "sampler.kind: ddim does not go with {family} models"),
        (
            {"background.negative_prompt": "fog"},
            "background.negative_prompt: this {family} model takes no negative",
        ),
        ({"sampler.guidance_scale": 2}, "sampler.guidance_scale: 2: this {family} model takes no negative"),
    ],
)
def test_scenes_that_do_not_suit_it_are_told(family, model, renderer, overrides, told):
    with pytest.raises(SceneError, match=told.format(family=family)):
        renderer.render(load_scene(SCENE, overrides={"model": model, **overrides}))


@BY_QWEN
def test_weights_that_are_not_distilled_are_not_sampled_by_lcm(family, renderer, tmp_path):
    """They take guidance and negatives instead."""
    base = str(ORDINARY[family](tmp_path / "base"))
    guided = {"sampler.guidance_scale": 2, "background.negative_prompt": "fog"}
    assert renderer.render(load_scene(SCENE, overrides={"model": base, **guided})).latents.isfinite().all()
    with pytest.raises(
        AssetError, match=rf"no LoRA is known that makes {family} models such; set sampler.kind to euler"
    ):
        renderer.render(load_scene(SCENE, overrides={"model": base, "sampler.kind": "lcm"}))
