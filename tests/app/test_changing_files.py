"""Files that change while scenes are rendered: a recipe tells what was read, not what lies there by then."""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from smd_cli import Renderer, load_scene
from smd_cli.app.models import load_found
from smd_cli.errors import AssetError
from smd_cli.media import plan_images
from tests.cli.program import FLATLAND

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
model: ./model
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions: [{name: sun, prompt: the sun, mask: sun.png}]
"""
UNET = Path("model/unet/diffusion_pytorch_model.safetensors")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A scene, its mask, and a model whose weights are of the type in which they are used."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FLATLAND, "model")
    for path in Path("model").rglob("*.safetensors"):
        save_file({name: tensor.float() for name, tensor in load_file(path).items()}, path)
    draw_mask(20)
    Path("day.yaml").write_text(SCENE)


def draw_mask(side: int) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, side, side))
    mask.save("sun.png")


def digest(path: Path | str) -> str:
    return sha256(Path(path).read_bytes()).hexdigest()


def test_a_loaded_model_stays_what_it_was():
    """Whatever is written into its files: in place, or less than there was."""
    scene, before = load_scene("day.yaml"), digest(UNET)
    with Renderer() as renderer:
        pictures = [renderer.render(scene)]
        weights = UNET.read_bytes()
        for bytes_now in (weights[: len(weights) // 2] + bytes(len(weights) // 2), b"x"):
            with UNET.open("r+b") as file:
                file.write(bytes_now)
                file.truncate()
            pictures.append(renderer.render(load_scene("day.yaml")))
    assert len({picture.pixels_sha256 for picture in pictures}) == 1
    assert {picture.recipe.digests["model.base"] for picture in pictures} == {
        pictures[0].recipe.digests["model.base"]
    }
    assert digest(UNET) != before


def test_a_model_that_changes_while_it_is_loaded(monkeypatch):
    def change(*arguments):
        UNET.touch()
        return load_found(*arguments)

    monkeypatch.setattr("smd_cli.app.models.load_found", change)
    with Renderer() as renderer, pytest.raises(AssetError, match="has changed while the model was loaded"):
        renderer.render(load_scene("day.yaml"))


def test_a_recipe_tells_of_the_mask_that_was_painted():
    scene, before = load_scene("day.yaml"), digest("sun.png")
    draw_mask(40)
    with Renderer() as renderer:
        assert renderer.render(scene).recipe.digests["regions[sun].mask"] == before
        now = renderer.render(load_scene("day.yaml")).recipe
    assert now.digests["regions[sun].mask"] == digest("sun.png") != before


def test_a_mask_that_changes_while_it_is_painted(monkeypatch):
    """It is painted again, until its digest is that of what was painted."""

    def change(*arguments):
        read = whole(*arguments)
        draw_mask(sides.pop() if len(sides) > 1 else next(iter(sides)))
        return read

    whole, sides = plan_images.read_mask, [30, 40]
    monkeypatch.setattr(plan_images, "read_mask", change)
    scene = load_scene("day.yaml")
    assert scene.painted_digests["regions[sun].mask"] == digest("sun.png")
    assert scene.images.masks[0].tobytes() == Image.open("sun.png").tobytes()

    monkeypatch.setattr(
        plan_images, "read_mask", lambda *arguments: (whole(*arguments), draw_mask(next(more)))[0]
    )
    more = iter(range(10, 60))
    with pytest.raises(AssetError, match="written while they are read"):
        load_scene("day.yaml")
