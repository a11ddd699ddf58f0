import numpy as np
import pytest
from PIL import Image

from smd_cli.media.difference_picture import LONGEST, Area, draw_difference


def flat(size, *dots):
    image = Image.new("RGB", size, (100, 100, 100))
    for place, color in dots:
        image.putpixel(place, color)
    return image


def test_the_largest_difference_is_white():
    page = draw_difference(flat((400, 300)), flat((400, 300), ((10, 20), (100, 105, 100))), ("a", "b"))
    last = np.asarray(page)[-12 - 300 : -12, -12 - 400 : -12]
    assert (last[20, 10] == 255).all()
    assert last.sum() == 3 * 255
    first = np.asarray(page)[-12 - 300 : -12, 12 : 12 + 400]
    assert (first == 100).all()


def test_no_pixel_is_lost_where_a_picture_is_shown_smaller():
    size = (3 * LONGEST, LONGEST)
    page = draw_difference(flat(size), flat(size, ((1501, 777), (100, 100, 101))), ("a", "b"))
    assert page.width == LONGEST + 24  # wide pictures lie below each other
    last = np.asarray(page.convert("L"))[-12 - LONGEST // 3 : -12, 12:-12]
    assert last.max() == 255
    row, column = (int(places.mean()) for places in np.nonzero(last))
    assert (abs(row - 777 / 3) <= 2, abs(column - 1501 / 3) <= 2) == (True, True)


def test_small_pictures_are_enlarged_and_areas_outlined():
    area = Image.new("L", (64, 64))
    area.paste(255, (0, 0, 32, 64))
    page = draw_difference(flat((64, 64)), flat((64, 64)), ("a", "b"), [Area("left", area)])
    last = np.asarray(page)[-12 - 384 : -12, -12 - 384 : -12].astype(int)
    edge = last[380, 185:200]
    assert (edge.max(0) - edge.min(0)).max() > 100  # a coloured line at half of the width
    assert last[380, 250:].max() == 0  # nothing on the right


def test_other_sizes_are_not_drawn():
    with pytest.raises(ValueError, match="cannot be compared"):
        draw_difference(flat((8, 8)), flat((8, 16)), ("a", "b"))
