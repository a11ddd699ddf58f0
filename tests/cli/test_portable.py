"""Recipes tell nothing of the machine: no output of any format names a folder outside the scene's."""

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from smd_cli.media.recipe import read_recipe
from tests.cli.program import FLATLAND, smd

MARK = "zqmarker"
SCENE = """\
smd: 1
canvas: {{width: 64, height: 64}}
seed: 5
sampler: {{indices: [0, 25]}}
model: {{base: {model}}}
background: {{prompt: grass, image: {outside}/photo.png}}
regions:
  - {{name: sun, prompt: "the sun,\\n\\tlow\\n", mask: {outside}/mask.png}}
  - {{name: moon, prompt: 'the "moon" | far', mask: {inside}/masks/moon.png}}
  - {{name: cat, prompt: a cat, mask: masks/cat.png}}
stream:
  frames: 2
  strength: 0.5
  input: {outside}/frames/*.png
  timeline:
    - {{at: 1, region: sun, mask: {outside}/second.png}}
    - {{at: 1, background: {{image: {outside}/later.png}}}}
"""


def draw(path: Path, box: tuple[int, int, int, int], color: str = "white") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (64, 64))
    ImageDraw.Draw(image).rectangle(box, fill=color)
    image.save(path)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    inside, outside = tmp_path / MARK / "scenes", tmp_path / MARK / "elsewhere"
    for name in ("photo", "mask", "second", "later", "frames/1", "frames/2"):
        draw(outside / f"{name}.png", (8, 8, 40, 40), "teal")
    draw(inside / "masks/moon.png", (40, 0, 64, 30))
    draw(inside / "masks/cat.png", (0, 30, 30, 64))
    (outside / "my_model").symlink_to(FLATLAND)
    text = SCENE.format(inside=inside, outside=outside, model=outside / "my_model")
    (inside / "day.yaml").write_text(text)
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    return str(inside / "day.yaml")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif"])
def test_a_picture_tells_no_folder(scene, name):
    done = smd("generate", scene, "-o", name)
    assert done.exit_code == 0, done.stderr
    check_file(Path(name))
    written = read_recipe(Path(name)).scene
    assert written["model"]["base"] == "./my_model"
    assert written["background"]["image"] == "./photo.png"
    masks = [region["mask"]["image"] for region in written["regions"]]
    assert masks == ["./mask.png", "./masks/moon.png", "masks/cat.png"]


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng", "a.mp4", "frames/"])
def test_a_stream_tells_no_folder(scene, name):
    done = smd("stream", scene, "-o", name)
    assert done.exit_code == 0, done.stderr
    path = Path(name)
    for file in path.iterdir() if path.is_dir() else [path]:
        check_file(file)


def check_file(path: Path) -> None:
    data = path.read_bytes()
    assert MARK.encode() not in data
    text = read_recipe(path).to_json()  # texts in the file may be compressed
    assert MARK not in text
    assert str(Path.home()) not in text
    assert '"/' not in text
    assert MARK not in smd("inspect", str(path)).stdout


def test_options_name_files_as_the_scene_would(scene, tmp_path, monkeypatch):
    """From the folder above the scene's, and where that tells more than was given: by the bare name."""
    monkeypatch.chdir(tmp_path / MARK)
    arguments = ("stream", "scenes/day.yaml", "--input", "elsewhere/frames", "--model", "elsewhere/my_model")
    assert smd(*arguments, "-o", "a.gif").exit_code == 0
    recipe = read_recipe(Path("a.gif"))
    assert recipe.scene["stream"]["input"] == "../elsewhere/frames"
    assert recipe.scene["model"]["base"] == "../elsewhere/my_model"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/day.yaml").write_text(
        Path("scenes/day.yaml").read_text().replace("masks/cat.png", "rest")
    )
    monkeypatch.chdir(tmp_path / MARK / "elsewhere")
    done = smd("stream", "../../other/day.yaml", "--input", "frames", "-o", "a.gif")
    assert done.exit_code == 0, done.stderr
    assert read_recipe(Path("a.gif")).scene["stream"]["input"] == "./frames"


def test_a_recipe_saved_beside_the_scene_renders_the_picture_again(scene, tmp_path, monkeypatch):
    """Where every file lies with the scene, or is named from there."""
    folder = Path(scene).parent
    text = Path(scene).read_text().replace(str(folder.parent / "elsewhere"), "../elsewhere")
    Path(scene).write_text(text)
    assert smd("generate", scene, "-o", "a.png", "--seed", "9").exit_code == 0
    again = folder / "again.yaml"
    again.write_text(smd("inspect", "a.png", "--scene").stdout)
    assert smd("generate", str(again), "-o", "b.png").exit_code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_a_seed_of_the_scene_and_one_of_the_option_give_the_same_bytes(scene, tmp_path):
    listed = json.loads(smd("generate", scene, "--seed", "4", "--seed", "5", "--json").stdout)
    assert smd("generate", scene, "-o", "alone.png").exit_code == 0
    second = listed["outputs"][1]
    assert Path(second["path"]).read_bytes() == Path("alone.png").read_bytes()
    assert second["pixels_sha256"] == read_recipe(Path("alone.png")).pixels
    assert second["pixels_sha256"] != listed["outputs"][0]["pixels_sha256"]


def test_the_short_form_has_a_line_for_each_section(scene):
    assert smd("generate", scene, "-o", "a.png").exit_code == 0
    with Image.open("a.png") as image:
        lines = image.text["parameters"].split("\n")
    assert lines[0] == 'grass | the sun, low | the "moon" | far | a cat'
    assert len(lines) == 2
    assert lines[1].startswith("Steps: 2, Sampler: LCM, CFG scale: 1.0, Seed: 5, Size: 64x64, Model hash: ")


def test_a_new_scene_names_no_folder_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert smd("new", "mine").exit_code == 0
    text = Path("mine.yaml").read_text()
    assert str(FLATLAND.parents[2]) not in text
    assert "SCHEMA" not in text
