"""Streams whose scene is edited: every frame of an animation looks as rendered, at once and steadily."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from tests.media.frames import SIZE, read, scenery, write


def disc(color: tuple[int, int, int] | Image.Image, background: Image.Image) -> Image.Image:
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).ellipse((30, 20, 60, 50), fill=255)
    image = background.copy()
    image.paste(color, (0, 0, *SIZE), mask)
    return image


RED = disc((220, 40, 40), Image.new("RGB", SIZE, "white"))
BLUE = disc((30, 60, 210), Image.new("RGB", SIZE, "white"))
NIGHT = disc((30, 60, 210), Image.eval(scenery(), lambda level: level // 5))
DAY = disc((250, 220, 40), scenery())
SPOTS = Image.effect_noise((SIZE[0] // 6, SIZE[1] // 6), 120).resize(SIZE, Image.Resampling.BILINEAR)
SPECKLED = disc(Image.merge("RGB", [SPOTS, SPOTS.rotate(180), ImageChops.invert(SPOTS)]), scenery())


def eased(stations: Sequence[Image.Image]) -> list[Image.Image]:
    return [Image.blend(before, after, step / 8) for before, after in pairwise(stations) for step in range(8)]


STREAMS = {
    "sudden": [scene for scene in (DAY, SPECKLED, RED, NIGHT, BLUE, DAY) for _ in range(3)],
    "in a row": [DAY, SPECKLED, BLUE, NIGHT, RED, DAY, NIGHT],
    "eased": eased([RED, BLUE, NIGHT, DAY, RED]),
}


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


@pytest.mark.parametrize("frames", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.apng"])
def test_every_frame_looks_as_rendered(name: str, frames: Sequence[Image.Image], tmp_path: Path) -> None:
    found = read(write(tmp_path / name, frames))
    assert len(found) == len(frames)
    for shown, frame in zip(found, frames, strict=True):
        assert mean_difference(shown, frame) < 6


@pytest.mark.parametrize("frames", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("name", ["x.gif", "x.apng"])
def test_pixels_that_did_not_change_keep_their_colour(
    name: str, frames: Sequence[Image.Image], tmp_path: Path
) -> None:
    found = read(write(tmp_path / name, frames))
    for index in range(1, len(frames)):
        changed = (
            ImageChops.difference(frames[index - 1], frames[index]).convert("L").point([0] + [255] * 255)
        )
        shown = ImageChops.difference(found[index - 1], found[index]).convert("L").point([0] + [255] * 255)
        assert not ImageChops.subtract(shown, changed).getbbox()
