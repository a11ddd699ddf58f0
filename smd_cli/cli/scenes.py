"""Opening a scene for a command: read, resolved, its pictures painted, and its remarks said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from smd_cli.cli.console import Messages
from smd_cli.media.paint import Painted, paint
from smd_cli.scene.loader import load
from smd_cli.scene.overrides import Override
from smd_cli.scene.remarks import remarks
from smd_cli.scene.resolve import Plan, resolve


@dataclass(frozen=True)
class OpenScene:
    """A good scene: nothing about it is left to go wrong but the model and the machine.

    `locate("sampler", "tile")` is what a message about a value begins with.
    """

    plan: Plan
    painted: Painted
    warnings: tuple[str, ...]
    locate: Callable[..., str]


def open_scene(path: str, overrides: Sequence[Override], messages: Messages) -> OpenScene:
    """Open a scene file (`-`: standard input) and say its notes and warnings.

    Raises UsageError, SceneError or AssetError with every problem of that stage, one line each.
    """
    loaded = load(path, overrides)
    plan = resolve(loaded.scene, loaded.name, loaded.base_dir)
    painted = paint(plan, loaded.locate)
    warnings = (*remarks(plan, loaded.locate), *painted.warnings)
    messages.notes(painted.notes)
    messages.warnings(warnings)
    return OpenScene(plan, painted, warnings, loaded.locate)
