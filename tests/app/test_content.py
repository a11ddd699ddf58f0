"""The content hash of a picture: what changes it, and what does not."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from smd_cli import load_scene
from smd_cli.app.existing import ComingRecipes
from smd_cli.app.recipes import RENDERING_VERSION
from smd_cli.app.settings import RenderSettings
from smd_cli.media.recipe import Recipe
from smd_cli.media.recipe_content import content_digest
from tests.cli.program import FLATLAND

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
sampler: {indices: [0, 25]}
model:
  base: ./model
  vae: ./vae
  loras:
    - {path: ./style/adapter_model.safetensors, weight: 0.1}
    - {path: sea.safetensors, weight: 0.1}
  textual_inversions: [{path: ./words/cat.safetensors}]
background: {prompt: grass, image: photo.png}
regions:
  - {name: sun, prompt: the sun, mask: sun.png}
  - {name: moon, prompt: the moon, mask: moon.png}
  - {name: sea, prompt: the sea, mask: {image: map.png, color: "#0000ff"}}
"""
PICTURES = {"photo.png": "teal", "sun.png": "sun", "moon.png": "moon", "map.png": "navy"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a scene and its own copies of all files."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(FLATLAND, folder / "model")
    shutil.copytree(FLATLAND / "vae", folder / "vae")
    lora = next((FLATLAND / "lcm_lora").glob("*.safetensors"))
    (folder / "style").mkdir()
    shutil.copy(lora, folder / "style/adapter_model.safetensors")
    (folder / "style/adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 4}')
    save_file({name: tensor * 2 for name, tensor in load_file(lora).items()}, folder / "sea.safetensors")
    width = json.loads((FLATLAND / "text_encoder/config.json").read_text())["hidden_size"]
    (folder / "words").mkdir()
    save_file({"emb_params": _vector(width)}, folder / "words/cat.safetensors")
    for index, name in enumerate(PICTURES):
        draw(folder / name, 16 + 8 * index)
    (folder / "day.yaml").write_text(SCENE)
    return folder


def _vector(width: int):
    import torch

    return torch.ones(1, width)


def draw(path: Path, side: int) -> None:
    image = Image.new("RGB", (64, 64))
    ImageDraw.Draw(image).rectangle((0, 0, side, side), "white")
    ImageDraw.Draw(image).rectangle((40, 40, 60, 60), "blue")
    image.save(path)


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


def coming(scene: str | Path = "day.yaml", seed: int = 5, **overrides: object) -> Recipe:
    changes = {key.replace("__", "."): value for key, value in overrides.items()}
    return ComingRecipes(load_scene(scene, overrides=changes), RenderSettings(offline=True)).of(seed)


def change_weights(path: str) -> None:
    weights = load_file(path)
    name = sorted(weights)[0]
    save_file({**weights, name: weights[name] * 1.01}, path)


def change_json(path: str) -> None:
    config = json.loads(Path(path).read_text())
    Path(path).write_text(json.dumps({**config, "note": 1}))


def swap(one: str, other: str) -> None:
    Path(one).rename("aside")
    Path(other).rename(one)
    Path("aside").rename(other)


def edit(before: str, after: str) -> None:
    text = Path("day.yaml").read_text()
    assert before in text
    Path("day.yaml").write_text(text.replace(before, after))


def reorder_regions() -> None:
    lines = Path("day.yaml").read_text().splitlines()
    Path("day.yaml").write_text("\n".join([*lines[:-2], lines[-1], lines[-2]]))


def renamed_word() -> None:
    """The word of a file that does not tell it is the file's name."""
    Path("words/cat.safetensors").rename("words/dog.safetensors")
    edit("words/cat", "words/dog")


SHAPES: dict[str, Callable[[], object]] = {
    "prompt": lambda: edit("the sun", "the  Sun"),
    "sampler": lambda: edit("[0, 25]", "[0, 30]"),
    "order of regions": lambda: edit(
        "{name: sun, prompt: the sun, mask: sun.png}", "&x {name: a, prompt: b, mask: rest}"
    ),
    "mask": lambda: draw(Path("sun.png"), 40),
    "masks swapped": lambda: swap("sun.png", "moon.png"),
    "background": lambda: draw(Path("photo.png"), 40),
    "painted map": lambda: draw(Path("map.png"), 50),
    "unet": lambda: change_weights("model/unet/diffusion_pytorch_model.safetensors"),
    "text encoder": lambda: change_weights("model/text_encoder/model.safetensors"),
    "vae": lambda: change_weights(str(next(Path("vae").glob("*.safetensors")))),
    "lora": lambda: change_weights("sea.safetensors"),
    "loras swapped": lambda: swap("sea.safetensors", "style/adapter_model.safetensors"),
    "scale of a lora": lambda: Path("style/adapter_config.json").write_text('{"lora_alpha": 8}'),
    "no scale of a lora": lambda: Path("style/adapter_config.json").unlink(),
    "weight of a lora": lambda: edit("sea.safetensors, weight: 0.1", "sea.safetensors, weight: 0.2"),
    "lcm lora": lambda: change_weights(str(next(Path("model/lcm_lora").glob("*.safetensors")))),
    "learned word": lambda: change_weights("words/cat.safetensors"),
    "name of a learned word": renamed_word,
    "unet's config": lambda: change_json("model/unet/config.json"),
    "vae's config": lambda: change_json("vae/config.json"),
    "text encoder's config": lambda: change_json("model/text_encoder/config.json"),
    "scheduler": lambda: change_json("model/scheduler/scheduler_config.json"),
    "tokenizer": lambda: change_json("model/tokenizer/tokenizer_config.json"),
    "no tokenizer's config": lambda: Path("model/tokenizer/tokenizer_config.json").unlink(),
}


@pytest.mark.parametrize("change", SHAPES)
def test_what_shapes_the_picture_changes_its_hash(folder, change):
    before = coming()
    SHAPES[change]()
    now = coming()
    assert before.sha256 != now.sha256
    assert before.differences(now)


def test_each_seed_and_model_family_has_its_own(folder):
    recipe = coming()
    others = [
        coming(seed=6),
        replace(recipe, family="other"),
        replace(recipe, rendering=RENDERING_VERSION + 1),
    ]
    assert len({each.sha256 for each in [recipe, *others]}) == 4
    assert all(map(recipe.differences, others))


def renamed_files() -> None:
    """Everything lies elsewhere, under another name."""
    for name in (*PICTURES, "sea.safetensors", "vae", "model"):
        Path("moved").mkdir(exist_ok=True)
        Path(name).rename(f"moved/x_{name}")
        edit(
            f"./{name}" if f"./{name}" in Path("day.yaml").read_text() else name,
            f"{Path.cwd()}/moved/x_{name}",
        )


def otherwise_written() -> None:
    text = Path("day.yaml").read_text()
    lines = text.replace("seed: 5", "seed: '5'").replace("weight: 0.1", "weight: 1.0e-1").splitlines()
    head, rest = lines[:4], lines[4:]
    Path("day.yaml").write_text("\n".join(["# a comment", *rest, *head[::-1], "task: generate"]))


def other_folder() -> None:
    here = Path.cwd()
    shutil.move(here, here.with_name("elsewhere"))
    here.symlink_to("elsewhere")


SAME: dict[str, Callable[[], object]] = {
    "names and folders of files": renamed_files,
    "written otherwise": otherwise_written,
    "defaults": lambda: edit("background:", "masks: {type: discrete}\nbootstrap: {steps: 2}\nbackground:"),
    "for streams": lambda: edit("regions:", "stream: {frames: 3}\nregions:"),
    "times of files": lambda: Path("sun.png").touch(),
    "folder": other_folder,
    "what is not read": lambda: Path("model/README.md").write_text("news"),
}


@pytest.mark.parametrize("change", SAME)
def test_what_does_not_shape_the_picture_leaves_its_hash(folder, change):
    before = coming()
    SAME[change]()
    now = coming()
    assert before.differences(now) == []
    assert before.sha256 == now.sha256


def test_values_that_look_alike():
    digests = [content_digest(value) for value in (1, "1", True, [1], None, "null", {"1": 1}, {}, [], [[]])]
    assert len(set(digests)) == len(digests)
    assert content_digest(["a", "b"]) != content_digest(["ab"]) != content_digest("a", "b")
    assert content_digest(1.0, -0.0) == content_digest(1, 0) != content_digest(1.5, 0)
    assert content_digest({"a": 1, "b": 2}) == content_digest({"b": 2, "a": 1})
    assert content_digest(2**63 - 1) != content_digest(2**63 - 2)


def test_files_are_not_their_list(tmp_path):
    """A folder of one frame, and the frame; configs that changed their names."""
    from smd_cli.app.named_files import NamedFile

    for name in "ab":
        (tmp_path / name).write_text(name)
    a, b = tmp_path / "a", tmp_path / "b"
    digests = [
        NamedFile(("x",), "", "", (a,)).sha256,
        NamedFile(("x",), "", "", (a,), is_list=True).sha256,
        NamedFile(("x",), "", "", (a, b), is_list=True).sha256,
        NamedFile(("x",), "", "", (b, a), is_list=True).sha256,
        NamedFile(("x",), "", "", (a, b), labels=("1", "2")).sha256,
        NamedFile(("x",), "", "", (b, a), labels=("1", "2")).sha256,
    ]
    assert len(set(digests)) == len(digests)
    assert digests[4] == NamedFile(("x",), "", "", (b, a), labels=("2", "1")).sha256


def test_recipes_of_before_know_no_config(folder):
    now = coming()
    data = now.to_data()
    del data["rendering"], data["digests"]["model.config"]
    before = Recipe.from_data(data)
    told = f"made by rendering version 1 of smd, now {RENDERING_VERSION}"
    assert (before.rendering, before.differences(now)) == (1, [told])
    same = replace(before, rendering=RENDERING_VERSION)
    assert (same.differences(now), now.differences(same)) == ([], [])
    del data["digests"]["regions[sun].mask"]
    assert Recipe.from_data(data).differences(now) == ["regions[sun].mask is another file", told]


def test_two_maps_of_the_same_bytes_are_one(folder):
    """Their colours share the pixels, as those of one map do: pictures do not depend on names."""
    image = Image.new("RGB", (64, 64), "#0000ff")
    ImageDraw.Draw(image).rectangle((0, 0, 30, 63), "#0a00f5")  # blue, unless another colour is nearer
    image.save("map.png")
    shutil.copy("map.png", "again.png")
    color = "  - {{name: near, prompt: x, mask: {{image: {}, color: '#0c00f3'}}}}\n"
    scenes = [load_scene(SCENE + color.format(name)) for name in ("map.png", "again.png")]
    one, two = ([mask.tobytes() for mask in scene.images.masks] for scene in scenes)
    assert one == two
    assert scenes[0].images.masks[2].getpixel((0, 0)) == 0
