"""The one place where pictures that others made are opened: as raster formats that are listed.

Pillow knows some forty formats by their content. Among them are programs that another one would run
(PostScript), drawings, maps and formats that hardly anybody reads and few have looked at closely.
"""

from __future__ import annotations

import errno
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from smd_cli.regular_files import UnfitFileError, open_regular

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "PPM")
"""What is read, by Pillow's names: PNG has APNG with it, JPEG what phones add to it, PPM also PBM and PGM."""

KNOWN = "PNG, JPEG, WebP, GIF, TIFF, BMP, AVIF and PPM"
"""The same for messages."""

MAX_BYTES = 1 << 30
"""Of a picture's file, which Pillow reads as a whole in some formats."""

MAX_PIXELS = 200_000_000
"""Of a picture, whatever for."""

UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, AttributeError, ArithmeticError, LookupError, EOFError),
    *(RuntimeError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
)
"""What Pillow's decoders raise about files that are damaged, or larger than they read."""

Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # where Pillow allocates before this program can look, it asks itself


@contextmanager
def open_raster(path: Path) -> Iterator[Image.Image]:
    """Open the file of a picture; no pixel is read yet.

    Raises:
        OSError: as `open_regular`; UnfitFileError: it is larger than MAX_BYTES; UnidentifiedImageError: it is
            damaged, or of another format.
        other exceptions of UNREADABLE: it is damaged, or far larger than MAX_PIXELS.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            raise UnfitFileError(errno.EFBIG, f"larger than {MAX_BYTES >> 20} MiB", str(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is damaged or large, which is told otherwise
            opened = Image.open(file, formats=FORMATS)  # noqa: TID251 - the place that it is banned for
        with opened as image:
            yield image


def has_raster_name(path: Path) -> bool:
    """Tell whether a file's name is that of a picture that is read."""
    Image.init()
    return Image.EXTENSION.get(path.suffix.lower()) in FORMATS
