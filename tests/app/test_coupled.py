"""Coupled views from a scene to its pictures: what they equal, take, and do not go with."""

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
from smd_cli.errors import SceneError
from tests.app.test_families import MAKERS
from tests.cli.program import smd as program

SCENE = """\
smd: 1
canvas: {width: 128, height: 64}
seed: 3
sampler: {steps: 3, indices: [0, 1, 2], tile: 64, late: coupled}
bootstrap: {steps: 1}
masks: {std: 0}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: {box: [0, 0, 0.4, 1]}, negative_prompt: a house}
  - {name: tree, prompt: a tree, mask: {box: [0.3, 0.25, 1, 1]}}
"""
# Three tiles: sun and tree weigh in the first, grass beside them in the second, grass and tree in the third.
VIEWS = [2 + 3 + 2, 3, 3]


@pytest.fixture(scope="module", params=["flatland", "sd15", "sdxl"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The embedded model, and small random checkpoints."""
    if request.param == "flatland":
        return {"base": "flatland"}
    folder = MAKERS[request.param](tmp_path_factory.mktemp(request.param))
    return {"base": str(folder), "lcm_lora": "none"}


@pytest.fixture(scope="module")
def renderer() -> Iterator[smd.Renderer]:
    with smd.Renderer(offline=True) as one:
        yield one


@pytest.fixture
def load(model: dict[str, str]):
    def load(text: str = SCENE, **overrides: object) -> smd.OpenedScene:
        named = {key.replace("__", "."): value for key, value in overrides.items()}
        return smd.load_scene(text, overrides={"model": model, **named})

    return load


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ModelInput]:
    """What the model was asked so far."""
    found: list[ModelInput] = []
    evaluate = Evaluator.__call__

    def watch(self: Evaluator, rows: ModelInput) -> Tensor:
        found.append(rows)
        return evaluate(self, rows)

    monkeypatch.setattr(Evaluator, "__call__", watch)
    return found


def latents(renderer: smd.Renderer, scene: smd.OpenedScene) -> Tensor:
    return renderer.render(scene).latents.float()


def test_a_picture_takes_what_was_planned(load, renderer, asked) -> None:
    scene = load(sampler__guidance_scale=2)
    forecast, picture = smd.plan(scene).forecast, renderer.render(scene)
    assert [step.views for step in forecast.steps] == VIEWS
    assert [step.coupled for step in forecast.steps] == [False, True, True]
    assert [step.without_savings for step in forecast.steps] == [2 * 3 * 3] * 3
    assert picture.work == forecast.work
    assert sum(map(len, asked)) == forecast.work.model_evaluations == 2 * sum(VIEWS)
    of_step = [rows.coupling is not None for rows in asked]
    assert of_step == sorted(of_step)  # first the bootstrapped one, then the coupled ones
    assert any(of_step)


def test_a_stream_takes_what_was_planned_a_frame(load, renderer, asked) -> None:
    scene = load(task="stream", stream={"frames": 5})
    frames = list(renderer.stream(scene))
    assert len(frames) == 5
    planned = smd.plan(scene).forecast.work.model_evaluations
    assert sum(map(len, asked)) == 5 * planned == 5 * sum(VIEWS)
    mixed = [rows.coupling.rows for rows in asked if rows.coupling is not None]
    assert any(1 in map(rows.count, rows) and max(map(rows.count, rows)) > 1 for rows in mixed)


def test_of_one_prompt_they_are_what_views_are(load, renderer) -> None:
    alone = {"regions": [], "bootstrap.steps": 0}
    coupled, plain = (latents(renderer, load(sampler__late=late, **alone)) for late in ("coupled", "views"))
    assert torch.equal(coupled, plain)


def test_of_regions_of_one_prompt_they_are_what_that_is(load, renderer) -> None:
    """Each attends to the same words, whatever the shares."""
    same = {f"regions[{place}].prompt": "grass" for place in (0, 1)}
    same |= {"regions[0].negative_prompt": "", "bootstrap.steps": 0, "sampler.guidance_scale": 2}
    coupled = latents(renderer, load(**same))
    plain = latents(renderer, load(**{**same, "regions": [], "sampler.late": "views"}))
    torch.testing.assert_close(coupled, plain, rtol=1e-4, atol=2e-4)


APART = """\
smd: 1
canvas: {width: 128, height: 64}
seed: 3
sampler: {steps: 3, indices: [0, 1, 2], tile: 64, overlap: 0}
bootstrap: {steps: 1}
masks: {std: 0}
regions:
  - {name: sun, prompt: the sun, mask: {box: [0, 0, 0.4, 1]}}
  - {name: tree, prompt: a tree, mask: {box: [0.6, 0.25, 1, 1]}}
"""


def test_masks_that_lie_in_tiles_of_their_own_are_what_views_are(load, renderer, asked) -> None:
    """To the bit: a tile of one region is asked about alike."""
    coupled, plain = (latents(renderer, load(APART, sampler__late=late)) for late in ("coupled", "views"))
    assert torch.equal(coupled, plain)
    assert {rows.coupling for rows in asked} == {None}


def test_late_steps_are_another_picture_where_regions_share_a_tile(load, renderer) -> None:
    coupled, plain = (latents(renderer, load(sampler__late=late)) for late in ("coupled", "views"))
    assert (coupled - plain).abs().max() > 0.01
    bootstrapped = {"bootstrap.steps": 3}
    coupled, plain = (
        latents(renderer, load(sampler__late=late, **bootstrapped)) for late in ("coupled", "views")
    )
    assert torch.equal(coupled, plain)


def test_frames_that_share_batches_are_the_picture_of_their_scene(load, renderer) -> None:
    settings = {"sampler.guidance_scale": 1.5, "sampler.guidance": "self"}
    still = renderer.render(load(**settings)).image
    stream = {"frames": 5, "buffer": 3}
    for frame in renderer.stream(load(task="stream", stream=stream, **settings)):
        assert np.abs(np.asarray(frame.image).astype(int) - np.asarray(still)).max() <= 1


def test_a_panorama_is_coupled_from_the_first_step_on(load, renderer, asked) -> None:
    wrapped = {"width": 128, "height": 64, "wrap": "x"}
    scene = load(task="panorama", canvas=wrapped, bootstrap={})
    assert all(step.coupled for step in smd.plan(scene).forecast.steps)
    picture = renderer.render(scene)
    assert sum(map(len, asked)) == picture.work.model_evaluations == 3 * 4
    assert np.asarray(picture.image).std() > 1


def test_a_picture_keeps_what_no_mask_covers(load, renderer, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    background = {"image": str(tmp_path / "photo.png")}
    boxes = {"regions[0].mask": {"box": [0.5, 0, 0.8, 1]}, "regions[1].mask": {"box": [0.7, 0, 1, 1]}}
    found = np.asarray(renderer.render(load(task="inpaint", background=background, **boxes)).image)
    assert (found[:, :64] == noise[:, :64]).all()
    assert np.abs(found[:, 64:].astype(int) - noise[:, 64:]).mean() > 5


@pytest.mark.parametrize(
    ("place", "written"),
    [
        ("regions[0].loras", {"regions[0].loras": [{"path": "./a.safetensors"}]}),
        ("background.loras", {"background.loras": [{"path": "./a.safetensors"}]}),
        (
            "stream.timeline[0].loras",
            {"stream.timeline": [{"at": 1, "region": "sun", "loras": [{"path": "./a.safetensors"}]}]},
        ),
        (
            "stream.timeline[0].background.loras",
            {"stream.timeline": [{"at": 1, "background": {"loras": [{"path": "./a.safetensors"}]}}]},
        ),
    ],
)
def test_own_loras_are_refused_where_they_are_written(place, written) -> None:
    with pytest.raises(SceneError) as caught:
        smd.load_scene(SCENE, overrides={"task": "stream", **written})
    (problem,) = str(caught.value).splitlines()
    assert f"{place}: does not go with sampler.late: coupled" in problem
    assert "give the LoRA to the whole model" in problem
    smd.load_scene(SCENE, overrides={"task": "stream", "sampler.late": "views", **written})
    without = {key: [] if key.endswith("loras") else value for key, value in written.items()}
    if without != written:
        smd.load_scene(SCENE, overrides=without)


def test_the_plan_tells_which_steps_are_coupled(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SCENE)
    coupled = "late      steps 2-3 coupled: one evaluation a tile, not the picture of views\n"
    assert coupled in program("plan", "s.yaml").stdout
    assert "step 3 coupled" in program("plan", "s.yaml", "--set", "bootstrap.steps=2").stdout
    for none in ("sampler.late=views", "bootstrap.steps=3"):
        assert "coupled" not in program("plan", "s.yaml", "--set", none).stdout


UNDER_A_PICTURE = {
    "regions": [{"name": "sun", "prompt": "the sun", "mask": {"box": [0, 0, 0.4, 1]}}],
    "background.image": "photo.png",
}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, []),
        ({"bootstrap.steps": 3}, ["coupled has no effect where all steps are bootstrapped"]),
        ({"regions": []}, ["coupled has no effect on a scene of one prompt"]),
        ({"regions": [], "sampler.late": "views"}, []),
        ({"background.prompt": ""}, []),
        (UNDER_A_PICTURE, ["coupled has no effect on a scene of one prompt"]),
        ({**UNDER_A_PICTURE, "background.strength": 0.5}, []),
        ({**UNDER_A_PICTURE, "background.fit": "contain"}, []),
        ({**UNDER_A_PICTURE, "background.place": [8, 0]}, []),
    ],
)
def test_where_it_has_no_effect_a_warning_says_so(settings, told, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("photo.png")
    warnings = [str(each) for each in smd.load_scene(SCENE, overrides=settings).warnings]
    assert [each.partition("sampler.late: ")[2] for each in warnings if "coupled" in each] == told
