"""`smd verify`: pictures rendered again, compared with their files and with what their recipes record."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import smd_cli
from smd_cli.app.latents import coarse_text
from smd_cli.media.png import encode_png
from smd_cli.media.recipe import Recipe, read_recipe
from tests.cli.program import no_weights, pixels, smd

SCENE = {
    "smd": 1,
    "canvas": {"width": 96, "height": 64},
    "seed": 5,
    "sampler": {"indices": [0, 25]},
    "background": {"prompt": "sunset"},
    "regions": [{"name": "sun", "prompt": "the sun", "mask": "mask.png"}],
}
STREAM = {
    "smd": 1,
    "task": "stream",
    "canvas": {"width": 64, "height": 64},
    "sampler": {"indices": [0, 25]},
    "background": {"prompt": "sunset"},
    "stream": {"frames": 3, "timeline": [{"at": 2, "background": {"prompt": "starry night sky"}}]},
}
FILMS = ("film.gif", "film.webp", "film.apng", "film.mp4", "frames/")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder of pictures and films, and the mask that they need."""
    folder = tmp_path_factory.mktemp("made")
    Image.linear_gradient("L").resize((96, 64)).save(folder / "mask.png")
    with smd_cli.Renderer(device="cpu") as renderer:
        picture = renderer.render(smd_cli.load_scene(SCENE, base_dir=folder))
        for suffix in ("png", "jpg", "webp", "avif"):
            picture.save(folder / f"a.{suffix}")
        film = smd_cli.load_scene(STREAM)
        for name in FILMS:
            renderer.stream(film).write(f"{folder}/{name}")
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch) -> Path:
    """The working directory, with a picture and its mask."""
    for name in ("a.png", "mask.png"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(path: Path) -> tuple[Image.Image, Recipe]:
    with Image.open(path) as image:
        return image.convert("RGB"), read_recipe(path)


def rewrite(path: Path, image: Image.Image, recipe: Recipe) -> None:
    path.write_bytes(encode_png(image, recipe.texts()))


def with_dot(image: Image.Image) -> Image.Image:
    """A picture with one pixel that is others by 9 levels."""
    changed = np.array(image)
    changed[7, 11, 1] += 9 if changed[7, 11, 1] < 128 else -9
    return Image.fromarray(changed)


def verdicts(*arguments: str) -> tuple[int, dict]:
    done = smd("verify", *arguments, "--json")
    return done.exit_code, json.loads(done.stdout)


def test_pictures_of_every_format_are_the_same(made):
    paths = [f"{made}/a.{suffix}" for suffix in ("png", "jpg", "webp", "avif")]
    done = smd("verify", *paths)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines() == [f"{path}: same" for path in paths]


def test_films_are_the_same_frame_by_frame(made):
    pytest.importorskip("av")
    code, told = verdicts(*(f"{made}/{name}" for name in FILMS))
    assert (code, [each["status"] for each in told["verdicts"]]) == (0, ["same"] * len(FILMS))


def test_a_film_that_was_cut_short_or_changed_differs(made, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for path in sorted((made / "frames").iterdir())[:2]:
        (frames / path.name).write_bytes(path.read_bytes())
    assert smd("verify", f"{frames}").stderr.endswith(f"{frames}: it is 2 frames, now 3 frames\n")
    for path in sorted((made / "frames").iterdir())[2:]:
        image, recipe = picture(path)
        rewrite(frames / path.name, with_dot(image), recipe)
    done = smd("verify", f"{frames}", "--diff", f"{tmp_path}/diff")
    assert done.exit_code == 7
    assert "its pixels are others now: up to 9 levels" in done.stderr
    assert (tmp_path / "diff/frames.diff.png").is_file()


def test_a_picture_whose_pixels_were_changed_is_told_from_its_recipe(folder):
    image, recipe = picture(folder / "a.png")
    rewrite(folder / "a.png", with_dot(image), recipe)
    done = smd("verify", "a.png")
    assert done.exit_code == 7
    assert done.stderr.endswith(
        "a.png: its file was changed after it was rendered: what is recorded comes out again, "
        "9 levels away at most\n"
    )
    # Nothing allows for that: the file is not what it says.
    assert smd("verify", "a.png", "--tolerance", "9").exit_code == 7
    assert smd("verify", "a.png", "--metric", "latent").exit_code == 7


def test_a_recipe_whose_digest_was_changed_is_told(folder):
    image, recipe = picture(folder / "a.png")
    rewrite(folder / "a.png", image, replace(recipe, pixels=64 * "0"))
    done = smd("verify", "a.png")
    assert done.exit_code == 7
    assert "a.png: what is recorded of it was changed: what its file shows comes out again" in done.stderr


def test_a_recipe_whose_scene_was_changed_is_told(folder):
    image, recipe = picture(folder / "a.png")
    scene = {**recipe.scene, "background": {**recipe.scene["background"], "prompt": "snow"}}
    rewrite(folder / "a.png", image, replace(recipe, scene=scene))
    done = smd("verify", "a.png")
    assert done.exit_code == 7
    assert "its pixels are others now: up to " in done.stderr
    assert (
        "nothing that is recorded of the machine differs, so its scene or seed may have been changed"
        in done.stderr
    )
    assert smd("verify", "a.png", "--metric", "latent").exit_code == 7
    assert smd("verify", "a.png", "--metric", "ssim").exit_code == 7


def test_a_picture_of_which_all_three_differ_is_told(folder):
    image, recipe = picture(folder / "a.png")
    rewrite(folder / "a.png", with_dot(image), replace(recipe, scene={**recipe.scene, "seed": 6}))
    assert (
        "its file does not show what is recorded of it, and neither of them comes out again"
        in smd("verify", "a.png").stderr
    )


def test_files_that_recipes_name_can_lie_elsewhere(folder):
    Path("out").mkdir()
    picture = Path("a.png").rename("out/a.png")
    missing = smd("verify", str(picture))
    assert (missing.exit_code, "--base-dir" in missing.stderr) == (4, True), missing.stderr
    assert smd("verify", str(picture), "--base-dir", ".").exit_code == 0
    (verdict,) = smd_cli.verify(picture, base_dir=folder)
    assert verdict.status == "same"
    smd_cli.Renderer(device="cpu").render(smd_cli.load_scene(picture, base_dir="."), seed=9).save("b.png")
    shown = [smd("diff", str(picture), "b.png", *base).stdout for base in ((), ("--base-dir", "."))]
    assert ["not told region by region" in each for each in shown] == [True, False], shown


def test_a_mask_that_has_changed_is_told_before_any_weight_is_read(folder, monkeypatch):
    Image.new("L", (96, 64), 255).save(folder / "mask.png")
    no_weights(monkeypatch)
    done = smd("verify", "a.png")
    assert done.exit_code == 7
    assert "a.png: regions[0].mask: the mask of region 'sun', mask.png, is not the file" in done.stderr


def test_what_cannot_be_compared_is_told_and_the_others_are(folder, made):
    Image.new("RGB", (8, 8)).save("other.png")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:-200])
    (folder / "text.png").write_text("no picture")
    (folder / "empty").mkdir()
    names = ["gone.png", "a.png", "other.png", "cut.png", "text.png", "empty", "b.png"]
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes())
    code, told = verdicts(*names, "a.png")
    assert code == 6
    assert [each["name"] for each in told["verdicts"]] == names
    assert [each["status"] for each in told["verdicts"]] == ["failed", "same", *["failed"] * 4, "same"]
    reasons = [each["reasons"][0]["text"] for each in told["verdicts"] if each["reasons"]]
    assert "carries no smd recipe" in reasons[1]
    assert "holds no frames of smd's" in reasons[4]
    assert told["problems"][-1]["text"] == "5 of 7 could not be compared; the others are the same"
    assert smd("verify", "gone.png").exit_code == 4
    assert smd("verify", "gone.png", "other.png").exit_code == 4
    image, recipe = picture(folder / "a.png")
    rewrite(folder / "b.png", with_dot(image), recipe)
    done = smd("verify", "gone.png", "a.png", "b.png")
    assert (done.exit_code, done.stdout) == (7, "gone.png: failed\na.png: same\nb.png: differs\n")
    assert done.stderr.endswith("1 of 3 differ; 1 could not be compared\n")


def test_what_a_recipe_says_of_its_computation_is_not_believed_blindly(folder):
    image, recipe = picture(folder / "a.png")
    computation = {**recipe.computation, "threads": 10**9, "batch": "many", "dtype": ["x"]}
    rewrite(folder / "a.png", image, replace(recipe, computation=computation))
    done = smd("verify", "a.png")
    assert done.exit_code == 4
    assert (
        "what is recorded of its computation is damaged: dtype ['x'], batch 'many', threads 1000000000"
        in done.stderr
    )


def test_it_is_computed_as_it_was(folder, monkeypatch):
    """A batch, a precision and threads that are not the usual ones, on a machine of other threads."""
    import torch

    before = torch.get_num_threads()
    monkeypatch.setattr(torch, "set_num_threads", spy := Spy(torch.set_num_threads))
    torch.set_num_threads(3)
    with smd_cli.Renderer(device="cpu", dtype="bfloat16", batch=1) as renderer:
        renderer.render(smd_cli.load_scene(SCENE, base_dir=folder)).save("b.png")
    torch.set_num_threads(before)
    spy.given.clear()
    code, told = verdicts("b.png")
    assert (code, told["verdicts"][0]["measured"]["largest"]) == (0, 0)
    assert spy.given == [3, before]
    done = smd("verify", "b.png", "--dtype", "float32")
    assert done.exit_code == 7
    assert (
        "what differs: dtype 'bfloat16', now 'float32'; --metric latent or ssim compares across"
        in done.stderr
    )
    for metric in ("latent", "ssim"):
        assert smd("verify", "b.png", "--dtype", "float32", "--metric", metric).exit_code == 0
    largest = verdicts("b.png", "--dtype", "float32")[1]["verdicts"][0]["measured"]["largest"]
    assert smd("verify", "b.png", "--dtype", "float32", "--tolerance", f"{largest}").exit_code == 0
    assert smd("verify", "b.png", "--dtype", "float32", "--tolerance", f"{largest - 1}").exit_code == 7


class Spy:
    """A function that remembers what it was given."""

    def __init__(self, function) -> None:
        self.function = function
        self.given: list[object] = []

    def __call__(self, value: object) -> object:
        self.given.append(value)
        return self.function(value)


def test_the_recipe_holds_the_coarse_copy_of_the_latents(folder):
    rendered = smd_cli.Renderer(device="cpu").render(smd_cli.load_scene(SCENE, base_dir=folder))
    assert rendered.recipe.latents == coarse_text(rendered.latents[0].numpy())
    image, recipe = picture(folder / "a.png")
    assert recipe.latents == rendered.recipe.latents
    rewrite(folder / "a.png", image, replace(recipe, latents=None))
    done = smd("verify", "a.png", "--metric", "latent")
    assert done.exit_code == 4
    assert "a.png: no latents are recorded of it; give --metric ssim or --tolerance" in done.stderr
    rewrite(folder / "a.png", image, replace(recipe, latents=5))
    done = smd("verify", "a.png", "--metric", "latent")
    assert done.exit_code == 4
    assert "a.png: its recipe is damaged (its latents are no text)" in done.stderr


def test_the_api_gives_verdicts_in_order(folder):
    same, gone = smd_cli.verify("a.png", folder / "gone.png")
    assert (same.status, same.measured.largest, same.reasons) == ("same", 0, ())
    assert (gone.status, gone.exit_code) == ("failed", 4)
    found = smd_cli.verify("gone.png", "a.png", metric="latent", threshold=1)
    assert [each.status for each in found] == ["failed", "same"]
    with pytest.raises(smd_cli.UsageError, match="give one of pixels, latent, ssim"):
        smd_cli.verify("a.png", metric="colour")


def test_films_have_no_latents(made, monkeypatch):
    no_weights(monkeypatch)
    done = smd("verify", f"{made}/film.gif", "--metric", "latent")
    assert done.exit_code == 2
    assert "no latents of films are recorded; give --metric ssim" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--metric mse", "--metric mse: give one of pixels, latent, ssim"),
        ("--tolerance 256", "--tolerance 256: give levels from 0 to 255"),
        ("--tolerance 3 --metric ssim", "--tolerance 3: is for --metric pixels; ssim has --threshold"),
        ("--threshold 0.9", "--threshold 0.9: is for --metric latent or ssim; pixels have --tolerance"),
        ("--threshold nan --metric ssim", "--threshold nan: give a similarity from 0 to 1"),
        ("--diff a.png", "--diff a.png: is no folder"),
        ("--junit a.png", "a.png: is a rendered picture"),
        ("--device cuda:99", "cuda:99"),
    ],
)
def test_a_wrong_option_is_told_before_any_weight_is_read(folder, monkeypatch, options, told):
    no_weights(monkeypatch)
    before = (folder / "a.png").read_bytes()
    done = smd("verify", "a.png", *options.split())
    assert done.exit_code == (5 if "device" in options else 2)
    assert told in done.stderr
    assert (folder / "a.png").read_bytes() == before


def test_reports_and_pictures_of_differences(folder):
    image, recipe = picture(folder / "a.png")
    for name in ("b.png", "sub/b.png"):
        Path(name).parent.mkdir(exist_ok=True)
        rewrite(Path(name), with_dot(image), recipe)
    (folder / "sub/mask.png").write_bytes((folder / "mask.png").read_bytes())
    arguments = ("verify", "a.png", "b.png", "sub/b.png", "gone.png", "--diff", "d", "--junit", "r.xml")
    for _ in range(2):  # the second run replaces what the first has written
        assert smd(*arguments).exit_code == 7
    assert sorted(path.name for path in Path("d").iterdir()) == ["b.png.diff.png", "b.png_2.diff.png"]
    assert pixels("d/b.png.diff.png").std() > 0
    suite = ElementTree.parse("r.xml").getroot().find("testsuite")
    assert suite.attrib.items() >= {"tests": "4", "failures": "2", "errors": "1"}.items()
    cases = {
        (case.get("classname"), case.get("name")): [each.tag for each in case]
        for case in suite.iter("testcase")
    }
    assert cases == {
        (".", "a.png"): [],
        (".", "b.png"): ["failure"],
        ("sub", "sub/b.png"): ["failure"],
        (".", "gone.png"): ["error"],
    }
    assert "difference: d/b.png.diff.png" in suite.find("testcase[2]/failure").text


def test_a_picture_of_a_difference_takes_no_other_files_place(folder):
    image, recipe = picture(folder / "a.png")
    rewrite(folder / "b.png", with_dot(image), recipe)
    Path("d").mkdir()
    Image.new("RGB", (8, 8)).save(there := Path("d/b.png.diff.png"))
    before = there.read_bytes()
    done = smd("verify", "b.png", "--diff", "d")
    assert (done.exit_code, done.stdout) == (7, "b.png: differs\n")
    assert "b.png: d/b.png.diff.png: exists, and " in done.stderr
    assert there.read_bytes() == before


def test_a_file_that_is_no_report_stays(folder):
    Path("notes.xml").write_text("mine")
    done = smd("verify", "a.png", "--junit", "notes.xml")
    assert done.exit_code == 2
    assert Path("notes.xml").read_text() == "mine"
