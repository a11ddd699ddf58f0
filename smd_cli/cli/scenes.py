"""Opening a scene for a command: read, resolved, its pictures painted, and its remarks said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from smd_cli.cli.console import Messages
from smd_cli.errors import SceneError, SmdError
from smd_cli.media.images import picture_size
from smd_cli.media.paint import SceneImages, paint_scene
from smd_cli.scene.loader import LoadedScene, load
from smd_cli.scene.overrides import Override
from smd_cli.scene.paths import absolute
from smd_cli.scene.remarks import remarks
from smd_cli.scene.resolve import Plan, resolve


@dataclass(frozen=True)
class OpenScene:
    """A good scene: nothing about it is left to go wrong but the model and the machine.

    `locate("sampler", "tile")` is what a message about a value begins with.
    """

    plan: Plan
    painted: SceneImages
    warnings: tuple[str, ...]
    locate: Callable[..., str]


def open_scene(
    path: str, overrides: Sequence[Override], messages: Messages, task: str | None = None
) -> OpenScene:
    """Open a scene file (`-`: standard input) and say its notes and warnings.

    `task` is what the command does; a scene that names none has it.

    Raises UsageError, SceneError or AssetError with every problem of that stage, one line each.
    """
    loaded = load(path, overrides, task)
    if task not in (None, loaded.scene.task):
        raise SceneError(
            f"{loaded.locate('task')}: {loaded.scene.task} is not for this command, which renders {task} "
            f"(change it in the scene, or give --set task={task})"
        )
    plan = _resolve(loaded)
    painted = paint_scene(plan, loaded.locate)
    warnings = (*remarks(plan, loaded.locate), *painted.warnings)
    messages.notes(painted.notes)
    messages.warnings(warnings)
    return OpenScene(plan, painted, warnings, loaded.locate)


def _resolve(loaded: LoadedScene) -> Plan:
    """The plan of a scene; where its canvas follows the background picture, that is asked for its size."""
    scene, followed = loaded.scene, None
    try:
        if scene.canvas is None and scene.background.image:
            followed = picture_size(absolute(scene.background.image, loaded.base_dir))
        return resolve(scene, loaded.name, loaded.base_dir, followed)
    except SmdError as error:
        raise type(error)(f"{loaded.locate('background', 'image')}: {error}") from error
