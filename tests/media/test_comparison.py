import numpy as np
import pytest
from PIL import Image

from smd_cli.media.comparison import alike, compare_pixels, split_areas

SIDES = (40, 24)


@pytest.fixture(scope="module")
def pair():
    chance = np.random.default_rng(3)
    one = chance.integers(0, 256, (*SIDES[::-1], 3))
    other = np.clip(one + chance.integers(-9, 14, one.shape), 0, 255)
    other[:8] = one[:8]
    return one, other


def image(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(levels.astype(np.uint8))


def in_box(left: int, top: int, right: int, bottom: int) -> Image.Image:
    mask = Image.new("L", SIDES)
    mask.paste(255, (left, top, right, bottom))
    return mask


@pytest.mark.parametrize("box", [None, (5, 4, 30, 20), (0, 0, 40, 8)])
def test_an_area_is_measured_as_numpy_does(pair, box):
    one, other = pair
    left, top, right, bottom = box or (0, 0, *SIDES)
    before, after = one[top:bottom, left:right], other[top:bottom, left:right]
    apart = np.abs(after - before)
    found = compare_pixels(image(one), image(other), box and in_box(*box))
    assert found.pixels == (right - left) * (bottom - top)
    assert found.largest == apart.max()
    assert found.mean == pytest.approx(apart.mean())
    assert found.shift == pytest.approx((after - before).mean((0, 1)))
    for levels in (0, 1, 8, 200):
        assert found.beyond(levels) == pytest.approx((apart.max(-1) > levels).mean())


def test_areas_add_up(pair):
    one, other = map(image, pair)
    areas, rest = split_areas([in_box(0, 0, 20, 24), in_box(10, 5, 30, 20)], SIDES)
    parts = [compare_pixels(one, other, area) for area in (*areas, rest)]
    assert [part.pixels for part in parts] == [20 * 24 - 10 * 15, 20 * 15, 10 * 24 + 10 * 9]
    assert parts[0] + parts[1] + parts[2] == compare_pixels(one, other)


def test_a_soft_edge_is_split_in_the_middle():
    mask = Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8))
    (area,), rest = split_areas([mask], (4, 1))
    assert (list(area.tobytes()), list(rest.tobytes())) == ([0, 0, 255, 255], [255, 255, 0, 0])


def test_colours_that_do_not_show_do_not_count():
    one, other = (Image.new("RGBA", (2, 1), (*color, 0)) for color in ((255, 0, 0), (0, 0, 255)))
    assert compare_pixels(*alike(one, other)).largest == 0
    other.putpixel((0, 0), (0, 0, 255, 100))
    found = compare_pixels(*alike(one, other))
    assert (found.largest, found.beyond(), found.shift) == (100, 0.5, (0, 0, 50, 50))


def test_a_picture_without_alpha_is_opaque():
    opaque = Image.new("RGBA", (2, 2), (10, 20, 30, 255))
    assert compare_pixels(*alike(Image.new("RGB", (2, 2), (10, 20, 30)), opaque)).largest == 0
    assert compare_pixels(*alike(Image.new("L", (2, 2), 7), Image.new("RGB", (2, 2), (7, 7, 9)))).largest == 2


def test_other_sizes_are_no_pictures_to_compare():
    with pytest.raises(ValueError, match="cannot be compared"):
        compare_pixels(Image.new("RGB", (2, 2)), Image.new("RGB", (2, 3)))
