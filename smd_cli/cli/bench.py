"""`smd bench`: how fast this program is, beside others that do the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import computing, options
from smd_cli.cli.architecture import Built
from smd_cli.cli.command import Command
from smd_cli.cli.console import print_report
from smd_cli.cli.document import document
from smd_cli.cli.option_groups import expand_options
from smd_cli.cli.quality import quality
from smd_cli.engine.events import Warned, WarningRoute

if TYPE_CHECKING:
    from rich.table import Table

    from smd_cli.app.scenes import OpenedScene
    from smd_cli.app.settings import RenderSettings
    from smd_cli.bench.report import BatchRow, Row, Speed

Scenes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SCENE",
        help="Scenes with regions; - reads standard input.",
        show_default="the ready valley and times_square",
    ),
]
Repeats = Annotated[
    int, typer.Option("--repeats", min=1, max=1000, help="Timed pictures of a scene, of each program.")
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, max=1000, help="Pictures of the batch.")]
Rounds = Annotated[int, typer.Option("--repeats", min=1, max=100, help="Timed runs of each program.")]
StreamScene = Annotated[
    str | None,
    typer.Argument(metavar="SCENE", help="A stream's scene.", show_default="the ready olympus_stream"),
]
Frames = Annotated[int, typer.Option("--frames", min=1, max=10_000, help="Frames of each stream.")]
OtherVae = Annotated[
    Path | None,
    typer.Option("--vae", metavar="PATH", help="Another autoencoder of the model, a tiny one say."),
]

bench = typer.Typer(help="Measure this program beside others.", no_args_is_help=True)


@bench.command(cls=Command)
@expand_options
def speed(
    scenes: Scenes = None,
    repeats: Repeats = 3,
    built: Built = Built(),  # noqa: B008 - frozen
    model: options.Model = None,
    compute: computing.PlacedCompute = computing.PlacedCompute(),  # noqa: B008 - frozen
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Time this program beside others, in turns, on the same weights and noise.

    The plain loop renders each scene too: every prompt in every tile at every step, one view after another,
    with both halves of the guidance. "coupled" is the scene with late steps coupled: another picture.
    diffusers' panorama pipeline renders a panorama of one prompt, on equal tiles.

    A picture is timed from noise to pixels, after one that is not. "times" is the median over this program's;
    "difference" the largest distance to this program's picture, in grey levels: of the plain loop at most 1
    in float32. The pipeline paints another picture too, since it joins tiles in its own way. This program
    evaluates each region in each tile here, whatever the scene says of late steps and own tiles.

    With --arch, speed and memory of a family's published network, which is built with random weights: nothing
    is downloaded. Prompts are random numbers too; its text encoders are left out. A step is timed after one
    that is not, where there are several; "estimate" is what smd plan would say of the memory.
    """
    settings = compute.settings()
    if built.arch is not None:
        built.measure(built.arch, scenes, settings, reporting)
        return
    built.check_for_scenes(settings)
    from smd_cli.bench.scenes import PANORAMA, ready_scenes

    paths = [*(scenes or map(str, ready_scenes())), str(PANORAMA)]
    opened = [_open(path, model, settings, reporting) for path in paths]
    report = _measure_speed(opened, repeats, settings, reporting)
    _print_report(report, reporting)


@bench.command(cls=Command)
@expand_options
def stream(
    scene: StreamScene = None,
    frames: Frames = 10,
    repeats: Repeats = 3,
    vae: OtherVae = None,
    model: options.Model = None,
    compute: computing.Compute = computing.Compute(),  # noqa: B008 - frozen
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Time ways to stream a still scene, in turns, on the same weights and noise.

    The stream batch against the same steps in turn, which render the same frames; guidance none against self,
    initialize and full; with --vae, decoding by the model's autoencoder against another one. Seconds are of
    all frames, from noise to pixels.
    """
    from smd_cli.bench.scenes import STREAM, ready_scenes

    settings = compute.settings()
    opened = _open(scene or str(ready_scenes(STREAM)[0]), model, settings, reporting, task="stream")
    with WarningRoute(reporting.messages()):
        from smd_cli.bench.speed import Rounds, make_case  # imports torch
        from smd_cli.bench.stream_speed import measure_stream, stream_pictures
        from smd_cli.cli.progress import show_count

        case = make_case(opened, settings)
        rounds = Rounds.of(repeats, settings, case)
        other = make_case(opened, settings, vae=str(vae.absolute())).assets if vae else None
        with show_count(stream_pictures(repeats, other=vae is not None), quiet=reporting.quiet) as advance:
            report = measure_stream(case, other, replace(rounds, on_picture=advance), frames)
    _print_report(report, reporting)


@bench.command(cls=Command)
@expand_options
def batch(
    jobs: Jobs = 20,
    repeats: Rounds = 1,
    model: options.Model = None,
    compute: computing.Compute = computing.Compute(),  # noqa: B008 - frozen
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Time a batch of small pictures of one prompt, as whole programs, in turns.

    `smd render` of all of them, against a loop of `smd generate` and against a script that keeps a pipeline
    of diffusers loaded. Seconds are from the start of a program to its last picture on the disk; all begin
    with nothing loaded. "times" is the median over this program's.
    """
    from smd_cli.bench.scenes import BATCH

    settings = compute.settings()
    opened = _open(str(BATCH), model, settings, reporting)
    with WarningRoute(reporting.messages()):
        from smd_cli.bench.batch_speed import PROGRAMS, measure_batch  # imports torch
        from smd_cli.cli.progress import show_count

        with show_count(PROGRAMS * repeats, quiet=reporting.quiet) as advance:
            report = measure_batch(opened, settings, jobs=jobs, rounds=repeats, advance=advance)
    document().add(**report.to_dict())
    print_report(_batch_table(report.rows), json=reporting.json, quiet=reporting.quiet)


bench.command(cls=Command)(quality)


def _open(
    path: str,
    model: str | None,
    settings: RenderSettings,
    reporting: options.Reporting,
    task: str | None = None,
) -> OpenedScene:
    from smd_cli.app.scenes import load_scene

    overrides, messages = options.model_override(model), reporting.messages()
    return load_scene(path, overrides=overrides, task=task, listener=messages, fetch=not settings.offline)


def _measure_speed(
    opened: Sequence[OpenedScene], repeats: int, settings: RenderSettings, reporting: options.Reporting
) -> Speed:
    """Find the models and measure, showing how far it is; the last scene is the panorama."""
    with WarningRoute(reporting.messages()):
        from smd_cli.bench.speed import Rounds, make_case, measure, pictures  # imports torch
        from smd_cli.cli.progress import show_count

        cases = [make_case(scene, settings) for scene in opened[:-1]]
        cases.append(make_case(opened[-1], settings, rival="diffusers"))
        rounds = Rounds.of(repeats, settings, cases[-1])
        with show_count(pictures(cases, repeats), quiet=reporting.quiet) as advance:
            return measure(cases, replace(rounds, on_picture=advance))


def _print_report(report: Speed, reporting: options.Reporting) -> None:
    """Print what was measured."""
    document().add(**report.to_dict())
    messages = reporting.messages()
    for doubt in _doubts(report.rows):
        messages(Warned(doubt))
    print_report(_table(report.rows), json=reporting.json, quiet=reporting.quiet)


def _doubts(rows: Sequence[Row]) -> Iterator[str]:
    """List the pictures that rounding cannot explain: their times say nothing."""
    for row in rows:
        if row.is_wrong:
            yield f"{row.scene}: the {row.name} paints another picture, by {row.difference} grey levels"


def _table(rows: Sequence[Row]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("scene", "program"):
        table.add_column(name)
    for number in ("median s", "min", "max", "times", "evals", "difference"):
        table.add_column(number, justify="right")
    for row in rows:
        seconds = (row.median, min(row.seconds), max(row.seconds))
        table.add_row(
            row.scene,
            row.name,
            *(f"{value:.3f}" for value in seconds),
            f"{row.ratio:.2f}",
            str(row.evaluations),
            str(row.difference) if row.paints_the_same else "another picture",
        )
    return table


def _batch_table(rows: Sequence[BatchRow]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("program")
    for number in ("median s", "min", "max", "times", "s a picture", "evals", "ms an eval"):
        table.add_column(number, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            *(f"{value:.2f}" for value in (row.median, min(row.seconds), max(row.seconds))),
            f"{row.ratio:.2f}",
            f"{row.of_job:.3f}",
            str(row.evaluations),
            f"{1000 * row.of_evaluation:.1f}",
        )
    return table
