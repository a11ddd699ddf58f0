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
from smd_cli.media.pixels import shown_pixels
from smd_cli.media.png_layout import check_rows
from smd_cli.regular_files import UnfitFileError, check_regular
from smd_cli.scene.paths import why_missing

MAX_PIXELS = 200_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own guard, for every picture that this program opens
_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
# What Pillow's decoders raise on damaged files, besides OSError.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, MemoryError)


@dataclass(frozen=True)
class OpenedPicture:
    """An upright picture as L, LA, RGB or RGBA in 8-bit sRGB, and notes on what was left out or changed."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def open_picture(path: Path) -> OpenedPicture:
    """Open a picture and read all of it.

    Raises AssetError: there is no readable picture of at most MAX_PIXELS at that path.
    """
    with open_image(path) as image:
        frames = getattr(image, "n_frames", 1)
        image.load()
        check_rows(path)
        is_known = _orientation(image) is not None
        shown = shown_pixels(ImageOps.exif_transpose(image) if is_known else image, path)
    notes = [f"{path}: has {frames} frames; the first is used"] * (frames > 1)
    notes += [f"{path}: its EXIF data are damaged, so that it may lie on its side"] * (not is_known)
    return OpenedPicture(shown.image, (*notes, *shown.notes))


def picture_size(path: Path) -> tuple[int, int]:
    """Return the width and height in px of the upright picture, from its header.

    A PNG file may hold its orientation after its pixels: one without it in the header is read to the end.

    Raises AssetError: there is no picture of at most MAX_PIXELS at that path.
    """
    with open_image(path) as image:
        width, height = image.size
        turned = _orientation(image) in _QUARTER_TURNS
        # Of a TIFF file, Pillow gives the upright size.
        return (height, width) if turned and image.format != "TIFF" else (width, height)


def _orientation(image: Image.Image) -> object:
    """Return how a camera says that it was held (1: upright, also where none says so); None: unreadable."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, LookupError, struct.error):  # what Pillow raises about damaged EXIF data
        return None


def file_version(path: Path) -> tuple[int, int, int]:
    """Return a value that changes when the file of a picture is written again.

    Raises AssetError: no file is there that could be a picture.
    """
    check_file(path)
    with report_read_errors(path):
        status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


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
        check_regular(path)
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file{why_missing(str(path))}") from None
    except IsADirectoryError:
        raise AssetError(f"{path}: is a directory, not a picture") from None
    except UnfitFileError as error:
        raise AssetError(f"{path}: is {error.strerror}") from None
    except OSError as error:
        raise AssetError(f"{path}: cannot be read: {error.strerror}") from error
