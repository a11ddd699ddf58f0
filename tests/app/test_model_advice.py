"""What a model folder recommends, from its file to the picture; and which sampler its family usually has."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import smd_cli as smd
from smd_cli.app.checking import check_scene
from smd_cli.app.lock.lockfile import read_lock
from smd_cli.engine.events import Warned
from smd_cli.errors import AssetError
from smd_cli.media.stills import encode_still
from smd_cli.models.configs import DEFAULTS
from tests.checkpoints import klein, zimage
from tests.cli import program
from tests.media.recipes import small_recipe

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
background: {prompt: grass}
regions: [{name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 1]}}]
"""
ADVICE = """\
smd: 1
bootstrapped:
  sampler: {indices: [0, 30]}
  bootstrap: {steps: 1, mix_steps: 1}
  masks: {std: 2}
"""


def folder_like_flatland(folder: Path, advice: str | None = None) -> Path:
    """The embedded model as a folder, and what it recommends."""
    without = shutil.ignore_patterns(DEFAULTS)
    shutil.copytree(program.FLATLAND, folder, copy_function=os.symlink, ignore=without)
    if advice is not None:
        (folder / DEFAULTS).write_text(advice)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a scene, and a model that recommends something to it."""
    monkeypatch.chdir(tmp_path)
    folder_like_flatland(tmp_path / "model", ADVICE)
    (tmp_path / "scene.yaml").write_text(f"{SCENE}model: ./model\n")
    return tmp_path


def test_a_folder_without_the_file_has_the_published_defaults(tmp_path):
    scene = smd.load_scene(SCENE, overrides={"model": str(folder_like_flatland(tmp_path / "model"))})
    assert scene.recommended == {}
    assert scene.plan.sampler.indices == (0, 4, 12, 25, 37)
    assert (scene.plan.bootstrap.steps, scene.plan.bootstrap.mix_steps) == (2, 1.5)


def test_the_embedded_model_recommends_to_scenes_with_regions():
    assert "bootstrap.steps" in smd.load_scene(SCENE).recommended
    assert smd.load_scene(SCENE.partition("regions")[0]).recommended == {}
    assert smd.load_scene(SCENE, overrides={"task": "panorama"}).recommended == {}


def test_what_is_recommended_is_planned_rendered_and_written(here):
    """A picture is made again the same, whatever its model recommends later."""
    path = here / "scene.yaml"
    planned = smd.plan(smd.load_scene(path))
    assert planned.recommended["sampler.indices"] == (0, 30)
    assert len(planned.forecast.steps) == 2
    with smd.Renderer(offline=True) as renderer:
        picture = renderer.render(smd.load_scene(path))
        picture.save(here / "a.png")
        (here / "model" / DEFAULTS).write_text(ADVICE.replace("30", "40"))
        other = renderer.render(smd.load_scene(path))
        again = renderer.render(smd.load_scene(here / "a.png", base_dir=here))
    assert (np.asarray(again.image) == np.asarray(picture.image)).all()
    assert (np.asarray(other.image) != np.asarray(picture.image)).any()
    assert picture.recipe.scene["sampler"]["indices"] == [0, 30]
    assert picture.recipe.scene["regions"][0]["mask_std"] == 2
    assert picture.recipe.scene["model"]["family"] == "auto"  # as the scene says


def test_a_recipe_without_a_key_has_the_program_s_default(here):
    """As its picture had, made before the key was known: not what a model recommends of it now."""
    recipe = smd.load_scene("scene.yaml").plan.to_dict()
    del recipe["masks"]["cover_alpha"]
    texts = replace(small_recipe({"prompt": "", "negative_prompt": ""}), scene=recipe).texts()
    Path("a.png").write_bytes(encode_still(Image.new("RGB", (64, 64)), ".png", texts))
    (here / "model" / DEFAULTS).write_text("smd: 1\nmasks: {cover_alpha: 0.1}\n")
    assert smd.load_scene("scene.yaml").plan.masks.cover_alpha == 0.1
    assert smd.load_scene("a.png").plan.masks.cover_alpha == 0.3


def test_what_is_recommended_in_vain_is_no_warning(here):
    (here / "model" / DEFAULTS).write_text("smd: 1\nsampler: {late: coupled}\n")
    assert "sampler.late coupled  recommended" in program.smd("plan", "scene.yaml").stdout
    everything = {"bootstrap.steps": 5}
    assert smd.load_scene("scene.yaml", overrides=everything).warnings == ()
    (warning,) = smd.load_scene("scene.yaml", overrides={**everything, "sampler.late": "coupled"}).warnings
    assert "no effect where all steps are bootstrapped" in warning
    scene = smd.load_scene("scene.yaml", overrides=everything)
    with smd.Renderer(offline=True) as renderer:
        renderer.render(scene).save("a.png")
    assert smd.load_scene("a.png").warnings == ()  # whose recipe has the value too
    (warning,) = smd.load_scene("a.png", overrides={"sampler.late": "coupled"}).warnings
    assert warning.place.is_option


def test_a_scale_that_turns_recommended_guidance_off_is_no_mistake(here):
    advice = "smd: 1\nsampler: {guidance: self, guidance_scale: 1.5, delta: 0.5, guidance_rescale: 0.5}\n"
    (here / "model" / DEFAULTS).write_text(advice)
    assert smd.load_scene("scene.yaml", overrides={"sampler.guidance_scale": 1}).warnings == ()
    (warning,) = smd.load_scene(
        "scene.yaml", overrides={"sampler.guidance_scale": 1, "sampler.delta": 2}
    ).warnings
    assert "sampler.delta: has no effect with guidance_scale: 1" in warning


def test_plan_and_info_tell_what_is_recommended(here):
    told = program.smd("plan", "scene.yaml").stdout
    assert "recommended by the model" in told
    assert "sampler.indices [0, 30]" in told
    document = json.loads(program.smd("plan", "scene.yaml", "--json", "--set", "masks.std=0").stdout)
    assert document["recommended"] == {
        "bootstrap.mix_steps": 1,
        "bootstrap.steps": 1,
        "sampler.indices": [0, 30],
    }
    assert "bootstrapped.masks.std 2" in program.smd("models", "info", "./model").stdout
    assert json.loads(program.smd("models", "info", "./model", "--json").stdout)["recommended"] == {
        "bootstrapped.sampler.indices": [0, 30],
        "bootstrapped.bootstrap.steps": 1,
        "bootstrapped.bootstrap.mix_steps": 1,
        "bootstrapped.masks.std": 2,
    }


def test_a_lock_tells_that_the_model_recommends_something_else(here):
    assert program.smd("lock", "scene.yaml").exit_code == 0
    assert read_lock("smd.lock").pictures[0].recipe.scene["sampler"]["indices"] == [0, 30]
    (here / "model" / DEFAULTS).write_text(ADVICE.replace("30", "40").replace("std: 2", "std: 3"))
    done = program.smd("generate", "scene.yaml", "--locked", "-o", "a.png")
    assert done.exit_code == 7
    assert done.stderr.splitlines() == [
        f"./model/{DEFAULTS}:3:22: sampler.indices: [0, 30] in smd.lock, now [0, 40], which the model "
        "recommends",
        "scene.yaml:4:11: regions[0].mask_std: 2.0 in smd.lock, now 3.0, which the model recommends",
    ]


@pytest.mark.parametrize(
    ("advice", "told"),
    [
        ("smd: 1\nmodel: {base: /etc/passwd}\n", ":2:1: model: unknown key"),
        (
            "smd: 1\nsampler: {steps: 5000, kindd: 1}\n",
            ":2:18: sampler.steps: 5000 is above 1000 (and 1 more",
        ),
        ("smd: 1\n# " + "x" * 2**16, ": is larger than 64 KiB"),
        ("smd: 1\nsampler: {indices: &a [0]}\nx: [*a, *a]\n", ":3:1: x: unknown key"),
        ("smd: 1\nsampler: \x07\n", ":2:10: YAML syntax: a control character"),
        ("[" * 1000, ":1:"),
    ],
)
def test_a_file_that_no_scene_can_follow_is_told_in_one_line(here, advice, told, monkeypatch):
    (here / "model" / DEFAULTS).write_text(advice)
    program.no_weights(monkeypatch)
    for command in (["check"], ["plan"], ["generate", "-o", "a.png"], ["generate", "--dry-run"]):
        done = program.smd(command[0], "scene.yaml", *command[1:])
        assert done.exit_code == 4, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"./model/{DEFAULTS}{told}")
    assert not (here / "a.png").exists()
    assert told.lstrip(": ") in program.smd("models", "info", "./model").stdout.replace("\n", "")


def test_a_file_that_is_no_text_is_told(here):
    (here / "model" / DEFAULTS).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AssetError, match=f"^./model/{DEFAULTS}: no UTF-8 text"):
        smd.load_scene("scene.yaml")
    (here / "model" / DEFAULTS).unlink()
    os.mkfifo(here / "model" / DEFAULTS)
    with pytest.raises(AssetError, match=f"^./model/{DEFAULTS}: is a pipe, not a regular file"):
        smd.load_scene("scene.yaml")
    (here / "model" / DEFAULTS).unlink()
    (here / "model" / DEFAULTS).mkdir()  # whose name, as a folder, is none of the model's files
    with pytest.raises(AssetError, match=f"^./model/{DEFAULTS}: cannot be read: Is a directory"):
        smd.load_scene("scene.yaml")


@pytest.mark.parametrize(
    ("make", "family", "steps"), [(klein.make_folder, "klein", 4), (zimage.make_folder, "zimage", 8)]
)
def test_the_usual_sampler_follows_the_family_that_the_files_tell(make, family, steps, tmp_path):
    base = str(make(tmp_path / family))
    alone = SCENE.partition("regions")[0]
    scene, told = smd.load_scene(alone, overrides={"model": base}), []
    assert (scene.plan.sampler.kind, scene.plan.sampler.steps) == ("euler", steps)
    check_scene(scene, told.append)
    assert [event for event in told if isinstance(event, Warned)] == []
    assert smd.load_scene(alone, overrides={"model": base, "sampler.kind": "lcm"}).plan.sampler.kind == "lcm"


def test_a_model_that_comes_after_the_scene_was_opened_is_asked_again(tmp_path):
    scene = smd.load_scene(SCENE, overrides={"model": str(tmp_path / "model")})
    assert scene.plan.sampler.indices == (0, 4, 12, 25, 37)
    folder_like_flatland(tmp_path / "model", ADVICE)
    with smd.Renderer(offline=True) as renderer:
        assert renderer.render(scene).recipe.scene["sampler"]["indices"] == [0, 30]


@pytest.mark.parametrize(
    "wrong",
    [
        "regions: 1",
        "regions: {a: 1}",
        "regions: [1]",
        "stream: {timeline: 3}",
        "sampler: {indices: 3}",
        "masks: 4",
    ],
)
def test_a_list_that_is_none_is_told_before_anything_is_recommended(wrong):
    """What a scene leaves to its model is asked of data that nothing has checked yet."""
    region = "" if "regions" in wrong else "regions: [{name: a, prompt: a, mask: rest}]\n"
    with pytest.raises(smd.SceneError) as caught:
        smd.load_scene(f"smd: 1\ncanvas: {{width: 64, height: 64}}\n{region}{wrong}\n")
    assert caught.value.problems[0].place.key.startswith(wrong.split(":")[0])
