"""Checking a scene: the first half of each run that can render it, up to where weights would be read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from smd_cli.app.model_availability import RequiredModel, model_availability
from smd_cli.app.model_fit import check_fit, check_parts, find_fitting
from smd_cli.app.model_spec import at_model
from smd_cli.app.named_files import changed_files
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import RenderSettings
from smd_cli.app.unpainted import may_be_unpainted
from smd_cli.engine.events import Listener, Warned, WarningRoute, ignore_events
from smd_cli.errors import AssetError, Collected, SceneError, SmdError
from smd_cli.models.files import NotHereError


@dataclass(frozen=True)
class CheckedScene:
    """What a check has found: the models that a scene needs, and why they and the scene do not go together.

    `error` is None where they do.
    """

    models: tuple[RequiredModel, ...]
    error: SmdError | None = None


def check_scene(scene: OpenedScene, listener: Listener = ignore_events) -> CheckedScene:
    """Look at all that a scene names, at every point of its matrix, as its runs do (see `_check_point`).

    Raises as that.
    """
    problems, checked = Collected(), []
    for point in scene.points:
        with problems.catching():
            at_point = scene.at_point(point)
            if at_point is not scene:
                at_point.tell(listener)
            checked.append(_check_point(at_point, listener))
    problems.check()
    return next((each for each in checked if each.error), checked[0])


def _check_point(scene: OpenedScene, listener: Listener) -> CheckedScene:
    """Look at all that a scene names, its matrix apart.

    A scene that names no task and has a section `stream` is checked for both of its commands. A model of
    the hub that a run would fetch is no mistake of the scene; a path that leads nowhere is, as for a mask.

    Raises:
        SceneError, AssetError: what a run would raise before it looks for a model.
    """
    runs, stream = [scene], None
    if scene.can_stream:
        from smd_cli.app.stream_input import find_stream_input  # imports what reads films

        streamed = scene.for_task("stream")
        stream = find_stream_input(streamed, listener)
        runs = [scene] if streamed is scene else [scene, streamed]
    for message in changed_files(scene):
        listener(Warned(message))
    with WarningRoute(listener):
        models = model_availability(scene).required
        try:
            _check_model(*runs)
            if may_be_unpainted(scene):
                from smd_cli.app.render_plan import plan_render  # imports torch

                plan_render(scene, RenderSettings(offline=True), stream)
        except (SceneError, AssetError) as error:
            return CheckedScene(models, error)
    return CheckedScene(models)


def _check_model(first: OpenedScene, *others: OpenedScene) -> None:
    """Raise SceneError or AssetError where a scene's model is here, and a run of it would refuse it.

    All runs have the same model, which is looked for, and put together of its parts, once.
    """
    with suppress(NotHereError), at_model(first):
        assets = find_fitting(first, offline=True)
        for other in others:
            check_fit(other, assets)
        check_parts(first, assets)
