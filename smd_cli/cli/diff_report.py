"""What differs between two pictures, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smd_cli.app.picture_diff import PictureDiff
from smd_cli.media.comparison import BEYOND, CHANNELS, PixelDifference
from smd_cli.visible import visible

_SHOWN_RUNS = 12  # of frames that differ


def lines_of(found: PictureDiff) -> Iterator[str]:
    """Return the lines."""
    names = f"{visible(str(found.one.path))} / {visible(str(found.other.path))}"
    if found.same_bytes:
        yield f"{names}: the same file, byte for byte"
        return
    yield f"{names}: {'equal' if found.equal else 'they differ'}"
    yield from _recipe_lines(found)
    yield from _pixel_lines(found)


def _recipe_lines(found: PictureDiff) -> Iterator[str]:
    for side, each in (("A", found.one), ("B", found.other)):
        if each.recipe is None:
            yield f"recipe of {side}: none ({each.missing})"
    if found.recipe is None:
        return
    if found.recipe.shapes_the_same:
        yield "recipes: make the same picture"
    else:
        yield "recipes:"
        yield from (f"  {change.beside()}" for change in found.recipe.scene)
        yield from (f"  {place}: not the same file" for place in found.recipe.files)
    if found.recipe.computation:
        yield "computed otherwise, which moves roundings alone:"
        yield from (f"  {change.beside()}" for change in found.recipe.computation)


def _pixel_lines(found: PictureDiff) -> Iterator[str]:
    one, other, pixels = found.one.source, found.other.source, found.pixels
    if pixels.whole is None:
        sizes = " / ".join("{}x{} px".format(*each.size) for each in (one, other))
        yield f"sizes: {sizes}, so that their pixels are not compared"
        return
    if one.frames != other.frames:
        yield f"frames: {one.frames} / {other.frames}; the first {pixels.frames} are compared"
    if found.same_pixels:
        yield "pixels: all the same"
        return
    if found.is_film:
        yield f"frames that differ: {_runs(pixels.differing)} ({len(pixels.differing)} of {pixels.frames})"
    yield from _table(found)
    if found.why_whole:
        yield f"not told region by region: {visible(found.why_whole)}"


def _runs(numbers: Sequence[int]) -> str:
    """Write rising numbers in short: 0-3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in runs[:_SHOWN_RUNS]]
    return ", ".join(shown) + ", …" * (len(runs) > _SHOWN_RUNS)


def _table(found: PictureDiff) -> Iterator[str]:
    """Lay out a row for the whole picture, each region and the rest: shares of its pixels, and levels."""
    pixels = found.pixels
    if pixels.whole is None:
        return
    areas = [("the whole picture", pixels.whole), *pixels.regions.items()]
    areas += [("the rest", pixels.rest)] if pixels.rest else []
    shifts = CHANNELS[: len(pixels.whole.signed)]
    beyond = [f"by >{levels}" for levels in BEYOND]
    rows = [["pixels of", "share", "differ", *beyond, "largest", "mean", *shifts]]
    rows += [_row(name, area, pixels.whole.pixels) for name, area in areas]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *numbers in rows:
        cells = (f"{number:>{width}}" for number, width in zip(numbers, widths[1:], strict=True))
        yield f"{name:{widths[0]}}  {'  '.join(cells)}"


def _row(name: str, area: PixelDifference, whole: int) -> list[str]:
    shares = (area.pixels / whole, area.beyond(), *map(area.beyond, BEYOND))
    shifts = (f"{shift:+.1f}" for shift in area.shift)
    return [
        visible(name),
        *(f"{share:.1%}" for share in shares),
        str(area.largest),
        f"{area.mean:.2f}",
        *shifts,
    ]
