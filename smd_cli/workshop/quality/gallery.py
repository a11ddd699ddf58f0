"""A sheet of what each way painted: a row a way, the same scenes below one another."""

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
NAME = "sheet.png"


def write_gallery(folder: Path, variants: Sequence[Variant], seeds: Sequence[int]) -> Path:
    """Lay the pictures of seeds that a benchmark kept in `folder` into one, a row a way; return its path."""
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
    write_bytes(folder / NAME, encode_png(page, {}))
    return folder / NAME


def _small(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.resize((picture.width * HEIGHT // picture.height, HEIGHT), Image.Resampling.LANCZOS)
