"""Opening the user's pictures; whatever is wrong with one is reported in one line."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from smd_cli.digests import digest_of
from smd_cli.errors import AssetError
from smd_cli.media.jpeg_layout import check_scans
from smd_cli.media.pixels import shown_pixels
from smd_cli.media.png_layout import check_rows
from smd_cli.media.rasters import KNOWN, MAX_PIXELS, UNREADABLE, open_raster
from smd_cli.regular_files import UnfitFileError, check_regular
from smd_cli.scene.paths import why_missing
from smd_cli.scene.resolve import Size

MAX_SIDE = 65_535
"""Of a picture, in px: as long as JPEG knows."""
PHOTO_PIXELS = 120_000_000
"""Of a picture for any canvas: as many as cameras take."""
_TIMES = 64  # canvases that a larger picture may have the pixels of
_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_FINER = 3  # times the canvas that a reduced picture has at least a side, so that nothing is lost


@dataclass(frozen=True)
class OpenedPicture:
    """An upright picture as L, LA, RGB or RGBA in 8-bit sRGB.

    Attributes:
        image: its pixels.
        notes: what was left out or changed, one line each.
        full_size: its own width and height in px, where it was reduced; None: it was not.
    """

    image: Image.Image
    notes: tuple[str, ...] = ()
    full_size: Size | None = None


def open_picture(path: Path, canvas: Size | None = None, *, may_reduce: bool = False) -> OpenedPicture:
    """Open a picture for a canvas of some size, if that is known, and read all of it.

    With `may_reduce`, one that is much larger than the canvas is reduced by a power of 2 while it is decoded,
    where its format can (JPEG).

    Raises AssetError: there is no readable picture at that path, or it is larger than `check_size` allows.
    """
    with open_image(path, canvas) as image:
        frames, full_size = getattr(image, "n_frames", 1), image.size
        check_scans(path)
        is_reduced = may_reduce and canvas is not None and _reduce(image, canvas)
        image.load()
        check_rows(path)
        if (orientation := _orientation(image)) in _QUARTER_TURNS:
            full_size = full_size[::-1]
        upright = image if orientation in (None, 1) else ImageOps.exif_transpose(image)
        shown = shown_pixels(upright, path)
    notes = [f"{path}: has {frames} frames; the first is used"] * (frames > 1)
    notes += [f"{path}: its EXIF data are damaged, so that it may lie on its side"] * (orientation is None)
    return OpenedPicture(shown.image, (*notes, *shown.notes), full_size if is_reduced else None)


def picture_size(path: Path) -> Size:
    """Return the width and height in px of the upright picture, from its header.

    A PNG file may hold its orientation after its pixels: one without it in the header is read to the end.

    Raises AssetError: there is no picture at that path, or it is larger than `check_size` allows.
    """
    with open_image(path) as image:
        width, height = image.size
        turned = _orientation(image) in _QUARTER_TURNS
        # Of a TIFF file, Pillow gives the upright size.
        return (height, width) if turned and image.format != "TIFF" else (width, height)


def check_size(path: Path, size: Size, canvas: Size | None = None) -> None:
    """Check the size of a picture before its pixels are read.

    Raises AssetError: a side is longer than MAX_SIDE, or the picture has more pixels than MAX_PIXELS; or,
        where the canvas is known, more than PHOTO_PIXELS and than 64 such canvases.
    """
    if max(size) > MAX_SIDE:
        raise AssetError(f"{path}: is {size[0]}x{size[1]} px; a side can have {MAX_SIDE:,} px at most")
    pixels = size[0] * size[1]
    if pixels > MAX_PIXELS:
        raise AssetError(f"{path}: has more than {MAX_PIXELS // 10**6} megapixels")
    if canvas and pixels > (most := max(PHOTO_PIXELS, _TIMES * canvas[0] * canvas[1])):
        needed = f"a canvas of {canvas[0]}x{canvas[1]} px needs, and {most // 10**6} megapixels"
        raise AssetError(f"{path}: has {pixels // 10**6} megapixels, far more than {needed} are read at most")


def _reduce(image: Image.Image, canvas: Size) -> bool:
    """Let an image, not yet loaded, be decoded smaller where its format can; tell whether it will be."""
    before = image.size
    image.draft(None, (_FINER * max(canvas),) * 2)
    return image.size != before


def _orientation(image: Image.Image) -> object:
    """Return how a camera says that it was held (1: upright, also where none says so); None: unreadable."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, LookupError, struct.error):  # what Pillow raises about damaged EXIF data
        return None


def file_version(path: Path) -> str:
    """Return a value that changes with what the file of a picture holds: its digest, as recipes have it.

    Times do not tell of every change; digests are kept of files whose times do.

    Raises AssetError: no file is there that could be a picture.
    """
    check_file(path)
    with report_read_errors(path):
        return digest_of([path])


@contextmanager
def open_image(path: Path, canvas: Size | None = None) -> Iterator[Image.Image]:
    """Open an image file of a size that `check_size` allows; no pixel is read yet.

    What Pillow raises meanwhile turns into an AssetError.
    """
    check_file(path)
    with report_read_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_raster(path) as image:
            check_size(path, image.size, canvas)
            yield image


@contextmanager
def report_read_errors(path: Path) -> Iterator[None]:
    """Turn what Pillow raises about a file into an AssetError that names it."""
    try:
        yield
    except Image.DecompressionBombError:
        raise AssetError(f"{path}: has more than {MAX_PIXELS // 10**6} megapixels") from None
    except UnidentifiedImageError:
        raise AssetError(f"{path}: is not a picture of a known format ({KNOWN}), or is damaged") from None
    except UnfitFileError as error:
        raise AssetError(f"{path}: is {error.strerror}") from None
    except UNREADABLE as error:
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
