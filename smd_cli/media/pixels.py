"""What a picture shows: 8-bit sRGB colours and how opaque each pixel is, whatever mode its file has."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple, cast

from PIL import Image, ImageChops, ImageMath

from smd_cli.errors import AssetError
from smd_cli.media.png_layout import sample_bits

_SHOWN = ("L", "LA", "RGB", "RGBA")
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_WITH_ALPHA = ("LA", "PA", "RGBA")
_GREY = ("1", "L", "LA")
_WHITE_16 = 0xFFFF
_OWN_SPACES = ("CMYK", "LAB")  # modes whose colours a profile has to be applied to


class Shown(NamedTuple):
    """A picture as L, LA, RGB or RGBA in sRGB, and what was done to its colours, one line each."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def shown_pixels(image: Image.Image, path: Path) -> Shown:
    """Return what a loaded image of the file at `path` shows.

    Raises AssetError: it holds floating-point values, or numbers of 32 bits.
    """
    profile = image.info.get("icc_profile")
    if image.mode in _SHOWN and "transparency" not in image.info and not profile:
        return Shown(image)
    from smd_cli.media.color_profiles import to_srgb  # loads LittleCMS, for which most pictures need not wait

    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    alpha = _alpha(image, path)
    colors, note = to_srgb(_opaque_colors(image, path), profile)
    if alpha:
        colors = Image.merge(f"{colors.mode}A", (*colors.split(), alpha))
    return Shown(colors, (f"{path}: {note}",) if note else ())


def has_alpha(image: Image.Image) -> bool:
    """Tell whether what `shown_pixels` returned has an alpha channel."""
    return image.mode in ("LA", "RGBA")


def on_white(image: Image.Image) -> Image.Image:
    """Return what `shown_pixels` returned as RGB, on white where it is transparent."""
    if not has_alpha(image):
        return in_mode(image, "RGB")
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A"))
    return flat


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Return an image in a mode: itself, where it has that, since a large one's copy takes as much memory."""
    return image if image.mode == mode else image.convert(mode)


def _alpha(image: Image.Image, path: Path) -> Image.Image | None:
    """Return how opaque each pixel is (`L`): an alpha channel, a palette's, or a transparent colour."""
    if image.mode in _WITH_ALPHA:
        return image.getchannel("A")
    if not image.has_transparency_data:
        return None
    if image.mode == "P":
        return image.convert("RGBA").getchannel("A")
    return _apart_from(image, _transparent_color(image.info["transparency"], image.mode, path))


def _transparent_color(written: Any, mode: str, path: Path) -> tuple[int, ...]:  # noqa: ANN401 - Pillow's
    """Return the transparent colour in the range of an image's mode; a PNG file counts in its own depth."""
    levels = written if isinstance(written, tuple) else (written,)
    bits = sample_bits(path)
    if mode == "RGB" and bits == 16:
        return tuple(level >> 8 for level in levels)  # as Pillow reads the pixels
    if mode == "L" and bits in (2, 4):
        return tuple(level * 255 // (2**bits - 1) for level in levels)
    return levels


def _apart_from(image: Image.Image, color: tuple[int, ...]) -> Image.Image:
    """Return 0 (`L`) where an image without alpha has exactly this colour, and 255 elsewhere."""
    if image.mode.startswith("I"):
        grey = image.convert("I")
        differs: Image.Image = ImageMath.lambda_eval(
            lambda names: (names["grey"] != color[0]) * 255, grey=grey
        )
        return differs.convert("L")
    bands = image.convert("L").split() if image.mode == "1" else image.split()
    tables = ([255 * (value != level) for value in range(256)] for level in color)
    return reduce(ImageChops.lighter, (band.point(table) for band, table in zip(bands, tables, strict=True)))


def _opaque_colors(image: Image.Image, path: Path) -> Image.Image:
    """Return the colours without alpha, 8 bits a channel: as L or RGB, or in a mode of `_OWN_SPACES`."""
    if image.mode == "F":
        raise AssetError(f"{path}: holds floating-point values; save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip instead of scale
        grey = image.convert("I")
        low, high = cast("tuple[int, int]", grey.getextrema())
        if low < 0 or high > _WHITE_16:
            raise AssetError(f"{path}: holds numbers of 32 bits; save it with 8 or 16 bits a channel")
        return grey.point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if image.mode in _OWN_SPACES:
        return image
    return in_mode(image, "L" if image.mode in _GREY else "RGB")
