"""`smd diff`: what differs between two pictures or films, in words and as numbers."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smd_cli.media.png import encode_png
from smd_cli.media.recipe import read_recipe
from tests.cli.program import smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: sun.png}
  - {name: moon, prompt: the moon, mask: {box: [0.5, 0.5, 1, 1]}}
stream: {frames: 2}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 40, 24))
    mask.save(folder / "sun.png")
    (folder / "day.yaml").write_text(SCENE)
    done = smd("generate", str(folder / "day.yaml"), "-o", str(folder / "a.png"))
    assert done.exit_code == 0, done.stderr
    return folder


@pytest.fixture(autouse=True)
def folder(made, tmp_path, monkeypatch):
    for name in ("sun.png", "day.yaml", "a.png"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    monkeypatch.chdir(tmp_path)


def changed(path: str, *, scene=None, dots=(), **recipe) -> None:
    """Write a.png again with another recipe and other pixels: places, and what is added to their red."""
    before = read_recipe(Path("a.png"))
    now = replace(before, scene=before.scene | (scene or {}), **recipe)
    with Image.open("a.png") as image:
        levels = np.asarray(image).astype(int)
    for (x, y), more in dots:
        red = levels[y, x, 0]
        levels[y, x, 0] = red + more if red + more <= 255 else red - more
    Path(path).write_bytes(encode_png(Image.fromarray(levels.astype(np.uint8)), now.texts()))


def told(*arguments: str) -> dict:
    done = smd("diff", *arguments, "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == (0 if found["equal"] else 7), done.stderr
    return found


def test_equal_files_are_equal():
    Path("b.png").write_bytes(Path("a.png").read_bytes())
    done = smd("diff", "a.png", "b.png")
    assert (done.exit_code, done.stdout) == (0, "a.png / b.png: the same file, byte for byte\n")
    assert told("a.png", "b.png")["pixels"]["whole"]["largest"] == 0


def test_recipes_are_compared_key_by_key():
    before = read_recipe(Path("a.png")).scene
    sun, moon = before["regions"]
    scene = {
        "bootstrap": before["bootstrap"] | {"steps": 1},
        "sampler": before["sampler"] | {"indices": [0, 12]},
        "regions": [sun | {"prompt": "the sun, " + 12 * "bright, "}, moon | {"name": "stars"}],
    }
    changed("b.png", scene=scene)
    done = smd("diff", "a.png", "b.png")
    assert done.exit_code == 7
    lines = done.stdout.splitlines()
    steps = before["bootstrap"]["steps"]
    assert lines == [
        "a.png / b.png: they differ",
        "recipes:",
        "  sampler.indices: [0, 25] / [0, 12]",
        f"  bootstrap.steps: {steps} / 1",
        '  regions: ["sun", "moon"] / ["sun", "stars"]',
        f"  regions[sun].prompt: 'the sun' / 'the sun, {11 * 'bright, '}bright, '",
        "pixels: all the same",
    ]


def test_files_and_what_computed_are_told():
    recipe = read_recipe(Path("a.png"))
    changed("b.png", digests=recipe.digests | {"regions[sun].mask": "0" * 64})
    assert "  regions[sun].mask: not the same file\n" in smd("diff", "a.png", "b.png").stdout
    changed("c.png", computation=recipe.computation | {"threads": 999}, revision="abc")
    done = smd("diff", "a.png", "c.png")
    assert done.exit_code == 0  # no other picture follows from that
    assert f"  threads: {recipe.computation['threads']} / 999\n" in done.stdout
    assert "  revision: '' / 'abc'\n" in done.stdout
    sun, moon = recipe.scene["regions"]
    changed("d.png", scene={"regions": [sun | {"mask": sun["mask"] | {"image": "other/sun.png"}}, moon]})
    assert smd("diff", "a.png", "d.png").exit_code == 0  # the same file under another name
    changed("e.png", rendering=recipe.rendering + 1)
    done = smd("diff", "a.png", "e.png")
    versions = f"{recipe.rendering} / {recipe.rendering + 1}"
    assert (done.exit_code, f"recipes:\n  rendering: {versions}\n" in done.stdout) == (7, True)


def test_pixels_are_compared_region_by_region():
    changed("b.png", dots=[((3, 3), 40), ((60, 60), 2), ((62, 62), 9)])
    found = told("a.png", "b.png")["pixels"]
    regions, rest = found["regions"], found["rest"]
    assert list(regions) == ["sun", "moon"]
    assert [regions[name]["pixels"] for name in regions] == [40 * 24, 32 * 32]
    assert [regions[name]["largest"] for name in regions] == [40, 9]
    assert regions["moon"]["changed"] == pytest.approx(2 / 32**2)
    assert regions["moon"]["beyond"] == {"1": 2 / 32**2, "8": 1 / 32**2, "32": 0}
    assert regions["moon"]["mean"] == pytest.approx(11 / 3 / 32**2, abs=1e-4)
    assert (rest["pixels"], rest["largest"]) == (64 * 64 - 40 * 24 - 32 * 32, 0)
    assert found["whole"]["largest"] == 40
    text = smd("diff", "a.png", "b.png").stdout
    assert text.splitlines()[-1].split()[:3] == ["the", "rest", "51.6%"]


@pytest.mark.parametrize("missing", [True, False])
def test_without_its_masks_the_whole_picture_is_compared(missing):
    changed("b.png", dots=[((3, 3), 40)])
    if missing:
        Path("sun.png").unlink()
    else:
        Image.new("L", (64, 64), 255).save("sun.png")
    done = smd("diff", "a.png", "b.png")
    why = "No such file" if missing else "is not the file that it was made with"
    assert (done.exit_code, why in done.stdout.splitlines()[-1]) == (7, True)
    assert "sun.png" in done.stdout.splitlines()[-1]
    assert told("a.png", "b.png")["pixels"]["regions"] == {}


def test_a_picture_without_a_recipe_is_compared_by_its_pixels():
    with Image.open("a.png") as image:
        Image.frombytes(image.mode, image.size, image.tobytes()).save("b.png")
    for pair, side in ((("a.png", "b.png"), "B"), (("b.png", "a.png"), "A")):
        done = smd("diff", *pair)
        assert (done.exit_code, done.stdout.splitlines()[1:]) == (
            0,
            [
                f"recipe of {side}: none (b.png: carries no smd recipe "
                "(was it saved with --no-metadata or by another program?))",
                "pixels: all the same",
            ],
        )
    assert told("a.png", "b.png")["recipe"] is None


def test_alpha_counts_and_what_it_hides_does_not():
    one, other = Image.new("RGBA", (8, 8), "red"), Image.new("RGBA", (8, 8), "red")
    one.putpixel((0, 0), (255, 0, 0, 0))
    other.putpixel((0, 0), (0, 0, 255, 0))
    one.save("one.png")
    other.save("other.png")
    assert told("one.png", "other.png")["equal"]
    other.putpixel((1, 1), (255, 0, 0, 250))
    other.save("other.png")
    assert told("one.png", "other.png")["pixels"]["whole"]["shift"]["alpha"] == pytest.approx(
        -5 / 64, abs=1e-4
    )


def test_pictures_of_two_sizes_have_no_pixels_to_compare():
    Image.new("RGB", (64, 32)).save("b.png")
    done = smd("diff", "a.png", "b.png", "-o", "c.png")
    assert done.exit_code == 7
    assert done.stdout.splitlines()[-1] == "sizes: 64x64 px / 64x32 px, so that their pixels are not compared"
    assert ("not drawn" in done.stderr, Path("c.png").exists()) == (True, False)


def test_films_are_compared_frame_by_frame():
    grey = [Image.new("RGB", (16, 16), (level,) * 3) for level in (0, 40, 80, 120)]
    other = [each.copy() for each in grey]
    other[2].paste((90, 80, 80), (0, 0, 4, 4))
    grey[0].save("one.webp", save_all=True, append_images=grey[1:], lossless=True)
    Path("two").mkdir()
    for number, image in enumerate(other[:3]):
        image.save(f"two/{number}.png")
    done = smd("diff", "one.webp", "two", "-o", "drawn.png")
    assert done.exit_code == 7, done.stderr
    assert "frames: 4 / 3; the first 3 are compared\nframes that differ: 2 (1 of 3)\n" in done.stdout
    found = told("one.webp", "two")["pixels"]
    assert found["frames"] == {"compared": 3, "differ": [2]}
    assert (found["whole"]["pixels"], found["whole"]["largest"]) == (3 * 256, 10)
    assert found["whole"]["changed"] == pytest.approx(16 / 768)
    with Image.open("drawn.png") as image:
        assert image.width > 3 * 16


def test_frames_of_another_size_than_the_first_belong_to_no_region():
    for name in ("one", "other"):
        Path(name).mkdir()
        changed(f"{name}/000000.png", dots=[((5, 5), 9 * (name == "one"))])
        Image.new("RGB", (32, 16)).save(f"{name}/000001.png")
    assert smd("diff", "one", "one").exit_code == 0
    done = smd("diff", "one", "other", "--json")
    pixels = json.loads(done.stdout)["pixels"]
    assert (done.exit_code, pixels["frames"]) == (7, {"compared": 2, "differ": [0]})
    assert pixels["whole"]["pixels"] == 64 * 64 + 32 * 16
    assert pixels["regions"]["sun"]["pixels"] == 40 * 24


def test_the_regions_of_a_film_move_with_its_keyframes():
    at = "stream.timeline=[{at: 1, region: moon, mask: {box: [0, 0.5, 0.5, 1]}}]"
    done = smd("stream", "day.yaml", "-o", "film/", "--set", at)
    assert done.exit_code == 0, done.stderr
    Path("other").mkdir()
    for number, place in enumerate([(60, 60), (3, 60)]):  # in the moon, where it is then
        with Image.open(f"film/00000{number}.png") as image:
            image.putpixel(place, tuple(255 - level for level in image.getpixel(place)))
            image.save(f"other/{number}.png")
    found = told("film", "other")["pixels"]
    assert found["regions"]["moon"]["changed"] == 2 / (2 * 32 * 32)
    assert (found["regions"]["sun"]["largest"], found["rest"]["largest"]) == (0, 0)


def test_the_difference_is_drawn_and_replaces_no_picture():
    changed("b.png", dots=[((3, 3), 40)])
    for _ in range(2):  # one that was drawn before is replaced
        assert smd("diff", "a.png", "b.png", "-o", "c.png").exit_code == 7
    for name, says in (("a.png", "is one of the pictures"), ("c.jpg", "ends in .png")):
        done = smd("diff", "a.png", "b.png", "-o", name)
        assert (done.exit_code, says in done.stderr) == (2, True)
    changed("d.png")
    assert smd("diff", "a.png", "b.png", "-o", "d.png").exit_code == 2
    assert smd("diff", "c.png", "a.png", "-o", "c.png").exit_code == 2


def test_a_damaged_recipe_is_none(monkeypatch):
    changed("b.png", scene={"regions": [{"prompt": "", "negative_prompt": ""}]})
    done = smd("diff", "a.png", "b.png")
    assert (done.exit_code, "its recipe is damaged" in done.stdout) == (0, True)


def test_what_is_no_picture_is_told():
    done = smd("diff", "a.png", "none.png", "--json")
    assert (done.exit_code, json.loads(done.stdout)["problems"][0]["text"]) == (4, "none.png: no such file")
    assert smd("diff", "a.png", "a.png", "-q").stdout == ""


def test_it_needs_no_torch():
    changed("b.png", dots=[((3, 3), 40)])
    code = """
import sys
from smd_cli.cli.app import app
try:
    app(["diff", "a.png", "b.png", "-o", "c.png"])
finally:
    sys.exit(str({"torch", "numpy", "rich"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.splitlines()[0], done.stderr) == ("a.png / b.png: they differ", "set()\n")
