"""Contact sheets: pictures in a grid, with labels below them and heads beside it, on as few pages as fit.

Pictures are read one at a time; what is in memory is one page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image, ImageDraw

from smd_cli.errors import SmdError
from smd_cli.media.labels import drawable, fitted, font_of, line_height
from smd_cli.scene.resolve import Size

MAX_SIDE = 16_384
"""Of a page, px."""
MAX_PIXELS = 40_000_000
"""Of a page."""
MAX_COLUMNS = 64

_SHOWN_SIDES = (512, 384, 256, 192)  # px of a picture's longer side: the first of which one page is enough
_ENLARGED_TO = 192  # px, by whole factors
_NARROWEST = 96  # px of a cell, below which no label is readable
_GAP = 10
_LONGEST_HEAD = 220  # px of a row's head
_RATIO = 1.4  # width to height of a page without columns of its own
_FONT = font_of(14)
_HEAD_FONT = font_of(16)
_EMPTY = "#e8e8e8"
_OUTLINE = "#c8c8c8"  # around pictures, which may be white

Read = Callable[[], Image.Image]


@dataclass(frozen=True)
class Cell:
    """A picture of a sheet, or a word instead of one.

    Attributes:
        size: of the picture in px, or of those around it.
        lines: the label.
        picture: what reads it; None: there is none.
        word: in the place of a picture.
    """

    size: Size
    lines: tuple[str, ...] = ()
    picture: Read | None = None
    word: str = ""


@dataclass(frozen=True)
class Sheet:
    """Cells row by row.

    Attributes:
        cells: at least one.
        columns: how many a row has; 0: as many as give a page a usual form.
        title: above all of them.
        column_heads: above each column; empty: there are none.
        row_heads: lines beside each row; empty: there are none.
    """

    cells: Sequence[Cell]
    columns: int = 0
    title: str = ""
    column_heads: Sequence[str] = ()
    row_heads: Sequence[tuple[str, ...]] = ()

    @property
    def pages(self) -> int:
        """Return how many pages it takes."""
        return -(-self._grid.rows // self._grid.rows_of_page)

    def draw(self) -> Iterator[Image.Image]:
        """Draw one page after the other. A picture that cannot be read, an SmdError, has a word instead."""
        grid = self._grid
        for first in range(0, grid.rows, grid.rows_of_page):
            yield _Page(self, grid, range(first, min(first + grid.rows_of_page, grid.rows))).draw()

    def paths(self, path: Path) -> list[Path]:
        """Return the file of each page: sheet.png, sheet_2.png and so on."""
        later = (path.with_stem(f"{path.stem}_{number}") for number in range(2, self.pages + 1))
        return [path, *later]

    @cached_property
    def _grid(self) -> _Grid:
        grids = [_Grid.of(self, side) for side in _SHOWN_SIDES]
        return next((grid for grid in grids if grid.is_one_page), grids[-1])


@dataclass(frozen=True)
class _Grid:
    """The sizes of a sheet's parts, px.

    Attributes:
        side: the longest that a picture is shown with.
        box: of the pictures.
        columns: how many.
        rows: how many.
        cell: with its label and the gap to the next one.
        left: of the first column.
        top: of the first row.
    """

    side: int
    box: Size
    columns: int
    rows: int
    cell: Size
    left: int
    top: int

    @classmethod
    def of(cls, sheet: Sheet, side: int) -> _Grid:
        """Lay out a sheet whose pictures have at most a longer side."""
        shown = {_shown_size(size, side) for size in {cell.size for cell in sheet.cells}}
        box = (max(_NARROWEST, *(size[0] for size in shown)), max(size[1] for size in shown))
        lines = max(len(cell.lines) for cell in sheet.cells)
        cell = (box[0] + _GAP, box[1] + lines * line_height(_FONT) + _GAP + _GAP * bool(lines) // 2)
        lines_of_heads = {drawable(line) for head in sheet.row_heads for line in head}
        heads = [min(_LONGEST_HEAD, math.ceil(_HEAD_FONT.getlength(line))) for line in lines_of_heads]
        left = _GAP + (max(heads) + _GAP if heads else 0)
        top = _GAP + (line_height(_HEAD_FONT) + _GAP // 2) * (bool(sheet.title) + bool(sheet.column_heads))
        columns = sheet.columns or _usual_columns(len(sheet.cells), cell, MAX_SIDE - left)
        return cls(side, box, columns, -(-len(sheet.cells) // columns), cell, left, top)

    @property
    def width(self) -> int:
        """Return the width of a page."""
        return self.left + self.columns * self.cell[0]

    @property
    def rows_of_page(self) -> int:
        """Return how many rows fit on a page."""
        return max(1, (min(MAX_SIDE, MAX_PIXELS // self.width) - self.top) // self.cell[1])

    @property
    def is_one_page(self) -> bool:
        """Tell whether everything fits on one page."""
        return self.rows <= self.rows_of_page and self.width <= MAX_SIDE


@dataclass(frozen=True)
class _Page:
    """Some rows of a sheet."""

    sheet: Sheet
    grid: _Grid
    rows: range

    def draw(self) -> Image.Image:
        """Draw the page."""
        grid, sheet = self.grid, self.sheet
        page = Image.new("RGB", (grid.width, grid.top + len(self.rows) * grid.cell[1]), "white")
        draw = ImageDraw.Draw(page)
        if sheet.title:
            self._write(draw, (_GAP, _GAP), sheet.title, grid.width - 2 * _GAP)
        heads_at = grid.top - line_height(_HEAD_FONT) - _GAP // 2
        for column, head in enumerate(sheet.column_heads):
            self._write(draw, (grid.left + column * grid.cell[0], heads_at), head, grid.box[0])
        for row in self.rows:
            y = grid.top + (row - self.rows.start) * grid.cell[1]
            for number, line in enumerate(sheet.row_heads[row] if sheet.row_heads else ()):
                self._write(draw, (_GAP, y + number * line_height(_HEAD_FONT)), line, grid.left - 2 * _GAP)
            for column, cell in enumerate(sheet.cells[row * grid.columns : (row + 1) * grid.columns]):
                self._draw_cell(page, draw, cell, (grid.left + column * grid.cell[0], y))
        return page

    def _draw_cell(
        self, page: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, at: tuple[int, int]
    ) -> None:
        (x, y), (width, height) = at, self.grid.box
        shown, word = None, cell.word
        if cell.picture:
            try:
                shown = _shown(cell.picture(), self.grid.side)
            except SmdError:
                word = "not readable"
        if shown:
            top = y + height - shown.height  # so that labels follow their pictures
            page.paste(shown, (x, top))
            draw.rectangle((x - 1, top - 1, x + shown.width, y + height), outline=_OUTLINE)
        else:
            draw.rectangle((x, y, x + width - 1, y + height - 1), fill=_EMPTY)
            draw.text((x + width / 2, y + height / 2), word, fill="black", font=_HEAD_FONT, anchor="mm")
        for number, line in enumerate(cell.lines):
            where = (x, y + height + _GAP // 2 + number * line_height(_FONT))
            draw.text(where, fitted(drawable(line), _FONT, width), fill="black", font=_FONT)

    @staticmethod
    def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, width: float) -> None:
        draw.text(at, fitted(drawable(text), _HEAD_FONT, width), fill="black", font=_HEAD_FONT)


def _usual_columns(cells: int, cell: Size, width: int) -> int:
    """Return how many columns give a page a usual form, and fit a width."""
    usual = math.ceil(math.sqrt(cells * _RATIO * cell[1] / cell[0]))
    return max(1, min(usual, cells, width // cell[0], MAX_COLUMNS))


def _shown_size(size: Size, side: int) -> Size:
    """Return how large a picture is shown: smaller to fit, or, if it is small, larger by a whole factor."""
    longest = max(size)
    scale = side / longest if longest > side else max(1, _ENLARGED_TO // longest)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _shown(picture: Image.Image, side: int) -> Image.Image:
    shown = _shown_size(picture.size, side)
    resampling = Image.Resampling.LANCZOS if shown < picture.size else Image.Resampling.NEAREST
    return picture.resize(shown, resampling)
