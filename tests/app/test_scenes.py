"""Opening a scene: its task, the canvas that follows a picture, and pictures that are bad."""

import json
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.app.scenes import OpenedScene, load_scene
from smd_cli.errors import AssetError, SceneError, SmdError
from smd_cli.scene.overrides import parse_override
from tests.cli.program import smd

PHOTO = "smd: 1\nbackground: {image: b.png}\nregions: [{name: a, prompt: x, mask: {box: [0, 0, 0.5, 1]}}]\n"
PLAIN = "smd: 1\ncanvas: {width: 128, height: 64}\nbackground: {prompt: x}\n"


def opened(folder: Path, text: str, task: str | None = None, *changes: str) -> OpenedScene:
    path = folder / "s.yaml"
    path.write_text(text)
    return load_scene(str(path), overrides=[parse_override(change) for change in changes], task=task)


def told(folder: Path, kind: type[SmdError], text: str, task: str | None = None) -> str:
    with pytest.raises(kind) as caught:
        opened(folder, text, task)
    assert type(caught.value) is kind
    (problem,) = caught.value.problems
    return problem.removeprefix(f"{folder / 's.yaml'}:")


def test_a_scene_without_a_task_has_the_command_s(tmp_path: Path) -> None:
    assert opened(tmp_path, PLAIN).plan.task == "generate"
    plan = opened(tmp_path, PLAIN, "panorama").plan
    assert (plan.task, plan.sampler.indices, plan.bootstrap.steps) == ("panorama", (0, 12, 25, 37), 0)
    assert opened(tmp_path, PLAIN, "generate", "task=generate").plan.task == "generate"


def test_a_scene_of_another_task_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, SceneError, f"{PLAIN}task: panorama\n", "generate") == (
        "4:7: task: this scene is for `smd panorama`; --set task=generate makes it one for `smd generate`"
    )


def test_the_canvas_follows_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (90, 70), "red").save(tmp_path / "b.png", exif=exif)
    found = opened(tmp_path, PHOTO, "inpaint")
    assert (found.plan.size, found.plan.canvas.width, found.plan.canvas.height) == ((70, 90), 72, 96)
    assert found.images.background is not None
    assert found.images.background.size == (72, 96)


def test_a_picture_too_small_to_follow(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "b.png")
    assert told(tmp_path, SceneError, PHOTO) == (
        "2:21: background.image: a picture of 1x1 px gives no canvas, which has 64 to 16384 px a side and at "
        "most 67,108,864 pixels; give a canvas"
    )
    assert opened(tmp_path, PHOTO, None, "canvas={width: 128, height: 64}").images.background


def test_check_tells_the_picture_s_size_and_the_new_area(tmp_path: Path) -> None:
    Image.new("RGB", (70, 90)).save(tmp_path / "b.png")
    (tmp_path / "s.yaml").write_text(PHOTO)
    assert smd("check", str(tmp_path / "s.yaml")).stdout.splitlines()[0].endswith(": good, 70x90 px")
    (found,) = json.loads(smd("check", str(tmp_path / "s.yaml"), "--json").stdout)["scenes"]
    assert (found["canvas"]["width"], found["size"]) == (72, {"width": 70, "height": 90})
    assert found["new_area"] == 0
    changes = ("background={image: b.png, prompt: x, place: [0, 0]}", "canvas={width: 144, height: 88}")
    sets = [part for change in changes for part in ("--set", change)]
    (found,) = json.loads(smd("check", str(tmp_path / "s.yaml"), "--json", *sets).stdout)["scenes"]
    assert found["new_area"] == round(74 / 144, 4)


@pytest.mark.parametrize("canvas", ["", "canvas: {width: 128, height: 64}\n"])
class TestBadPictures:
    """The same picture with a canvas of its own and with one that follows."""

    def test_missing(self, canvas: str, tmp_path: Path) -> None:
        assert "background.image: " in (problem := told(tmp_path, AssetError, PHOTO + canvas))
        assert problem.endswith("b.png: no such file")

    def test_truncated(self, canvas: str, tmp_path: Path) -> None:
        Image.effect_noise((96, 80), 90).save(tmp_path / "b.png")
        (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:-800])
        assert "b.png: is damaged or cannot be read" in told(tmp_path, AssetError, PHOTO + canvas)

    def test_no_picture(self, canvas: str, tmp_path: Path) -> None:
        (tmp_path / "b.png").write_text("hello")
        assert "is not a picture of a known format" in told(tmp_path, AssetError, PHOTO + canvas)

    def test_more_than_200_megapixels(self, canvas: str, tmp_path: Path) -> None:
        Image.new("1", (20_001, 10_000)).save(tmp_path / "b.png")
        assert told(tmp_path, AssetError, PHOTO + canvas).endswith("b.png: has more than 200 megapixels")

    @pytest.mark.parametrize(
        ("mode", "color", "shown"),
        [
            ("I;16", 257 * 100, (100, 100, 100)),
            ("P", 1, (9, 8, 7)),
            ("1", 1, (255, 255, 255)),
            ("LA", (0, 0), (255, 255, 255)),
        ],
    )
    def test_every_mode_is_painted(
        self, canvas: str, mode: str, color: object, shown: tuple[int, ...], tmp_path: Path
    ) -> None:
        image = Image.new(mode, (96, 80), color)  # type: ignore[arg-type]
        if mode == "P":
            image.putpalette([0, 0, 0, 9, 8, 7])
        image.save(tmp_path / "b.png")
        background = opened(tmp_path, PHOTO + canvas).images.background
        assert background is not None
        assert background.getcolors() == [(background.width * background.height, shown)]

    def test_cmyk(self, canvas: str, tmp_path: Path) -> None:
        Image.new("CMYK", (96, 80), (0, 255, 255, 0)).save(tmp_path / "b.jpg")
        background = opened(tmp_path, PHOTO.replace("b.png", "b.jpg") + canvas).images.background
        assert background is not None
        assert background.getpixel((5, 5))[0] > 200 > 60 > background.getpixel((5, 5))[1]  # type: ignore[index]

    def test_animated(self, canvas: str, tmp_path: Path) -> None:
        first, second = Image.new("RGB", (96, 80), "red"), Image.new("RGB", (96, 80), "blue")
        first.save(tmp_path / "b.gif", save_all=True, append_images=[second])
        painted = opened(tmp_path, PHOTO.replace("b.png", "b.gif") + canvas).images
        assert painted.notes[0].endswith("has 2 frames; the first is used")
        assert painted.background is not None
        assert painted.background.getpixel((5, 5)) == (255, 0, 0)
