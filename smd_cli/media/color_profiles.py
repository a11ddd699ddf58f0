"""Colours of a picture's own profile (ICC) in sRGB, which all of this program's pictures are in."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageCms

from smd_cli.media.pixels import in_mode

_MAX_BYTES = 1 << 24  # of a profile; the largest published ones, for print, have a few MB
_MAX_NAME = 40  # characters of a profile's name that are shown
_SAME = 2  # levels: a profile that changes no colour by more is sRGB under some name
_SPACES = {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}  # of the profiles that a mode can have


class _UnusableError(Exception):
    """A profile cannot be used; the message says why."""


def to_srgb(colors: Image.Image, profile: bytes | None) -> tuple[Image.Image, str | None]:
    """Return an image of mode L, RGB, CMYK or LAB in sRGB, as L or RGB, and a note on its profile.

    The note is None where no colour changes. A profile that cannot be used leaves the colours as they are.
    """
    if not profile or colors.mode == "LAB":  # Lab means the same everywhere, and Pillow converts it
        return _plain(colors), None
    try:
        transform, name = _conversion(profile, colors.mode)
    except _UnusableError as error:
        return _plain(colors), f"its colour profile is not used: {error}"
    if transform is None:
        return _plain(colors), None
    return _apply(transform, colors), f"converted from the colour profile {name!r} to sRGB"


def _plain(colors: Image.Image) -> Image.Image:
    return colors if colors.mode in ("L", "RGB") else colors.convert("RGB")


@lru_cache(maxsize=4)  # the frames of a film share one
def _conversion(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """Return the transform from a profile to sRGB, None where it changes nothing, and the profile's name.

    Raises _UnusableError.
    """
    if len(profile) > _MAX_BYTES:
        raise _UnusableError(f"it has more than {_MAX_BYTES >> 20} MB")
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        if space not in _SPACES[mode]:
            raise _UnusableError(f"it is for {_printable(space)}, the picture is {mode}")
        transform = _transform(opened, "L" if space == "GRAY" else space)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
        raise _UnusableError("it is damaged or of an unknown kind") from error
    return (None if _changes_nothing(transform) else transform), _name(opened)


def _name(profile: ImageCms.ImageCmsProfile) -> str:
    try:
        return _printable(profile.profile.profile_description or "") or "unnamed"
    except ValueError:  # what LittleCMS makes of old profiles with other characters than ASCII
        return "unnamed"


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    """Return the transform to sRGB that keeps colours where sRGB has them, as programs for photographs do."""
    return ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _apply(transform: ImageCms.ImageCmsTransform, colors: Image.Image) -> Image.Image:
    """Return colours in sRGB; grey stays grey."""
    converted = transform.apply(in_mode(colors, transform.input_mode))
    return converted.convert("L") if colors.mode == "L" else converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Tell whether a transform leaves colours from all over its space as they are."""
    if transform.input_mode == "CMYK":
        return False
    steps = bytes(range(0, 256, 15))
    if transform.input_mode == "L":
        sample = Image.frombytes("L", (len(steps), 1), steps)
    else:
        colors = b"".join(bytes((red, green, blue)) for red in steps for green in steps for blue in steps)
        sample = Image.frombytes("RGB", (len(steps), len(steps) ** 2), colors)
    changes = zip(transform.apply(sample).tobytes(), sample.convert("RGB").tobytes(), strict=True)
    return all(abs(after - before) <= _SAME for after, before in changes)


def _printable(text: str) -> str:
    """Return text from a file as one short line without control characters."""
    line = "".join(character for character in text if character.isprintable()).strip()
    return line if len(line) <= _MAX_NAME else line[: _MAX_NAME - 1] + "…"
