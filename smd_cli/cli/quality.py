"""`smd bench quality`: the options and the output of the quality benchmark; the workshop does the work."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import computing, options
from smd_cli.cli.console import print_report
from smd_cli.cli.document import document
from smd_cli.cli.option_groups import expand_options
from smd_cli.engine.events import WarningRoute
from smd_cli.errors import AssetError

if TYPE_CHECKING:
    from types import ModuleType

WORKSHOP = "smd_cli.workshop"

ScenesCount = Annotated[
    int, typer.Option("--scenes", min=2, max=100_000, help="Random scenes that every row renders.")
]
Rows = Annotated[
    list[str] | None,
    typer.Option("--row", metavar="NAME", help="Measure only this row and `full`. Repeatable."),
]
Singles = Annotated[
    bool, typer.Option("--singles/--no-singles", help="Also render 24 prompts alone, from 20 seeds each.")
]
Pictures = Annotated[
    Path | None,
    typer.Option(
        "--pictures",
        metavar="FOLDER",
        help="Store every picture, one folder per row, a contact sheet of 12 scenes, and a plot of regions "
        "against halos; reuse the pictures stored there.",
    ),
]


@expand_options
def quality(
    scenes: ScenesCount = 200,
    row: Rows = None,
    singles: Singles = True,
    pictures: Pictures = None,
    model: options.Model = None,
    compute: computing.Compute = computing.Compute(),  # noqa: B008 - frozen
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Render random region scenes with several methods and score the pictures.

    The rows are MultiDiffusion with 50 DDIM steps, the same with a few-step sampler, then each technique of
    the regional method added to the row before, other kinds of masks, more or fewer bootstrapped steps,
    frames of a stream, other steps after the bootstrap, and the defaults. All rows render the same scenes
    from the same seeds. Three small networks look at the pictures. The judge names objects, colours, hair and
    backgrounds. The segmenter finds halos: what a region's mask has around things that is not what the
    background shows there. The critic prefers one picture of a scene to another: "preferred" is against the
    row `full`, and 50 % is no difference. They know flatland's world only, so the model has to be flatland,
    or a folder that its training exported.

    Intervals are 95 % confidence intervals, computed by resampling the scenes.

    Installed wheels leave the benchmark out: clone the repository and run `pip install -e .` in it.
    """
    settings, command = compute.settings(), _benchmark()
    variants = command.choose_variants(row)
    with WarningRoute(reporting.messages()):
        from smd_cli.cli.progress import show_count

        bench = command.Benchmark.of(model or "flatland", settings, scenes, pictures)
        progress = partial(show_count, quiet=reporting.quiet)
        report = command.measure(bench, variants, singles=singles, progress=progress)
    document().add(**report.to_dict())
    print_report(command.table(report), json=reporting.json, quiet=reporting.quiet)


def _benchmark() -> ModuleType:
    """Import the benchmark, by name so that nothing depends on it. Raises AssetError: it is not installed."""
    try:
        return import_module(f"{WORKSHOP}.quality.command")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(WORKSHOP):
            raise
        raise AssetError(
            f"bench quality: {WORKSHOP} is not part of installed wheels; clone the repository and run "
            "`pip install -e .` in it"
        ) from error
