"""Pictures as files: PNG, JPEG, WebP and AVIF by their suffix, each with the texts that belong to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, features

from smd_cli.errors import AssetError, UsageError
from smd_cli.media.mp4 import boxes
from smd_cli.media.png import encode_png
from smd_cli.media.texts import xmp_of
from smd_cli.messages import Place
from smd_cli.regular_files import open_regular


@dataclass(frozen=True)
class _Format:
    """A format beside PNG.

    Attributes:
        name: Pillow's.
        longest_side: px.
        longest_texts: bytes that its XMP can have; None: any number.
        options: of Pillow's writer.
    """

    name: str
    longest_side: int
    longest_texts: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


_JPEG = _Format("jpeg", 65_500, 65_502, {"quality": 95, "subsampling": "4:4:4", "optimize": True})
_FORMATS: Mapping[str, _Format] = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    # Lossy WebP halves the resolution of colours, at any quality; lossless, it is smaller than PNG.
    ".webp": _Format("webp", 16_383, options={"lossless": True, "exact": True}),
    ".avif": _Format("avif", 65_535, options={"quality": 90, "subsampling": "4:4:4"}),
}
SUFFIXES = (".png", *_FORMATS)
_PNG, _IEND = b"\x89PNG", b"IEND\xae\x42\x60\x82"
_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
"""How files begin and end: PNG's signature and last chunk, JPEG's first and last marker."""


def check_still(path: Path, size: tuple[int, int], *, option: str = "") -> None:
    """Check, before any work, that a file of that name can hold a picture of that size, px.

    Raises UsageError, which begins with the option that names the file; AssetError: Pillow lacks the format.
    """
    place, suffix = Place.of_file(path, option), path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(place.says(f"give a name that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"))
    kind = _FORMATS.get(suffix)
    if kind is None:
        return
    if kind.name in features.get_supported() or kind is _JPEG:
        if max(size) > kind.longest_side:
            raise UsageError(place.says(f"{suffix} holds at most {kind.longest_side} px a side; give a .png"))
        return
    raise AssetError(place.says(f"this Pillow writes no {suffix}; pip install -U pillow, or give a .png"))


def check_texts(path: Path, texts: Callable[[], Mapping[str, str]], *, option: str = "") -> None:
    """Check, before any work, that a file of that name has room for texts, asked for where it is limited.

    Raises UsageError.
    """
    kind = _FORMATS.get(path.suffix.lower())
    if kind and kind.longest_texts and len(xmp_of(texts())) > kind.longest_texts:
        place = Place.of_file(path, option)
        raise UsageError(
            place.says(f"the recipe is too long for {path.suffix}; give a .png, or --no-metadata")
        )


def encode_still(image: Image.Image, suffix: str, texts: Mapping[str, str] | None) -> bytes:
    """Return an RGB picture as a file of a suffix that `check_still` allows.

    It carries the program's mark and `texts`; none of them for None.
    """
    kind = _FORMATS.get(suffix.lower())
    if kind is None:
        return encode_png(image, texts)
    data = BytesIO()
    metadata = {} if texts is None else {"xmp": xmp_of(texts)}
    image.save(data, kind.name, **kind.options, **metadata)
    return data.getvalue()


def is_cut_off(path: Path) -> bool:
    """Tell whether the end is missing of a picture in one of these formats: a copy that broke off.

    Only the ends of the file are read. Of WebP, whose texts lie at the end, these are missing then.
    Raises OSError.
    """
    with open_regular(path) as file:
        head, size = file.read(12), os.fstat(file.fileno()).st_size
        file.seek(max(0, size - 12))
        tail = file.read()
        if head.startswith(_PNG):
            return not tail.endswith(_IEND)
        if head.startswith(_SOI):
            return not tail.endswith(_EOI)
        return max((stop for _, _, stop in boxes(file, 0, size)), default=size) > size
