"""Opening pictures that others made."""

import contextlib
import os
from pathlib import Path

import pytest
from PIL import Image, ImageColor

from smd_cli.errors import AssetError
from smd_cli.media import images
from smd_cli.media.images import open_picture, picture_size
from smd_cli.media.pixels import on_white


def told(path: Path) -> str:
    with pytest.raises(AssetError) as caught:
        open_picture(path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: ")
    return problem


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("mode", "color", "opened", "value"),
    [
        ("1", 1, "L", 255),
        ("L", 77, "L", 77),
        ("LA", (77, 10), "LA", (77, 10)),
        ("RGB", (1, 2, 3), "RGB", (1, 2, 3)),
        ("RGBA", (1, 2, 3, 4), "RGBA", (1, 2, 3, 4)),
        ("I;16", 257 * 100, "L", 100),
        ("I;16", 65535, "L", 255),
    ],
)
def test_every_mode_becomes_8_bits(
    mode: str, color: object, opened: str, value: object, tmp_path: Path
) -> None:
    image = Image.new(mode, (3, 2), color)  # type: ignore[arg-type]
    picture = open_picture(saved(tmp_path / "x.png", image)).image
    assert (picture.mode, picture.size, picture.getpixel((1, 1))) == (opened, (3, 2), value)


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="cannot be read: File name too long"):
        open_picture(tmp_path / ("x" * 300))


def test_32_bit_grey(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.tiff", Image.new("I", (3, 2), 257 * 100))
    assert open_picture(path).image.getpixel((1, 1)) == 100


def test_cmyk(tmp_path: Path) -> None:
    picture = open_picture(saved(tmp_path / "x.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)))).image
    red, green, blue = picture.getpixel((4, 4))  # type: ignore[misc]
    assert picture.mode == "RGB"
    assert red > 200 > 60 > max(green, blue)


def test_palettes_keep_their_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 9, 8, 7])
    assert open_picture(saved(tmp_path / "plain.png", image)).image.getpixel((0, 0)) == (9, 8, 7)
    clear = open_picture(saved(tmp_path / "clear.png", image, transparency=1)).image
    assert clear.getpixel((0, 0)) == (9, 8, 7, 0)


def test_the_camera_s_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to look at it
    path = saved(tmp_path / "x.jpg", Image.new("RGB", (40, 20)), exif=exif)
    assert open_picture(path).image.size == (20, 40)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff"])
def test_the_size_is_that_of_the_upright_picture(ending: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"x.{ending}", Image.new("RGB", (40, 20)), exif=exif)
    assert picture_size(path) == open_picture(path).image.size == ((40, 20) if orientation < 5 else (20, 40))


def test_an_orientation_behind_the_pixels_counts(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "x.png", Image.new("RGB", (40, 20)), exif=exif)
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    path.write_bytes(data[:start] + data[end:-12] + data[start:end] + data[-12:])  # before the last chunk
    assert picture_size(path) == open_picture(path).image.size == (20, 40)


def test_the_size_comes_from_the_header(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.jpg", Image.effect_noise((64, 48), 90))
    path.write_bytes(path.read_bytes()[:-800])
    assert picture_size(path) == (64, 48)


def test_the_size_of_what_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.png").write_text("hello")
    with pytest.raises(AssetError, match=r"x\.png: is not a picture of a known format"):
        picture_size(tmp_path / "x.png")
    with pytest.raises(AssetError, match=r"no\.png: no such file"):
        picture_size(tmp_path / "no.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(AssetError, match="has more than 200 megapixels"):
        picture_size(saved(tmp_path / "x.png", Image.new("L", (10, 10))))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_what_is_transparent_is_laid_on_white(mode: str) -> None:
    half = (100, 51) if mode == "LA" else (100, 100, 100, 51)
    image = on_white(
        Image.new(mode, (3, 2), half if mode.endswith("A") else ImageColor.getcolor("#646464", mode))
    )
    grey = 224 if mode.endswith("A") else 100  # 51 is a fifth of 255
    assert (image.mode, image.getpixel((1, 1))) == ("RGB", (grey, grey, grey))


def test_of_an_animation_the_first_frame_with_a_note(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    path = saved(tmp_path / "x.gif", first, save_all=True, append_images=[second])
    picture = open_picture(path)
    assert picture.image.convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    assert picture.notes == (f"{path}: has 2 frames; the first is used",)


def test_missing(tmp_path: Path) -> None:
    assert told(tmp_path / "x.png").endswith("no such file")


def test_directory(tmp_path: Path) -> None:
    assert told(tmp_path).endswith("is a directory, not a picture")


def test_broken_link(tmp_path: Path) -> None:
    (tmp_path / "x.png").symlink_to("../../gone.png")
    assert told(tmp_path / "x.png").endswith("is a broken link to ../../gone.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    assert told(tmp_path / "x.png").endswith("is no regular file, not a picture")


def test_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("hello")
    assert told(tmp_path / "x.png").endswith("is not a picture of a known format")


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    assert told(tmp_path / "x.png").endswith("is not a picture of a known format")


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "bmp", "tiff"])
def test_truncated(ending: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"x.{ending}", Image.effect_noise((64, 64), 90).convert("RGB"))
    path.write_bytes(path.read_bytes()[:-800])
    assert told(path)


def test_damaged_anywhere_is_told_or_opened(tmp_path: Path) -> None:
    """No byte of a file can bring out anything but a picture or an AssetError."""
    path = saved(tmp_path / "x.png", Image.effect_noise((16, 16), 90).convert("P"))
    good = path.read_bytes()
    for place in range(8, len(good), 13):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :])
        with contextlib.suppress(AssetError):
            open_picture(path)


def test_floating_point(tmp_path: Path) -> None:
    assert "floating-point" in told(saved(tmp_path / "x.tiff", Image.new("F", (2, 2))))


@pytest.mark.parametrize("limit", [99, 40])
def test_too_many_pixels(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert "megapixels" in told(saved(tmp_path / "x.png", Image.new("L", (10, 10))))


def test_the_limit_is_200_megapixels() -> None:
    assert images.MAX_PIXELS == Image.MAX_IMAGE_PIXELS == 200_000_000


def test_numbers_of_32_bits(tmp_path: Path) -> None:
    wide = Image.new("I", (2, 2), 70_000)
    assert "numbers of 32 bits" in told(saved(tmp_path / "x.tiff", wide))
    assert "numbers of 32 bits" in told(saved(tmp_path / "x.tiff", Image.new("I", (2, 2), -1)))
    shown = open_picture(saved(tmp_path / "x.tiff", Image.new("I", (2, 2), 0x8000))).image
    assert (shown.mode, shown.getpixel((0, 0))) == ("L", 128)


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_exif_data_that_cannot_be_read_cost_no_picture(ending: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"x.{ending}", Image.new("RGB", (40, 20), "red"), exif=b"Exif\0\0no TIFF header")
    opened = open_picture(path)
    assert opened.notes == (f"{path}: its EXIF data are damaged, so that it may lie on its side",)
    assert picture_size(path) == opened.image.size == (40, 20)
