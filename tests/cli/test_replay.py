"""Rendering a picture again, from itself or its scene: files that are not those of its recipe are told."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.cli.program import FLATLAND, no_weights, smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
sampler: {indices: [0, 25]}
model:
  base: ./model
  vae: ./vae
  loras: [{path: lora.safetensors, weight: 0.1}]
background: {prompt: grass, image: photo.png}
regions:
  - {name: sun, prompt: the sun, mask: sun.png}
  - {name: moon, prompt: the moon, mask: {box: [0.5, 0.5, 1, 1]}}
"""
ENDING = "is not the file that the recipe was made with"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a scene, its own copies of all files, and its picture."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(FLATLAND, folder / "model")
    shutil.copytree(FLATLAND / "vae", folder / "vae")
    shutil.copy(next((FLATLAND / "lcm_lora").glob("*.safetensors")), folder / "lora.safetensors")
    Image.new("RGB", (64, 64), "teal").save(folder / "photo.png")
    draw_mask(folder / "sun.png", 24)
    (folder / "day.yaml").write_text(SCENE)
    done = smd("generate", str(folder / "day.yaml"), "-o", str(folder / "day.png"))
    assert done.exit_code == 0, done.stderr
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


def draw_mask(path: Path, side: int) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, side, side))
    mask.save(path)


def change_weights(path: Path) -> None:
    weights = load_file(path)
    name = sorted(weights)[0]
    save_file({**weights, name: weights[name] * 1.01}, path)


CHANGES = {
    "mask": (lambda: draw_mask(Path("sun.png"), 48), "regions[0].mask: the mask of region 'sun', sun.png,"),
    "background": (
        lambda: Image.new("RGB", (64, 64), "navy").save("photo.png"),
        "background.image: the background picture, photo.png,",
    ),
    "lora": (
        lambda: change_weights(Path("lora.safetensors")),
        "model.loras[0]: the LoRA, lora.safetensors,",
    ),
    "vae": (
        lambda: change_weights(next(Path("vae").glob("*.safetensors"))),
        "model.vae: the autoencoder, ./vae,",
    ),
    "model": (
        lambda: change_weights(next(Path("model/unet").glob("*.safetensors"))),
        "model.base: the model's weights, ./model,",
    ),
    "lcm_lora": (
        lambda: change_weights(next(Path("model/lcm_lora").glob("*.safetensors"))),
        "model.lcm_lora: the LCM-LoRA",
    ),
}


@pytest.mark.parametrize("source", ["day.png", "again.yaml"])
def test_a_picture_is_rendered_again_to_the_byte(folder, source):
    Path("again.yaml").write_text(smd("inspect", "day.png", "--scene").stdout)
    done = smd("generate", source, "-o", "b.png", "--strict")
    assert (done.exit_code, "warning" in done.stderr) == (0, False), done.stderr
    assert Path("b.png").read_bytes() == Path("day.png").read_bytes()


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_named(folder, change, monkeypatch):
    make_change, names = CHANGES[change]
    make_change()
    line = f"{names} {ENDING}"
    told = smd("generate", "day.png", "-o", "b.png", "--json")
    assert told.exit_code == 0, told.stderr
    (warning,) = json.loads(told.stdout)["warnings"]
    assert f"{warning['key']}: {warning['text']}" == line
    assert (warning["file"], warning["option"]) == ("day.png", None)
    assert Path("b.png").read_bytes() != Path("day.png").read_bytes()
    Path("again.yaml").write_text(smd("inspect", "day.png", "--scene").stdout)

    no_weights(monkeypatch)
    strict = smd("generate", "again.yaml", "-o", "c.png", "--strict")
    assert strict.exit_code == 7, strict.stderr
    (error,) = strict.stderr.splitlines()
    assert error.startswith("again.yaml:")
    assert error.endswith(line)
    assert not Path("c.png").exists()


def test_check_and_plan_compare_pictures_too(folder):
    draw_mask(Path("sun.png"), 48)
    for command in ("check", "plan"):
        done = smd(command, "day.png")
        assert (done.exit_code, done.stderr.count(ENDING)) == (0, 1), done.stderr


def test_a_change_is_told_once_for_several_seeds(folder):
    draw_mask(Path("sun.png"), 48)
    done = smd("generate", "day.png", "--seed", "1,2")
    assert (done.exit_code, done.stderr.count(ENDING)) == (0, 1)


def test_a_place_without_a_file_is_told(folder):
    done = smd("generate", "day.png", "-o", "b.png", "--set", "regions[sun].mask=rest")
    assert "digests: the scene names no file at regions[sun].mask" in done.stderr


def test_a_stream_is_rendered_again_from_its_file_or_its_first_frame(folder):
    for name in ("a.gif", "frames/"):
        assert smd("stream", "day.yaml", "--frames", "2", "-o", name).exit_code == 0
        again = smd("stream", name, "-o", f"again_{name}", "--strict")
        assert again.exit_code == 0, again.stderr
    assert Path("again_a.gif").read_bytes() == Path("a.gif").read_bytes()
    assert Path("again_frames/000001.png").read_bytes() == Path("frames/000001.png").read_bytes()
    draw_mask(Path("sun.png"), 48)
    assert smd("stream", "a.gif", "-o", "c.gif", "--strict").exit_code == 7


@pytest.mark.parametrize(
    ("digests", "says"),
    [
        ("{model.base: abc}", "digests.'model.base': 'abc' is no SHA-256"),
        ("3", "digests: should be a mapping (key: value), not 3"),
    ],
)
def test_digests_that_are_none(folder, digests, says):
    Path("bad.yaml").write_text(f"{SCENE}digests: {digests}\n")
    done = smd("generate", "bad.yaml")
    assert (done.exit_code, says in done.stderr) == (3, True), done.stderr


def test_a_picture_without_a_recipe_is_no_scene(folder):
    done = smd("generate", "photo.png")
    assert (done.exit_code, "photo.png: carries no smd recipe" in done.stderr) == (4, True)
