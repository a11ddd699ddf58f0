"""Shows pictures side by side in a notebook, small enough to be kept in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

from IPython import display
from PIL import Image, ImageDraw, ImageFont

GAP = 8
LINE = 22  # px above a row, for its labels


def row(pictures: Iterable[Image.Image], labels: Sequence[str] = (), height: int = 256) -> display.Image:
    """Lay pictures side by side at one height, each with its label above, as a JPEG."""
    scaled = [picture.convert("RGB").resize(_fitted(picture, height)) for picture in pictures]
    top = LINE if labels else 0
    sheet = Image.new("RGB", (sum(one.width + GAP for one in scaled) - GAP, height + top), "white")
    pen, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(size=14), 0
    for picture, label in zip(scaled, labels or [""] * len(scaled), strict=True):
        pen.text((left + 2, 2), label, fill="black", font=font)
        sheet.paste(picture, (left, top))
        left += picture.width + GAP
    file = BytesIO()
    sheet.save(file, "JPEG", quality=88)
    return display.Image(file.getvalue(), format="jpeg")


def film(path: Path) -> display.Image:
    """Show an animated GIF."""
    return display.Image(path.read_bytes(), format="gif")


def _fitted(picture: Image.Image, height: int) -> tuple[int, int]:
    return round(picture.width * height / picture.height), height
