"""Opening pictures that others made: whatever is wrong with one is said in one line."""

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
_LYING = (5, 6, 7, 8)  # EXIF orientations of pictures that are turned by a quarter to look at them
_ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
# What Pillow's decoders raise on damaged files, besides OSError.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, MemoryError)


@dataclass(frozen=True)
class Picture:
    """An opened picture, upright, as L, LA, RGB or RGBA of 8 bits a channel, and what was left out."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def open_picture(path: Path) -> Picture:
    """Open and read a picture whole.

    Raises:
        AssetError: there is no readable picture of at most MAX_PIXELS at that path.
    """
    with opened(path) as image:
        frames = getattr(image, "n_frames", 1)
        image.load()
        upright = ImageOps.exif_transpose(image)
    notes = (f"{path}: has {frames} frames; the first is used",) if frames > 1 else ()
    return Picture(to_8_bit(upright, path), notes)


def picture_size(path: Path) -> tuple[int, int]:
    """The width and height in px of the upright picture, from its header.

    A PNG file may tell its orientation behind its pixels, so that one without it is read whole.

    Raises:
        AssetError: there is no picture of at most MAX_PIXELS at that path.
    """
    with opened(path) as image:
        width, height = image.size
        lies = image.getexif().get(ExifTags.Base.Orientation) in _LYING
        return (height, width) if lies and image.format != "TIFF" else (width, height)  # Pillow turns these


def has_alpha(image: Image.Image) -> bool:
    """Tell whether a picture has an alpha channel."""
    return image.mode in _ALPHA_MODES


def on_white(image: Image.Image) -> Image.Image:
    """The picture as RGB, laid on white where it is transparent."""
    if not has_alpha(image):
        return image.convert("RGB")
    whole = Image.new("RGB", image.size, "white")
    whole.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return whole


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An opened file; what Pillow raises meanwhile becomes an AssetError."""
    check_file(path)
    with readable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            yield image


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what Pillow raises of a file into an AssetError that names it."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise AssetError(f"{path}: has more than {MAX_PIXELS // 10**6} megapixels") from None
    except UnidentifiedImageError:
        raise AssetError(f"{path}: is not a picture of a known format") from None
    except _DAMAGE as error:
        raise AssetError(f"{path}: is damaged or cannot be read: {error}") from error


def check_file(path: Path) -> None:
    """Say what stands in the way before Pillow is asked; a pipe or device would be read for ever."""
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
    """The picture, of the file at `path`, as L, LA, RGB or RGBA."""
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
