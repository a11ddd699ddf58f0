import numpy as np
import pytest
from PIL import Image

from smd_cli.errors import AssetError
from smd_cli.media.sheet import MAX_PIXELS, MAX_SIDE, Cell, Sheet

COLORS = ("red", "lime", "blue", "black")


def cell(color: str, size=(64, 64), *lines: str) -> Cell:
    return Cell(size, lines, lambda: Image.new("RGB", size, color))


def found(page: Image.Image, color: str) -> tuple[int, int, int, int]:
    """The box of a colour's pixels."""
    alike = (np.asarray(page) == np.asarray(Image.new("RGB", (1, 1), color))).all(-1)
    rows, columns = np.nonzero(alike)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def ink(page: Image.Image, box) -> int:
    """How much is written in a box."""
    return int((np.asarray(page.crop(box).convert("L")) < 128).sum())


@pytest.mark.parametrize(
    ("size", "shown"), [((64, 64), (192, 192)), ((2048, 1024), (512, 256)), ((300, 400), (300, 400))]
)
def test_pictures_are_shown_so_that_one_sees_something(size, shown):
    (page,) = Sheet([cell("red", size)]).draw()
    left, top, right, bottom = found(page, "red")
    assert (right - left, bottom - top) == shown


def test_cells_are_laid_out_row_by_row_with_heads():
    cells = [cell(color, (200, 100)) for color in COLORS]
    heads = {"title": "all of it", "column_heads": ("a", "b"), "row_heads": (("one", "two"), ("three",))}
    (page,) = Sheet(cells, 2, **heads).draw()
    boxes = [found(page, color) for color in COLORS[:3]]
    assert boxes[0][1] == boxes[1][1] < boxes[2][1]
    assert boxes[0][0] == boxes[2][0] < boxes[1][0]
    left, top = boxes[0][:2]
    assert ink(page, (0, 0, page.width, 25)) > 20  # the title
    assert ink(page, (left, 28, left + 100, top - 1)) > 5  # a column's head
    assert (
        ink(page, (0, top, left - 1, top + 40))
        > 2 * ink(page, (0, boxes[2][1], left - 1, boxes[2][1] + 18)) / 2
    )
    assert ink(page, (0, top + 20, left - 1, top + 40)) > 5  # the second line beside the row


def test_labels_are_below_pictures_and_cut():
    long = "a house by the lake in the evening, with many clouds and a boat"
    (page,) = Sheet([cell("red", (64, 64), "seed 1", long), cell("lime", (64, 64), "seed 2", long)], 2).draw()
    left, _, right, bottom = found(page, "red")
    assert ink(page, (left, bottom + 2, right, bottom + 20)) > 10
    assert ink(page, (left, bottom + 22, right, page.height)) > 50
    assert ink(page, (right, bottom, right + 10, page.height)) == 0  # nothing reaches the next cell


def test_what_is_missing_is_an_empty_cell_with_a_word():
    def gone():
        raise AssetError("gone.png: no such file")

    cells = [cell("red"), Cell((64, 64), word="failed"), Cell((64, 64), picture=gone)]
    (page,) = Sheet(cells, 3).draw()
    left, top, right, bottom = found(page, "red")
    for column in (1, 2):
        x = left + column * (right - left + 10)
        assert page.getpixel((x + 2, top + 2)) == page.getpixel((x + 190, bottom - 2)) == (232, 232, 232)
        assert ink(page, (x, top, x + 192, bottom)) > 30


def test_many_pictures_take_small_pictures_and_then_pages(tmp_path):
    reads = []

    def read():
        reads.append(1)
        return Image.new("RGB", (64, 64), "red")

    few, many = (Sheet([Cell((2048, 2048), ("seed",), read)] * count, title="t") for count in (20, 1500))
    assert (few.pages, many.pages > 1, reads) == (1, True, [])
    assert many.paths(tmp_path / "s.png")[:2] == [tmp_path / "s.png", tmp_path / "s_2.png"]
    pages = list(many.draw())
    assert (len(pages), len(reads)) == (many.pages, 1500)
    for page in pages:
        assert max(page.size) <= MAX_SIDE
        assert page.width * page.height <= MAX_PIXELS
