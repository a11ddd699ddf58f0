"""Comparing what two files show, a picture or the frames of a film. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from smd_cli.app.picture_diff import Shown
from smd_cli.app.verification.ssim import ssim
from smd_cli.app.verification.verdict import Measured
from smd_cli.media.comparison import PixelDifference, alike, compare_pixels


@dataclass(frozen=True)
class Worst:
    """The frame that differs most: its number from 0, and its pictures."""

    number: int
    before: Image.Image
    now: Image.Image


@dataclass(frozen=True)
class Compared:
    """How far two files of so many frames are from each other, and where most."""

    measured: Measured
    worst: Worst
    frames: int


def other_shape(before: Shown, now: Shown) -> str:
    """Return in short how sizes or numbers of frames differ, so that pixels cannot be compared."""
    sizes = ["{}x{} px".format(*each.source.size) for each in (before, now)]
    counts = [f"{each.source.frames} frames" for each in (before, now)]
    return "; ".join(f"{one}, now {other}" for one, other in (sizes, counts) if one != other)


def compare_levels(before: Shown, now: Shown, tolerance: int) -> Compared:
    """Compare files of one shape level by level. Raises AssetError: a frame cannot be read."""
    total: PixelDifference | None = None
    most, worst = -1.0, None
    for number, (one, other) in enumerate(zip(before.frames(), now.frames(), strict=True)):
        difference = compare_pixels(*alike(one, other))
        total = difference if total is None else total + difference
        if difference.mean > most:
            most, worst = difference.mean, Worst(number, one, other)
    if total is None or worst is None:
        raise ValueError("there are no frames to compare")
    measured = Measured("pixels", None, total.largest, total.mean, total.beyond(tolerance))
    return Compared(measured, worst, before.source.frames)


def compare_structure(before: Shown, now: Shown) -> Compared:
    """Compare files of one shape by their structure; of films, the worst frame counts. Raises as above."""
    least, worst = 2.0, None
    for number, (one, other) in enumerate(zip(before.frames(), now.frames(), strict=True)):
        similarity = ssim(*alike(one, other))
        if similarity < least:
            least, worst = similarity, Worst(number, one, other)
    if worst is None:
        raise ValueError("there are no frames to compare")
    return Compared(Measured("ssim", least), worst, before.source.frames)
