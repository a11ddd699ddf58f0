"""The renderer: scenes to pictures and streams, on models that stay loaded. Imports torch when it loads one."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Literal

from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import RenderSettings, check_seed
from smd_cli.engine.events import Clock, Listener, WarningRoute, ignore_events
from smd_cli.errors import UsageError

if TYPE_CHECKING:
    from smd_cli.app.rendering import RenderedPicture
    from smd_cli.app.streaming import SceneStream
    from smd_cli.engine.prepare import PreparedScene
    from smd_cli.models.assets import ModelSpec
    from smd_cli.models.backbone import Backbone


class Renderer:
    """Renders scenes one after the other.

    The last model stays loaded, and the last scene prepared, for the next render. `close` lets go of both, as
    leaving a `with` block does.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch: int | Literal["auto"] = "auto",
        offline: bool = False,
        metadata: bool = True,
        listener: Listener = ignore_events,
    ) -> None:
        """Take settings (see `RenderSettings`) and a listener for events; nothing is loaded so far."""
        self.settings = RenderSettings(device, dtype, batch, offline, metadata)
        self.listener = listener
        self._warnings = WarningRoute(listener)
        self._model: tuple[tuple[ModelSpec, bool], Backbone] | None = None
        self._prepared: tuple[OpenedScene, PreparedScene] | None = None

    def render(self, scene: OpenedScene, *, seed: int | None = None) -> RenderedPicture:
        """Render the picture of a seed, by default the scene's own.

        Raises:
            UsageError: the scene is a stream, or the seed is out of range.
            AssetError: the model is not to be had.
            SceneError: the canvas does not suit the model.
            DeviceError: the device is not there, or its memory is not enough.
        """
        if scene.plan.task == "stream":
            raise UsageError(f"{scene.locate('task')}: stream is for Renderer.stream")
        number = check_seed(scene.plan.seed if seed is None else seed)
        clock = Clock(self.listener)
        with self._warnings:
            backbone = self._load(scene, clock)
            from smd_cli.app import rendering

            prepared = self._prepare(scene, backbone, clock)
            return rendering.render_picture(scene, prepared, number, self.settings, clock)

    def stream(self, scene: OpenedScene, *, seed: int | None = None) -> SceneStream:
        """Set up a scene's stream: iterate it for its frames, or write it to a file.

        A scene that names no task is opened for this one. Raises as `render`.
        """
        from smd_cli.app.stream_input import find_stream_input

        opened = scene.for_task("stream")
        number = check_seed(opened.plan.seed if seed is None else seed)
        source = find_stream_input(opened)
        clock = Clock(self.listener)
        with self._warnings:
            backbone = self._load(opened, clock)
        from smd_cli.app.streaming import SceneStream

        return SceneStream(opened, source, number, backbone, self.settings, clock)

    def close(self) -> None:
        """Let go of the model, and of the memory that it takes."""
        self._model = self._prepared = None

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _load(self, scene: OpenedScene, clock: Clock) -> Backbone:
        """Return the model of a scene: the last one, where it is the same."""
        with clock.phase("load"):
            from smd_cli.app import models  # imports torch

            key = models.model_key(scene.plan)
            if self._model is None or self._model[0] != key:
                self.close()  # first: two models at once may not fit the memory
                self._model = key, models.load_model(scene, self.settings)
            return self._model[1]

    def _prepare(self, scene: OpenedScene, backbone: Backbone, clock: Clock) -> PreparedScene:
        """Return the prepared scene: the last one, where it is the same."""
        with clock.phase("encode"):
            from smd_cli.app import rendering

            if self._prepared is None or self._prepared[0] is not scene:
                self._prepared = scene, rendering.prepare_scene(scene, backbone, self.settings)
            return self._prepared[1]
