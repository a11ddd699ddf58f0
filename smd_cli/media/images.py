"""Opening the user's pictures; whatever is wrong with one is reported in one line."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from smd_cli.errors import AssetError

MAX_PIXELS = 200_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own guard, for every picture that this program opens
_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
# What Pillow's decoders raise on damaged files, besides OSError.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, MemoryError)


@dataclass(frozen=True)
class OpenedPicture:
    """An upright picture as L, LA, RGB or RGBA of 8 bits a channel, and notes on what was left out."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def open_picture(path: Path) -> OpenedPicture:
    """Open a picture and read all of it.

    Raises AssetError: there is no readable picture of at most MAX_PIXELS at that path.
    """
    with open_image(path) as image:
        frames = getattr(image, "n_frames", 1)
        image.load()
        upright = ImageOps.exif_transpose(image)
    notes = (f"{path}: has {frames} frames; the first is used",) if frames > 1 else ()
    return OpenedPicture(to_8_bit(upright, path), notes)


def picture_size(path: Path) -> tuple[int, int]:
    """Return the width and height in px of the upright picture, from its header.

    A PNG file may hold its orientation after its pixels: one without it in the header is read to the end.

    Raises AssetError: there is no picture of at most MAX_PIXELS at that path.
    """
    with open_image(path) as image:
        width, height = image.size
        turned = image.getexif().get(ExifTags.Base.Orientation) in _QUARTER_TURNS
        # Of a TIFF file, Pillow gives the upright size.
        return (height, width) if turned and image.format != "TIFF" else (width, height)


def file_version(path: Path) -> tuple[int, int, int]:
    """Return a value that changes when the file of a picture is written again.

    Raises AssetError: no file is there that could be a picture.
    """
    check_file(path)
    with report_read_errors(path):
        status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def has_alpha(image: Image.Image) -> bool:
    """Tell whether a picture has an alpha channel."""
    return image.mode in _ALPHA_MODES


def on_white(image: Image.Image) -> Image.Image:
    """Return the picture as RGB, on white where it is transparent."""
    if not has_alpha(image):
        return image.convert("RGB")
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return flat


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file, and turn what Pillow raises meanwhile into an AssetError."""
    check_file(path)
    with report_read_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            yield image


@contextmanager
def report_read_errors(path: Path) -> Iterator[None]:
    """Turn what Pillow raises about a file into an AssetError that names it."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise AssetError(f"{path}: has more than {MAX_PIXELS // 10**6} megapixels") from None
    except UnidentifiedImageError:
        raise AssetError(f"{path}: is not a picture of a known format") from None
    except _DECODER_ERRORS as error:
        raise AssetError(f"{path}: is damaged or cannot be read: {error}") from error


def check_file(path: Path) -> None:
    """Check that a path is a regular file, since reading a pipe or device would never end.

    Raises AssetError: it is not.
    """
    try:
        if path.is_symlink() and not path.exists():
            raise AssetError(f"{path}: is a broken link to {path.readlink()}")
        if not path.exists():
            raise AssetError(f"{path}: no such file")
        if not path.is_file():
            kind = "a directory" if path.is_dir() else "no regular file"
            raise AssetError(f"{path}: is {kind}, not a picture")
    except OSError as error:
        raise AssetError(f"{path}: cannot be read: {error.strerror}") from error


def to_8_bit(image: Image.Image, path: Path) -> Image.Image:
    """Return the image of the file at `path` as L, LA, RGB or RGBA.

    Raises AssetError: it holds floating-point values.
    """
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip instead of scale
        return image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if image.mode == "F":
        raise AssetError(f"{path}: holds floating-point values; save it with 8 or 16 bits a channel")
    if image.mode == "P" and "transparency" not in image.info:
        return image.convert("RGB")
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGBA" if image.mode == "P" or has_alpha(image) else "RGB")
