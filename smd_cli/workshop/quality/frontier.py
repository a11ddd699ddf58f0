"""A plot of regions that are right against halos: one point a method, with the 95 % intervals of both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from smd_cli.media.files import write_bytes
from smd_cli.media.png import encode_png
from smd_cli.workshop.quality.report import QualityRow

PLOT = "frontier.png"
SIZE = (1200, 800)
MARGIN = (80, 40, 30, 70)  # left, top, right, bottom, px
COLORS = ("#1b6ca8", "#c8472b", "#2c8a4b", "#7d4a9e", "#b07d12", "#3a8f94", "#b0417f", "#5b5b5b")
TICK = 0.1
REACH = (7, 14, 26, 40, 56, 74, 94, 116, 140)
"""Distances, px, at which a name is tried around its point."""

AROUND = ((1, -1), (1, 1), (-1, -1), (-1, 1), (1, 0), (-1, 0), (0, -1), (0, 1))
"""Directions in which it is tried: first those between the intervals."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Scale:
    """Where shares lie on the plot; `low` and `high` are (halos, regions) at its corners."""

    low: tuple[float, float]
    high: tuple[float, float]

    def at(self, halos: float, regions: float) -> tuple[float, float]:
        """Return the place (x, y), px, of a point."""
        left, top, right, bottom = MARGIN
        x, y = (
            (value - low) / (high - low)
            for value, low, high in zip((halos, regions), self.low, self.high, strict=True)
        )
        return left + x * (SIZE[0] - left - right), SIZE[1] - bottom - y * (SIZE[1] - top - bottom)


def write_frontier(folder: Path, rows: Sequence[QualityRow]) -> Path:
    """Write `folder`/frontier.png; return its path."""
    write_bytes(folder / PLOT, encode_png(plot_frontier(rows), {}))
    return folder / PLOT


def plot_frontier(rows: Sequence[QualityRow]) -> Image.Image:
    """Draw the plot; names stand where they cover no point and no other name."""
    page = Image.new("RGB", SIZE, "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    scale = _scale_for(rows)
    _draw_axes(draw, font, scale)
    places = [scale.at(row.figures["halos"].value, row.figures["regions"].value) for row in rows]
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    for number, (row, (x, y)) in enumerate(zip(rows, places, strict=True)):
        color = COLORS[number % len(COLORS)]
        halos, regions = row.figures["halos"], row.figures["regions"]
        draw.line((scale.at(halos.low, regions.value), scale.at(halos.high, regions.value)), fill=color)
        draw.line((scale.at(halos.value, regions.low), scale.at(halos.value, regions.high)), fill=color)
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=color)
    for number, (row, (x, y)) in enumerate(zip(rows, places, strict=True)):
        color = COLORS[number % len(COLORS)]
        box = _free_place(draw.textbbox((0, 0), row.name, font=font), (x, y), taken)
        taken.append(box)
        near = min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])
        draw.line(((x, y), near), fill=color)
        draw.rectangle(box, fill="white")
        draw.text((box[0] + 2, box[1]), row.name, fill=color, font=font)
    return page


def _scale_for(rows: Sequence[QualityRow]) -> _Scale:
    """Choose bounds, in whole ticks, that hold all intervals."""
    bounds = [[row.figures[name] for row in rows] for name in ("halos", "regions")]
    low = [math.floor(min(each.low for each in figures) / TICK) * TICK for figures in bounds]
    high = [math.ceil(max(each.high for each in figures) / TICK + 1e-9) * TICK for figures in bounds]
    return _Scale((0.0, low[1]), (max(high[0], TICK), max(high[1], low[1] + TICK)))


def _draw_axes(
    draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, scale: _Scale
) -> None:
    left, top, right, bottom = MARGIN
    for halos in _ticks(scale.low[0], scale.high[0]):
        x, _ = scale.at(halos, scale.low[1])
        draw.line((x, top, x, SIZE[1] - bottom), fill="#dddddd")
        draw.text((x, SIZE[1] - bottom + 6), f"{100 * halos:.0f}", fill="black", font=font, anchor="ma")
    for regions in _ticks(scale.low[1], scale.high[1]):
        _, y = scale.at(scale.low[0], regions)
        draw.line((left, y, SIZE[0] - right, y), fill="#dddddd")
        draw.text((left - 8, y), f"{100 * regions:.0f}", fill="black", font=font, anchor="rm")
    draw.text((SIZE[0] / 2, SIZE[1] - 12), "halos, % (left is better)", fill="black", font=font, anchor="mb")
    draw.text((left - 50, top - 12), "regions right, % (up is better)", fill="black", font=font, anchor="lb")


def _ticks(low: float, high: float) -> Iterator[float]:
    for number in range(round((high - low) / TICK) + 1):
        yield low + number * TICK


def _free_place(text: Box, point: tuple[float, float], taken: Sequence[Box]) -> Box:
    """Return the nearest box around a point that is on the page and meets none that is taken."""
    width, height = text[2] + 4, text[3] + 2
    tried: list[Box] = []
    for reach in REACH:
        for across, down in AROUND:
            x = point[0] + across * reach - width * (1 - across) / 2
            y = point[1] + down * reach - height * (1 - down) / 2
            box = (x, y, x + width, y + height)
            tried.append(box)
            on_page = MARGIN[0] <= x <= SIZE[0] - width and 0 <= y <= SIZE[1] - MARGIN[3] - height
            if on_page and not any(_meet(box, other) for other in taken):
                return box
    return tried[0]


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
