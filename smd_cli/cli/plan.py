"""`smd plan`: what rendering a scene would take. Nothing is rendered or fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import Messages, result_json, result_layout
from smd_cli.cli.preview import check_preview, draw_scene
from smd_cli.errors import AssetError

if TYPE_CHECKING:
    from smd_cli.cli.scenes import OpenScene

Preview = Annotated[
    Path | None,
    typer.Option("--preview", metavar="PNG", help="Draw the tiles over the regions, into this picture."),
]


def plan(
    scene: options.Scene,
    set_: options.Set = None,
    width: options.Width = None,
    height: options.Height = None,
    model: options.Model = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    batch: options.Batch = "auto",
    offline: options.Offline = False,
    preview: Preview = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Tell what rendering a scene would take.

    Tiles, model evaluations of each step of one picture (beside those of every prompt in every tile with both
    guidance halves), memory, and the models. Nothing is rendered or fetched; the exit code is 4 where a model
    is missing.
    """
    from smd_cli.cli.scenes import open_scene

    how = options.Rendering(device, dtype, offline, options.batch_size(batch), metadata=False)
    if preview:
        check_preview(preview)
    messages = Messages(quiet)
    opened = open_scene(scene, options.scene_overrides(set_, width, height, model), messages)
    tell_plan(opened, how, messages, json=json, preview=preview)


def tell_plan(
    opened: OpenScene, how: options.Rendering, messages: Messages, *, json: bool, preview: Path | None = None
) -> None:
    """Say as a result what rendering a scene would take, and draw its tiles into `preview`.

    Raises AssetError, after all that can be said, where a model is missing; DeviceError.
    """
    from smd_cli.cli.plan_report import report
    from smd_cli.cli.progress import hear_warnings

    hear_warnings(messages)
    from smd_cli.cli.planning import survey  # imports torch

    found = survey(opened, how)
    if preview:
        draw_scene(opened, preview, found.forecast.tiles if found.forecast else ())
    if json:
        result_json(found.to_dict())
    else:
        result_layout(report(found))
    if missing := [model.problem for model in found.models if model.problem]:
        raise AssetError(*missing)
