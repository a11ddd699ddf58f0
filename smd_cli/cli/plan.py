"""`smd plan`: what rendering a scene would take. Nothing is rendered or fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import computing, options
from smd_cli.cli.console import print_layout
from smd_cli.cli.document import document
from smd_cli.cli.option_groups import expand_options
from smd_cli.cli.preview import check_preview, draw_scene
from smd_cli.engine.events import Noted
from smd_cli.errors import AssetError

if TYPE_CHECKING:
    from smd_cli.app.scenes import OpenedScene
    from smd_cli.app.settings import RenderSettings
    from smd_cli.app.stream_input import StreamInput

Preview = Annotated[
    Path | None,
    typer.Option("--preview", metavar="PNG", help="Draw the tiles over the regions, into this picture."),
]


@expand_options
def plan(
    scene: options.Scene,
    edits: options.ModelEdits = options.ModelEdits(),  # noqa: B008 - frozen
    compute: computing.PlacedCompute = computing.PlacedCompute(),  # noqa: B008
    preview: Preview = None,
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Print what rendering a scene would take.

    Tiles, model evaluations of each step of one picture (beside those of every prompt in every tile with both
    guidance halves), memory, and the models. Nothing is rendered or fetched; the exit code is 4 where a model
    is missing. With --quiet it is the whole answer.
    """
    from smd_cli.app.scenes import load_scene

    settings = compute.settings()
    if preview:
        check_preview(preview)
    messages = reporting.messages()
    opened = load_scene(scene, overrides=edits.overrides(), listener=messages)
    if (at_point := opened.at_only_point(messages)) is None:
        text = f"makes {len(opened.points)} variants; this is the scene without it"
        messages(Noted(opened.locate("matrix").says(text)))
    print_plan(at_point or opened, settings, reporting, preview)


def print_plan(
    opened: OpenedScene,
    settings: RenderSettings,
    reporting: options.Reporting,
    preview: Path | None = None,
    stream: StreamInput | None = None,
) -> None:
    """Print as a result what rendering a scene would take, and draw its tiles into `preview`.

    `stream` is the input of a stream, where that has been found already.

    Raises AssetError, after all that can be printed, where a model is missing; DeviceError.
    """
    from smd_cli.app.named_files import changed_files
    from smd_cli.app.stream_input import find_stream_input
    from smd_cli.cli.plan_report import layout_of
    from smd_cli.engine.events import Warned, WarningRoute

    messages = reporting.messages()
    if opened.plan.task == "stream":
        stream = stream or find_stream_input(opened, messages)
    for changed in changed_files(opened):
        messages(Warned(changed))
    with WarningRoute(messages):
        from smd_cli.app.render_plan import plan_render  # imports torch

        found = plan_render(opened, settings, stream)
    if preview:
        draw_scene(opened, preview, found.forecast.tiles if found.forecast else ())
    document().add(**found.to_dict())
    if not reporting.json and not reporting.quiet:
        print_layout(layout_of(found))
    if missing := [model.problem for model in found.models if model.problem]:
        raise AssetError(*missing)
