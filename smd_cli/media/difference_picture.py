"""Two pictures side by side, and how they differ, amplified until it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from smd_cli.media.comparison import LEVELS, alike, largest_difference
from smd_cli.media.labels import Label, draw_labels, drawable, fitted, font_of, line_height, middle_of
from smd_cli.media.preview import region_color
from smd_cli.scene.resolve import Size

LONGEST = 1024  # px of a shown picture's longer side
_SMALL = 384  # px below which a picture is shown larger
_GAP = 12
_TITLE_SIZE = 18
_LABEL_SIZE = 14
_WIDE = 2  # times its height: pictures are then laid below each other


class Area(NamedTuple):
    """A part of the pictures, such as a region: its name, and where it is (`L`, of the pictures' size)."""

    name: str
    mask: Image.Image


def draw_difference(
    one: Image.Image, other: Image.Image, titles: tuple[str, str], areas: Sequence[Area] = ()
) -> Image.Image:
    """Draw two pictures of one size and their difference, the largest of which is white; outline areas on it.

    Pictures of a long side above LONGEST px are shown smaller; then each pixel of the difference is that of
    the largest it stands for, so that none is lost.

    Raises ValueError: the sizes differ.
    """
    if one.size != other.size:
        raise ValueError(f"{one.size} cannot be compared with {other.size}")
    difference, title = _amplified(one, other)
    shown = _shown_size(one.size)
    panels = [
        *(picture.convert("RGB").resize(shown, _resampling(picture.size, shown)) for picture in (one, other)),
        _with_outlines(_pooled(difference, shown).convert("RGB"), areas),
    ]
    return _laid_out(panels, [*titles, title])


def _amplified(one: Image.Image, other: Image.Image) -> tuple[Image.Image, str]:
    """Return the largest difference of a channel at each pixel (`L`), amplified; and what it is."""
    difference = largest_difference(ImageChops.difference(*alike(one, other)).split())
    largest = max(level for level, count in enumerate(difference.histogram()) if count)
    if largest == 0:
        return difference, "no difference"
    gain = (LEVELS - 1) / largest
    title = f"difference, times {gain:.3g} (largest: {largest})"
    return difference.point(
        [round(level * gain) for level in range(largest + 1)] + [0] * (LEVELS - 1 - largest)
    ), title


def _shown_size(size: Size) -> Size:
    longest = max(size)
    scale = LONGEST / longest if longest > LONGEST else max(1, _SMALL // longest)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resampling(size: Size, shown: Size) -> Image.Resampling:
    """Keep pixels apart that are shown larger; average those that are shown smaller."""
    return Image.Resampling.NEAREST if shown >= size else Image.Resampling.BOX


def _pooled(difference: Image.Image, shown: Size) -> Image.Image:
    reduced_by = max(difference.size) // max(shown)
    if reduced_by >= 1 and difference.size > shown:
        difference = difference.filter(ImageFilter.MaxFilter(2 * ((reduced_by + 1) // 2) + 1))
    return difference.resize(shown, Image.Resampling.NEAREST)


def _with_outlines(panel: Image.Image, areas: Sequence[Area]) -> Image.Image:
    """Outline areas in the colours that previews give to regions, with their names."""
    labels = []
    for index, (name, mask) in enumerate(areas):
        area, color = mask.resize(panel.size, Image.Resampling.NEAREST), region_color(index)
        panel.paste(color, mask=ImageChops.difference(area, area.filter(ImageFilter.MinFilter(3))))
        labels.append(Label(name, color, middle_of(area)))
    draw_labels(panel, labels, font_of(_LABEL_SIZE))
    return panel


def _laid_out(panels: Sequence[Image.Image], titles: Sequence[str]) -> Image.Image:
    """Lay panels of one size beside each other, wide ones below each other, with a title above each."""
    font = font_of(_TITLE_SIZE)
    width, height = panels[0].size
    step = (width + _GAP, height + line_height(font) + _GAP)
    columns = 1 if width > _WIDE * height else len(panels)
    rows = len(panels) // columns
    page = Image.new("RGB", (columns * step[0] + _GAP, rows * step[1] + _GAP), "white")
    draw = ImageDraw.Draw(page)
    for index, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        x, y = _GAP + index % columns * step[0], _GAP // 2 + index // columns * step[1]
        draw.text((x, y), fitted(drawable(title), font, width), fill="black", font=font)
        page.paste(panel, (x, y + line_height(font) + _GAP // 2))
    return page
