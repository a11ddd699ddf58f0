"""`smd bench`: how fast this program is, beside others that do the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.command import Command
from smd_cli.cli.console import Messages, result_json, result_layout, rich_console

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from smd_cli.bench.report import Row, Speed
    from smd_cli.bench.speed import Case
    from smd_cli.cli.scenes import OpenScene
    from smd_cli.models.assets import Assets

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
def speed(
    scenes: Scenes = None,
    repeats: Repeats = 3,
    model: options.Model = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    batch: options.Batch = "auto",
    offline: options.Offline = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Time this program beside others, in turns, on the same weights and noise.

    The plain loop paints each scene too: every prompt in every tile at every step, one view after another,
    with both halves of the guidance. diffusers' panorama pipeline paints a panorama of one prompt, on equal
    tiles.

    A picture is timed from noise to pixels, after one that is not. "times" is the median over this program's;
    "difference" the largest distance to this program's picture, in grey levels: of the plain loop at most 1
    in float32, while the pipeline joins tiles in its own way.
    """
    messages = Messages(quiet)
    how = options.Rendering(device, dtype, offline, options.batch_size(batch), metadata=False)
    report = _measure(_open(scenes, model, messages), how, repeats, messages)
    _tell(report, json=json, messages=messages)


@bench.command(cls=Command)
def stream(
    scene: StreamScene = None,
    frames: Frames = 10,
    repeats: Repeats = 3,
    vae: OtherVae = None,
    model: options.Model = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    batch: options.Batch = "auto",
    offline: options.Offline = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Time ways to stream a still scene, in turns, on the same weights and noise.

    The stream batch against the same steps in turn, which paint the same frames; guidance none against self,
    initialize and full; with --vae, decoding by the model's autoencoder against another one. Seconds are of
    all frames, from noise to pixels.
    """
    messages = Messages(quiet)
    how = options.Rendering(device, dtype, offline, options.batch_size(batch), metadata=False)
    report = _measure_stream(_open_stream(scene, model, messages), how, (frames, repeats, vae), messages)
    _tell(report, json=json, messages=messages)


def _open(scenes: Sequence[str] | None, model: str | None, messages: Messages) -> list[OpenScene]:
    """Open the scenes with regions, then the panorama."""
    from smd_cli.bench.scenes import PANORAMA, ready_scenes
    from smd_cli.cli.scenes import open_scene

    overrides = options.scene_overrides(None, model=model)
    paths = [*(scenes or map(str, ready_scenes())), str(PANORAMA)]
    return [open_scene(path, overrides, messages) for path in paths]


def _measure(opened: Sequence[OpenScene], how: options.Rendering, repeats: int, messages: Messages) -> Speed:
    """Find the models and measure, showing how far it is."""
    device, dtype = chosen_device(how, messages)
    from smd_cli.bench.speed import Rounds, measure, pictures  # imports torch

    cases = _cases(opened, offline=how.offline)
    with progress(pictures(len(cases), repeats), quiet=messages.quiet) as advance:
        return measure(cases, Rounds(repeats, device, dtype, how.batch, advance))


def chosen_device(how: options.Rendering, messages: Messages) -> tuple[torch.device, torch.dtype]:
    """Hear warnings, stay offline if asked to, and choose device and dtype."""
    from smd_cli.cli.progress import hear_warnings
    from smd_cli.models.sources import go_offline

    if how.offline:
        go_offline()
    hear_warnings(messages)
    from smd_cli.engine.device import choose_device, choose_dtype  # imports torch

    device = choose_device(how.device)
    return device, choose_dtype(how.dtype, device)


def _cases(opened: Sequence[OpenScene], *, offline: bool) -> list[Case]:
    """Set each scene against its rival; the last one is the panorama."""
    from smd_cli.bench.speed import Case
    from smd_cli.cli.rendering import model_spec, setting
    from smd_cli.models.assets import locate

    return [
        Case(
            scene.plan,
            setting(scene.painted),
            locate(model_spec(scene.plan.model), few_step=scene.plan.sampler.facts.few_step, offline=offline),
            "diffusers" if scene is opened[-1] else "plain loop",
        )
        for scene in opened
    ]


def _open_stream(scene: str | None, model: str | None, messages: Messages) -> OpenScene:
    from smd_cli.bench.scenes import STREAM, ready_scenes
    from smd_cli.cli.scenes import open_scene

    path = scene or str(ready_scenes(STREAM)[0])
    return open_scene(path, options.scene_overrides(None, model=model), messages, task="stream")


def _measure_stream(
    scene: OpenScene, how: options.Rendering, what: tuple[int, int, Path | None], messages: Messages
) -> Speed:
    """Find the model and measure; `what` is frames, rounds and another autoencoder."""
    frames, repeats, vae = what
    device, dtype = chosen_device(how, messages)
    from smd_cli.bench.speed import Rounds  # imports torch
    from smd_cli.bench.stream import measure_stream, stream_pictures

    (case,) = _cases([scene], offline=how.offline)
    other = _with_vae(scene, vae, offline=how.offline) if vae else None
    with progress(stream_pictures(repeats, other=vae is not None), quiet=messages.quiet) as advance:
        return measure_stream(case, other, Rounds(repeats, device, dtype, how.batch, advance), frames)


def _with_vae(scene: OpenScene, vae: Path, *, offline: bool) -> Assets:
    """Find a scene's model with another autoencoder."""
    from dataclasses import replace

    from smd_cli.cli.rendering import model_spec
    from smd_cli.models.assets import locate

    spec = replace(model_spec(scene.plan.model), vae=str(vae.absolute()))
    return locate(spec, few_step=scene.plan.sampler.facts.few_step, offline=offline)


def _tell(report: Speed, *, json: bool, messages: Messages) -> None:
    """Say what was measured."""
    messages.warnings(_doubts(report.rows))
    if not json:
        result_layout(_table(report.rows))
        return
    if not messages.quiet:
        rich_console().print(_table(report.rows))
    result_json(report.to_dict())


@contextmanager
def progress(total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Give a function to call after each picture; it draws a bar where someone can see it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = rich_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bars:
        task = bars.add_task("pictures", total=total)
        yield lambda: bars.advance(task)


def _doubts(rows: Sequence[Row]) -> Iterator[str]:
    """Name the pictures that rounding cannot explain: their times tell nothing."""
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
            str(row.difference),
        )
    return table
