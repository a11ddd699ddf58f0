"""`smd diff`: what differs between two pictures, in their recipes and in their pixels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import MessagePrinter, print_result
from smd_cli.cli.document import document
from smd_cli.cli.option_groups import expand_options
from smd_cli.cli.preview import check_drawing
from smd_cli.engine.events import Noted
from smd_cli.errors import MismatchError, UsageError
from smd_cli.media.files import check_plain_target, write_bytes
from smd_cli.messages import Place

if TYPE_CHECKING:
    from smd_cli.app.picture_diff import PictureDiff

First = Annotated[Path, typer.Argument(metavar="A", help="A picture, a film, or a folder of frames.")]
Second = Annotated[Path, typer.Argument(metavar="B", help="What it is compared with.")]
Drawn = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PNG",
        help="Draw A, B and their difference, amplified, into this picture; of films, of the frame that "
        "differs most.",
    ),
]


@expand_options
def diff(
    one: First,
    other: Second,
    output: Drawn = None,
    base_dir: options.BaseDir = None,
    reporting: options.Reporting = options.Reporting(),  # noqa: B008 - frozen
) -> None:
    """Tell what differs between two pictures: in their recipes, and in their pixels, region by region.

    Films and folders of frames are compared frame by frame. The regions are those of A's recipe, where the
    files of its masks are there. The exit code is 0 where the pixels are the same and the recipes, where both
    have one, make the same picture; else 7. With --quiet that is the whole answer.
    """
    from smd_cli.app.picture_diff import PictureDiff
    from smd_cli.cli.diff_report import lines_of

    if output:
        _check_output(output, one, other)
    found = PictureDiff.of(one, other, base_dir)
    document().add(**found.to_dict())
    if not reporting.json and not reporting.quiet:
        for line in lines_of(found):
            print_result(line)
    if output:
        _draw(found, output, reporting.messages())
    if not found.equal:
        raise typer.Exit(MismatchError.exit_code)


def _check_output(output: Path, *inputs: Path) -> None:
    """Raise UsageError, before any work, where the picture of the difference cannot be written."""
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise UsageError(
                Place.of_file(output, "--output").says("is one of the pictures; give another name")
            )
    check_drawing(output, "--output", "differences")


def _draw(found: PictureDiff, output: Path, messages: MessagePrinter) -> None:
    """Draw the frame that differs most. Raises SmdError."""
    from smd_cli.media.difference_picture import draw_difference
    from smd_cli.media.png import encode_png

    most = found.pixels.most
    if most is None:
        messages(Noted(f"{output}: not drawn; the pictures have no size in common"))
        return
    frame = f", frame {most.number}" if found.is_film else ""
    titles = (f"A: {found.one.path.name}{frame}", f"B: {found.other.path.name}{frame}")
    picture = draw_difference(most.one, most.other, titles, most.regions)
    write_bytes(output, encode_png(picture, {}), partial(check_plain_target, output))
    document().add(output=str(output))
