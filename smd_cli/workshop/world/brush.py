"""A brush that draws in an object's local coordinates: x and y in [-1, 1], y downwards."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Brush:
    """A drawing context in local coordinates: (0, 0) maps to `center` and length 1 to `radius`, both px."""

    draw: ImageDraw.ImageDraw
    center: Point
    radius: float
    mirror: bool = False

    def at(self, x: float, y: float, scale: float = 1.0) -> "Brush":
        """Return a brush for a part of the object: centred on local (x, y), `scale` times as large."""
        return replace(self, center=self._px((x, y)), radius=self.radius * scale)

    def _px(self, point: Point) -> Point:
        x, y = point
        sign = -1.0 if self.mirror else 1.0
        return self.center[0] + sign * x * self.radius, self.center[1] + y * self.radius

    def _box(self, x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        cx, cy = self._px((x, y))
        return cx - rx * self.radius, cy - ry * self.radius, cx + rx * self.radius, cy + ry * self.radius

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        """Fill an ellipse centred on (x, y)."""
        self.draw.ellipse(self._box(x, y, rx, ry), fill=fill)

    def half(
        self, x: float, y: float, rx: float, ry: float, *, fill: Color, start: float, end: float
    ) -> None:
        """Fill the part of an ellipse between two angles (degrees, clockwise from the right)."""
        if self.mirror:
            start, end = 180 - end, 180 - start
        self.draw.chord(self._box(x, y, rx, ry), start, end, fill=fill)

    def box(self, x: float, y: float, rx: float, ry: float, *, fill: Color, round_by: float = 0.0) -> None:
        """Fill a box centred on (x, y) with corners rounded by `round_by`."""
        self.draw.rounded_rectangle(self._box(x, y, rx, ry), radius=round_by * self.radius, fill=fill)

    def polygon(self, points: Sequence[Point], fill: Color) -> None:
        """Fill a polygon."""
        self.draw.polygon([self._px(p) for p in points], fill=fill)

    def line(self, points: Sequence[Point], width: float, fill: Color) -> None:
        """Draw a line of a width in local units with round ends."""
        px = [self._px(p) for p in points]
        thick = max(1, round(width * self.radius))
        self.draw.line(px, fill=fill, width=thick, joint="curve")
        for x, y in (px[0], px[-1]):
            self.draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=fill)


def star_points(points: int, inner: float, turn: float = -90.0) -> list[Point]:
    """Return the corners of a star of radius 1 whose notches lie at radius `inner`."""
    corners = []
    for i in range(2 * points):
        angle = math.radians(turn + i * 180.0 / points)
        radius = 1.0 if i % 2 == 0 else inner
        corners.append((radius * math.cos(angle), radius * math.sin(angle)))
    return corners


def shade(color: Color, by: float) -> Color:
    """Return a colour darkened (by < 1) or lightened towards white (by > 1)."""
    if by <= 1:
        return (int(color[0] * by), int(color[1] * by), int(color[2] * by))
    lift = by - 1
    return (
        int(color[0] + (255 - color[0]) * lift),
        int(color[1] + (255 - color[1]) * lift),
        int(color[2] + (255 - color[2]) * lift),
    )


def vary(rng: random.Random, color: Color, by: int = 8) -> Color:
    """Return a colour changed by up to `by` grey levels in each channel."""
    r, g, b = (max(0, min(255, c + rng.randint(-by, by))) for c in color)
    return (r, g, b)
