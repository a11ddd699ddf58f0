"""`smd bundle`: a scene and its files in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import print_result
from smd_cli.cli.document import document
from smd_cli.cli.locked import LOCK
from smd_cli.cli.option_groups import expand_options
from smd_cli.engine.events import Noted

if TYPE_CHECKING:
    from smd_cli.app.lock.lockfile import Lock
    from smd_cli.app.scenes import OpenedScene

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


LockFile = Annotated[
    Path | None,
    typer.Option(
        "--lock",
        metavar="FILE",
        help="The lock whose pictures of the scene are put in.",
        show_default=f"{LOCK}, if it holds any",
    ),
]


@expand_options
def bundle(
    scene: options.Scene,
    output: Output = None,
    edits: options.ModelEdits = options.ModelEdits(),  # noqa: B008 - frozen
    lock: LockFile = None,
    with_models: WithModels = False,
    overwrite: Overwrite = False,
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Put a scene into one file with the pictures that it names: masks, backgrounds, films.

    Every command takes that file in place of the scene, and makes the same picture of it, with the same
    recipe. The scene stays as it is written, comments too, but for paths that mean nothing elsewhere; where
    options change it, it is written anew. Models stay outside, unless --with-models puts them in.
    """
    from smd_cli.app.bundle.make import Wanted, check_bundle_target, make_bundle
    from smd_cli.app.scenes import load_scene
    from smd_cli.app.stream_input import find_stream_input

    messages = reporting.messages()
    opened = load_scene(scene, overrides=edits.overrides(), listener=messages)
    target = output or Path(f"{opened.plan.name}.smd.zip")
    check_bundle_target(opened, target)
    if opened.can_stream:
        find_stream_input(opened.for_task("stream"), messages)
    wanted = Wanted(_lock(opened, lock, scene), lock is None, with_models, overwrite)
    made = make_bundle(opened, target, wanted)
    for note in made.notes:
        messages(Noted(note))
    for key, text in made.left_out.items():
        messages(Noted(f"{key}: {text} is a model, which is not in the bundle; --with-models puts it in"))
    document().add(**made.to_dict())
    if not reporting.json:
        print_result(made.path)


def _lock(opened: OpenedScene, given: Path | None, scene: str) -> Lock | None:
    """Return the lock that is given, or else the one that is there, if it holds pictures of the scene."""
    from smd_cli.app.bundle.locks import lock_there
    from smd_cli.app.lock.drift import name_in
    from smd_cli.app.lock.lockfile import read_lock

    if given:
        return read_lock(given)
    lock = lock_there(scene) if opened.origin.path else None
    return lock if lock and lock.has_scene(name_in(lock, opened)) else None
