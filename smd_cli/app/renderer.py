"""The renderer: scenes to pictures and streams, on models that stay loaded. Imports torch to load one."""

from __future__ import annotations

from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING
from weakref import WeakSet

from smd_cli.app.model_fit import check_fit
from smd_cli.app.model_spec import at_model, model_spec, needs_few_step, serves
from smd_cli.app.named_files import changed_files
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import Batch, RenderSettings, check_seed
from smd_cli.app.stream_input import StreamInput, find_stream_input
from smd_cli.engine.events import Clock, Listener, Noted, Warned, WarningRoute, ignore_events
from smd_cli.errors import MismatchError, UsageError

if TYPE_CHECKING:
    from smd_cli.app.rendering import RenderedPicture
    from smd_cli.app.streaming import SceneStream
    from smd_cli.engine.encoder import CachedEncoder
    from smd_cli.engine.prepare import PreparedScene
    from smd_cli.models.assets import Assets
    from smd_cli.models.backbone import Backbone
    from smd_cli.models.spec import ModelSpec


class Renderer:
    """Renders scenes one after the other.

    The last model stays loaded, and the last scene prepared, for the next render; prompts and pictures that
    scenes have in common are encoded once. `close` ends the streams that are under way and lets go of model
    and scene, as leaving a `with` block does.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch: Batch = "auto",
        offline: bool = False,
        metadata: bool = True,
        strict: bool = False,
        deterministic: bool = False,
        memory: str = "auto",
        weights: str = "full",
        listener: Listener = ignore_events,
    ) -> None:
        """Take settings (see `RenderSettings`) and a listener for events; nothing is loaded so far.

        A stream calls the listener from its own threads too. Raises UsageError: a setting is out of range.
        """
        self.settings = RenderSettings(
            device, dtype, batch, offline, metadata, strict, deterministic, memory, weights
        )
        self.listener = listener
        self._model: tuple[tuple[ModelSpec, bool], Backbone] | None = None
        self._looked_at: OpenedScene | None = None
        self._encoder: CachedEncoder | None = None
        self._prepared: tuple[OpenedScene, PreparedScene] | None = None
        self._completed: tuple[OpenedScene, OpenedScene] | None = None
        self._streams: WeakSet[SceneStream] = WeakSet()

    @classmethod
    def of(cls, settings: RenderSettings, listener: Listener = ignore_events) -> Renderer:
        """Make a renderer of settings."""
        return cls(**asdict(settings), listener=listener)

    def render(self, scene: OpenedScene, *, seed: int | None = None) -> RenderedPicture:
        """Render the picture of a seed, by default the scene's own.

        Raises:
            UsageError: the scene is a stream, or the seed is out of range.
            AssetError: the model is not available.
            MismatchError: a file differs from the scene's digest of it, and the renderer is strict.
            SceneError: the scene does not suit the model.
            DeviceError: the device is not there, or its memory is not enough.
        """
        if scene.plan.task == "stream":
            raise UsageError(scene.locate("task").says("stream is for Renderer.stream"))
        number = check_seed(scene.plan.seed if seed is None else seed)
        clock = Clock(self.listener)
        with WarningRoute(self.listener):
            scene = self._complete(scene)
            prepared = self._prepare(scene, self._load(scene, clock), clock)
            from smd_cli.app.rendering import render_picture

            return render_picture(scene, prepared, number, self.settings, clock)

    def stream(
        self, scene: OpenedScene, *, seed: int | None = None, source: StreamInput | None = None
    ) -> SceneStream:
        """Set up a scene's stream: iterate it once for its frames, or write it to a file.

        A scene that names no task is opened for this one. `source` is its input, where that has been found
        already. Raises as `render`.
        """
        opened = scene.for_task("stream")
        number = check_seed(opened.plan.seed if seed is None else seed)
        source = source or find_stream_input(opened, self.listener)
        clock = Clock(self.listener)
        with WarningRoute(self.listener):
            opened = self._complete(opened)
            backbone = self._load(opened, clock)
        from smd_cli.app.recipes import other_pixels
        from smd_cli.app.streaming import SceneStream

        stream = SceneStream(opened, source, number, backbone, self.settings, clock)
        if message := stream.recipe and other_pixels(opened, stream.recipe):
            self.listener(Noted(message))
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """End the streams that are under way, and let go of the model and its memory."""
        for stream in list(self._streams):
            stream.close()
        self._release()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _complete(self, scene: OpenedScene) -> OpenedScene:
        """Return a scene with what it is still to be told: the last such scene, where it is the same.

        That is what its model recommends, if it was not here before, and its caption, if it asks for one.
        """
        if scene.plan.model.captioner is None and scene.loaded.knows_model:
            return scene
        if self._completed is None or self._completed[0] is not scene:
            told = scene.informed(offline=self.settings.offline)
            told.tell(self.listener, but=scene)
            if told.plan.model.captioner is not None:
                from smd_cli.app.captions import captioned

                told = captioned(told, self.settings, self.listener)
            self._completed = scene, told
        return self._completed[1]

    def _load(self, scene: OpenedScene, clock: Clock) -> Backbone:
        """Return the model of a scene, which suits the scene: the last one, where it is the same."""
        spec, few_step = model_spec(scene.plan), needs_few_step(scene.plan)
        is_there = self._model and serves(self._model[0][0], spec) and self._model[0][1] == few_step
        if self._model is None or not is_there:
            with clock.phase("load", None) as progress:
                from smd_cli.app.models import find_checked, load_found  # imports torch

                with at_model(scene):
                    found = find_checked(scene, self.settings)
                    self._look_again(scene, found.assets)
                    self._release()  # only now: two models at once may not fit the memory
                    self._model = (spec, few_step), load_found(found, self.settings, progress)
            return self._model[1]
        with at_model(scene):
            check_fit(scene, self._model[1].assets)
        self._look_again(scene, self._model[1].assets)
        return self._model[1]

    def _look_again(self, scene: OpenedScene, assets: Assets) -> None:
        """Compare a scene's files with its digests, and tell what its model alone does, once.

        Raises MismatchError: a file differs, if strict.
        """
        if scene is self._looked_at:
            return
        changed = changed_files(scene, assets)
        if changed and self.settings.strict:
            raise MismatchError(*changed)
        self._looked_at = scene
        for message in changed:
            self.listener(Warned(message))
        for message in scene.later_notes():
            self.listener(Noted(message))

    def _prepare(self, scene: OpenedScene, backbone: Backbone, clock: Clock) -> PreparedScene:
        """Return the prepared scene: the last one, where it is the same."""
        if self._prepared is None or self._prepared[0] is not scene:
            with clock.phase("encode"):
                from smd_cli.app.rendering import prepare_scene
                from smd_cli.engine.encoder import CachedEncoder

                self._encoder = self._encoder or CachedEncoder(backbone)
                self._prepared = scene, prepare_scene(scene, backbone, self._encoder, self.settings)
        return self._prepared[1]

    def _release(self) -> None:
        if self._model is None:
            return
        from smd_cli.engine.device import release_memory

        device = self._model[1].device
        self._model = self._encoder = self._prepared = None
        release_memory(device)
