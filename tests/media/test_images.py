"""Opening pictures that others made."""

import contextlib
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import EpsImagePlugin, Image, ImageChops, ImageColor

from smd_cli.errors import AssetError
from smd_cli.media.images import open_picture, picture_size
from smd_cli.media.pixels import on_white
from smd_cli.media.recipe import read_recipe
from smd_cli.media.sources import open_frame_source
from smd_cli.media.texts import why_foreign


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


def test_the_size_of_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("hello")
    with pytest.raises(AssetError, match=r"x\.png: is not a picture of a known format"):
        picture_size(tmp_path / "x.png")
    with pytest.raises(AssetError, match=r"no\.png: no such file"):
        picture_size(tmp_path / "no.png")


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
    assert told(tmp_path / "x.png").endswith("is a pipe, not a regular file")


def test_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("hello")
    assert "x.png: is not a picture of a known format (PNG, " in told(tmp_path / "x.png")


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    assert "x.png: is not a picture of a known format (PNG, " in told(tmp_path / "x.png")


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


def blank_png(path: Path, width: int, height: int) -> Path:
    """A whole grey picture in a small file."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    packer, row = zlib.compressobj(), bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


@pytest.mark.parametrize("look", [open_picture, picture_size])
def test_more_than_any_picture_has(look: Callable[[Path], object], tmp_path: Path) -> None:
    for width, height, said in (
        (1, 70_000, "is 1x70000 px; a side can have 65,535 px at most"),
        (70_000, 1, "is 70000x1 px; a side can have 65,535 px at most"),
        (20_000, 10_001, "has more than 200 megapixels"),
        (30_000, 30_000, "has more than 200 megapixels"),  # Pillow itself refuses it
    ):
        path = blank_png(tmp_path / "x.png", width, height)
        with pytest.raises(AssetError, match=f"^{re.escape(f'{path}: {said}')}$"):
            look(path)


def test_more_than_a_canvas_needs(tmp_path: Path) -> None:
    path = blank_png(tmp_path / "x.png", 12_001, 10_000)
    with pytest.raises(AssetError, match="has 120 megapixels, far more than a canvas of 512x512 px needs"):
        open_picture(path, (512, 512))
    for canvas in ((2048, 1024), None):  # 64 times as many pixels as the first
        assert open_picture(path, canvas).image.size == (12_001, 10_000)
    assert open_picture(blank_png(path, 12_000, 10_000), (64, 64)).image.size == (12_000, 10_000)


def test_a_photograph_is_reduced_while_it_is_decoded(tmp_path: Path) -> None:
    shades = Image.linear_gradient("L").resize((1600, 1200))
    photo = Image.merge("RGB", [shades, shades.transpose(Image.Transpose.ROTATE_180), shades])
    exif = Image.Exif()
    exif[0x0112] = 6
    for path, size in (
        (saved(tmp_path / "x.jpg", photo, quality=95), (1600, 1200)),
        (saved(tmp_path / "turned.jpg", photo, quality=95, exif=exif), (1200, 1600)),
    ):
        whole, reduced = open_picture(path), open_picture(path, (64, 64), may_reduce=True)
        assert (whole.image.size, whole.full_size) == (size, None)
        assert (reduced.image.size, reduced.full_size) == ((size[0] // 4, size[1] // 4), size)
        assert min(reduced.image.size) >= 3 * 64
        small = [each.image.resize((64, 48), Image.Resampling.LANCZOS) for each in (whole, reduced)]
        assert max(high for _, high in ImageChops.difference(*small).getextrema()) <= 2  # type: ignore[misc]
        assert open_picture(path, (300, 300), may_reduce=True).full_size is None  # it is not much larger
        assert open_picture(path, (64, 64)).full_size is None


def test_what_is_behind_a_png_file_is_not_read(tmp_path: Path) -> None:
    """A gigabyte of nothing would be ninety million chunks."""
    path = blank_png(tmp_path / "x.png", 8, 8)
    path.write_bytes(path.read_bytes() + struct.pack(">I4s12x", 8, b"IDAT"))  # no rows
    assert open_picture(path).image.size == (8, 8)


def test_a_file_of_gigabytes(tmp_path: Path) -> None:
    path = blank_png(tmp_path / "x.png", 8, 8)
    os.truncate(path, (1 << 30) + 1)  # with a hole, which takes no room
    assert told(path).endswith("x.png: is larger than 1024 MiB")


def progressive(path: Path, scans: int) -> Path:
    """A JPEG file whose last scan is there so many times more, with other data behind the picture."""
    Image.effect_noise((16, 16), 60).save(path, progressive=True, comment=b"\xff\xda" * 200)
    data = path.read_bytes()
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    behind = b"\0\2" + data[start:end] * 200
    path.write_bytes(data[:end] + data[start:end] * scans + data[end:] + behind)
    return path


def test_a_photograph_of_thousands_of_scans(tmp_path: Path) -> None:
    """Each of them costs a pass over all pixels, and a few bytes."""
    assert open_picture(progressive(tmp_path / "x.jpg", 80)).image.size == (16, 16)
    assert told(progressive(tmp_path / "x.jpg", 200)).endswith("its pixels are stored in more than 100 scans")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"


def test_no_picture_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostScript is refused whatever its name, by whatever opens it."""
    ghostscript, mark = tmp_path / "bin" / "gs", tmp_path / "started"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {mark}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghostscript.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # it is looked for again
    for name in ("x.png", "x.eps", "x.jpg"):
        path = tmp_path / name
        path.write_bytes(POSTSCRIPT)
        with Image.open(path) as image, contextlib.suppress(OSError):  # how it would be
            image.load()
        assert mark.exists()
        mark.unlink()
        assert "known format" in told(path)
        for look in (picture_size, open_frame_source, read_recipe):
            with pytest.raises(AssetError, match="is not a picture"):
                look(path)
        assert why_foreign(path)
        assert not mark.exists()


@pytest.mark.parametrize("name", ["PSD", "FITS", "ICNS", "WMF", "PDF", "TGA", "JPEG2000", "DDS"])
def test_other_formats_are_refused(name: str, tmp_path: Path) -> None:
    heads = {"PSD": b"8BPS\0\1", "FITS": b"SIMPLE  =", "WMF": b"\xd7\xcd\xc6\x9a\0\0"}
    path = tmp_path / "x.png"
    if name in heads:
        path.write_bytes(heads[name].ljust(3000, b"\0"))
    else:
        Image.new("RGBA" if name != "PDF" else "RGB", (64, 64)).save(path, name)
    assert "is not a picture of a known format (PNG, JPEG, WebP, GIF, TIFF, BMP, AVIF and PPM)" in told(path)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp", "x.gif", "x.tiff", "x.bmp", "x.avif", "x.ppm"])
def test_the_formats_that_are_read(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path / name, Image.new("RGB", (16, 16), "red"))
    red, green, blue = open_picture(path.rename(tmp_path / "x")).image.convert("RGB").getpixel((8, 8))  # type: ignore[misc]
    assert red > 250 > 5 > max(green, blue)


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


@pytest.mark.parametrize("lost", [b"iloc", b"pitm", b"iprp", b"mdat"])
def test_a_damaged_avif_file(lost: bytes, tmp_path: Path) -> None:
    """Pillow raises RuntimeError of some."""
    path = saved(tmp_path / "x.avif", Image.new("RGB", (16, 16), "red"))
    data = path.read_bytes()
    start = data.index(lost) + 4
    path.write_bytes(data[:start] + bytes(24) + data[start + 24 :])
    assert told(path)
    for look in (read_recipe, open_frame_source):
        with pytest.raises(AssetError):
            look(path)
    assert why_foreign(path)
