"""A contact sheet of a benchmark's pictures: one row per method, one column per scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from smd_cli.media.files import write_bytes
from smd_cli.media.png import encode_png
from smd_cli.workshop.quality.methods import Variant

HEIGHT = 128
LABEL = 18
GAP = 4
SHEET = "sheet.png"


def write_gallery(folder: Path, variants: Sequence[Variant], seeds: Sequence[int]) -> Path:
    """Write `folder`/sheet.png from the pictures that a benchmark cached in `folder`; return its path.

    Each variant gets a labelled row; `seeds` choose the scenes, one per column.
    """
    rows = [[_small(folder / variant.key / f"{seed}.png") for seed in seeds] for variant in variants]
    width = max(sum(picture.width + GAP for picture in row) for row in rows)
    page = Image.new("RGB", (width, len(rows) * (HEIGHT + LABEL)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for number, (variant, row) in enumerate(zip(variants, rows, strict=True)):
        x, y = 0, number * (HEIGHT + LABEL)
        draw.text((2, y + 1), variant.name, fill="black", font=font)
        for picture in row:
            page.paste(picture, (x, y + LABEL))
            x += picture.width + GAP
    write_bytes(folder / SHEET, encode_png(page, {}))
    return folder / SHEET


def _small(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.resize((picture.width * HEIGHT // picture.height, HEIGHT), Image.Resampling.LANCZOS)
