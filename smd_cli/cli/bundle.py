"""`smd bundle`: a scene and its files in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import print_result
from smd_cli.cli.document import document
from smd_cli.cli.option_groups import expand_options
from smd_cli.engine.events import Noted

Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="The .smd.zip file.", show_default="SCENE's name, .smd.zip"
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace any file that exists; by default only the same bundle is."),
]


WithModels = Annotated[
    bool,
    typer.Option(
        "--with-models",
        help="Put in what lies on this machine of the scene's model too: weights, LoRAs, textual inversions.",
    ),
]


@expand_options
def bundle(
    scene: options.Scene,
    output: Output = None,
    edits: options.ModelEdits = options.ModelEdits(),  # noqa: B008 - frozen
    with_models: WithModels = False,
    overwrite: Overwrite = False,
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Put a scene into one file, with the masks, pictures and films that it names.

    Every command takes that file in place of the scene, and makes the same picture of it, with the same
    recipe. The scene stays as it is written, comments too, but for paths that mean nothing elsewhere; where
    options change it, it is written anew. Models stay outside, unless --with-models puts them in.
    """
    from smd_cli.app.bundle.make import check_bundle_target, make_bundle
    from smd_cli.app.scenes import load_scene
    from smd_cli.app.stream_input import find_stream_input

    messages = reporting.messages()
    opened = load_scene(scene, overrides=edits.overrides(), listener=messages)
    target = output or Path(f"{opened.plan.name}.smd.zip")
    check_bundle_target(opened, target, overwrite=overwrite)
    if opened.can_stream:
        find_stream_input(opened.for_task("stream"), messages)
    made = make_bundle(opened, target, with_models=with_models, overwrite=overwrite)
    for key, text in made.left_out.items():
        messages(Noted(f"{key}: {text} is a model, which is not in the bundle; --with-models puts it in"))
    document().add(**made.to_dict())
    if not reporting.json:
        print_result(made.path)
