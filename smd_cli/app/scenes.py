"""Opening a scene: it is read, resolved and painted, so that all of its problems are reported at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smd_cli.app.model_advice import ModelAdviser
from smd_cli.app.named_files import digests_of, picture_files
from smd_cli.app.origin import Origin, Source, read_source
from smd_cli.app.prompt_lengths import note_lengths
from smd_cli.app.scene_messages import leaves_to_chance, notes_of, warnings_of
from smd_cli.engine.events import Listener, Noted, Warned, ignore_events
from smd_cli.errors import AssetError, SceneError, SmdError, UsageError
from smd_cli.media.images import picture_size
from smd_cli.media.paint import ScenePainter
from smd_cli.media.scene_images import SceneImages
from smd_cli.messages import Locate, Message
from smd_cli.scene.loader import Asked, LoadedScene
from smd_cli.scene.matrix import Point
from smd_cli.scene.overrides import Override, overrides_of
from smd_cli.scene.paths import Reference
from smd_cli.scene.plan_values import with_references
from smd_cli.scene.resolve import Plan, resolve

if TYPE_CHECKING:
    from smd_cli.media.recipe import Recipe

_TRIES = 3


@dataclass(frozen=True)
class OpenedScene:
    """A good scene: only the model and the machine can still go wrong.

    Attributes:
        plan: the scene with every default filled in.
        notes: what was adapted or drawn, one line each.
        warnings: what is likely a mistake, one line each.
        locate: `locate("sampler", "tile")` is the place of a value, with which messages about it begin.
        loaded: what was read.
        origin: what it was opened from; a bundle among that is unpacked as long as this object is there.
    """

    plan: Plan
    notes: tuple[Message, ...]
    warnings: tuple[Message, ...]
    locate: Locate = field(repr=False)
    loaded: LoadedScene = field(repr=False)
    _painted: _Painted = field(repr=False, compare=False)
    origin: Origin = field(default=Origin(), repr=False)

    @property
    def images(self) -> SceneImages:
        """Its masks and background at canvas size; painted again, where they were let go of.

        Raises SceneError, AssetError: they have changed meanwhile.
        """
        return self._painted.images()

    def release_images(self) -> None:
        """Let go of the images, until they are asked for: of many scenes they fill the memory."""
        self._painted.release()

    @property
    def painted_digests(self) -> Mapping[str, str]:
        """The SHA-256 of the files that the images were painted from, by their places; of a stream, none.

        Raises as `images`.
        """
        return self._painted.digests()

    @property
    def recipe(self) -> Recipe | None:
        """That of the picture which the scene was opened from; None: it was opened from a scene."""
        return self.origin.recipe

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that the scene names, a picture for each; `plan.seed` is the first."""
        return self.loaded.scene.seed

    @property
    def has_drawn_seeds(self) -> bool:
        """Tell whether the scene leaves a seed to chance, which another opening of it would draw anew."""
        return leaves_to_chance(self.loaded)

    @property
    def digests(self) -> Mapping[str, str]:
        """The SHA-256 that files should have, by their places (see `named_files.changed_files`)."""
        return self.loaded.scene.digests

    @property
    def can_stream(self) -> bool:
        """Tell whether the scene is a stream, or names no task and has a section `stream`."""
        given = self.loaded.tree
        return self.plan.task == "stream" or (
            given.child("task") is None and given.child("stream") is not None
        )

    def for_task(self, task: str) -> OpenedScene:
        """Return the scene for a task, which a scene that names none can have.

        Raises SceneError: the scene names another task, or has nothing for this one.
        """
        if task == self.plan.task:
            return self
        return _opened(self.loaded.with_task(task), task, self._painted.painter, self.origin)

    def tell(self, listener: Listener, *, but: OpenedScene | None = None) -> None:
        """Emit the notes and warnings, `but` for those of another scene."""
        for note in self.notes:
            if but is None or note not in but.notes:
                listener(Noted(note))
        for warning in self.warnings:
            if but is None or warning not in but.warnings:
                listener(Warned(warning))

    def later_notes(self) -> tuple[Message, ...]:
        """Return the notes on prompts that its model, which was not here when it was opened, makes now."""
        notes = note_lengths(self.loaded.scene, self.plan, self.locate)
        return tuple(note for note in notes if note not in self.notes)

    def informed(self, *, offline: bool) -> OpenedScene:
        """Return the scene with what its model recommends, where that was not here when it was opened.

        Unless `offline`, it may be fetched. Raises AssetError, SceneError: as `load_scene`.
        """
        if self.loaded.knows_model:
            return self
        loaded = self.loaded.advised_by(ModelAdviser(offline=offline))
        if not loaded.knows_model:
            return self
        return _opened(loaded, None, self._painted.painter, self.origin)

    @property
    def recommended(self) -> Mapping[str, Any]:
        """The values that the model recommends, and the scene leaves out, by their place in the scene."""
        return self.loaded.filled.values()

    def with_caption(self, caption: str) -> OpenedScene:
        """Return the scene with a caption of its background picture as the background's prompt."""
        return replace(self, plan=self.plan.with_caption(caption))

    @property
    def points(self) -> tuple[Point, ...]:
        """The points of the scene's matrix; of a scene without one, the scene itself. Raises SceneError."""
        return self.loaded.points()

    def at_point(self, point: Point) -> OpenedScene:
        """Return the scene of a point of a matrix, its own or another.

        Raises SceneError, UsageError, AssetError: as `load_scene`.
        """
        loaded = self.loaded.at_point(point)
        if loaded is self.loaded:
            return self
        origin = self.origin.changed(point.overrides, loaded.base_dir)
        return _opened(loaded, None, self._painted.painter, origin)

    def at_only_point(self, listener: Listener = ignore_events) -> OpenedScene | None:
        """Return the scene at the only point of its matrix, and emit its notes; None: there are several.

        Raises as `at_point`.
        """
        if len(points := self.points) > 1:
            return None
        scene = self.at_point(points[0])
        if scene is not self:
            scene.tell(listener)
        return scene

    def moved(self, change: Callable[[Reference], Reference], painter: ScenePainter) -> OpenedScene:
        """Return the scene with other references to files and models, and another painter of its images."""
        plan, origin = with_references(self.plan, change), replace(self.origin, bundle=None)
        return replace(self, plan=plan, _painted=_Painted(painter, plan, self.locate), origin=origin)


@dataclass
class _Painted:
    """The images of a plan, and what paints them: what scenes have in common, it paints once."""

    painter: ScenePainter
    plan: Plan
    locate: Locate
    kept: SceneImages | None = None
    painted_from: Mapping[str, str] | None = None

    def images(self) -> SceneImages:
        if self.kept is None:
            self.kept = self._paint()
        return self.kept

    def digests(self) -> Mapping[str, str]:
        if self.painted_from is None:
            self.images()
        return self.painted_from or {}

    def release(self) -> None:
        self.kept = None

    def _paint(self) -> SceneImages:
        """Paint, and take the digests of just what was painted.

        Raises SceneError, AssetError: as `ScenePainter.paint`, or files do not keep still.
        """
        if self.plan.task == "stream":  # whose files are read again with every frame
            self.painted_from = {}
            return self.painter.paint(self.plan, self.locate)
        for _ in range(_TRIES):
            before = None
            with suppress(AssetError):  # which painting tells better
                before = digests_of(picture_files(self.plan))
            images = self.painter.paint(self.plan, self.locate)
            self.painted_from = digests_of(picture_files(self.plan))
            if self.painted_from == before:
                return images
        raise AssetError(self.locate().says("its pictures are written while they are read; try again"))


def check_sources(sources: Sequence[Source]) -> None:
    """Check what several scenes are to be read from. Raises UsageError: standard input, which ends, twice."""
    if list(sources).count("-") > 1:
        raise UsageError("-: is given twice, and standard input can be read once only")


def load_scene(
    source: Source,
    *,
    overrides: Mapping[str, Any] | Sequence[Override] = (),
    base_dir: str | Path | None = None,
    task: str | None = None,
    listener: Listener = ignore_events,
    painter: ScenePainter | None = None,
    fetch: bool = False,
) -> OpenedScene:
    """Open a scene, and emit its notes and warnings.

    What it leaves out is what its model recommends, where that is here, and else this program's default.

    Args:
        source: a path (`-`: standard input) of a scene, of a picture of smd's, whose recipe is the scene, or
            of a bundle; the text of a scene (which has more than one line), or its data as a mapping.
        overrides: values by their place, such as `{"canvas.width": 512, "regions[boy].prompt": "a boy"}`.
        base_dir: where relative paths of a text or mapping start, by default at the working directory, and
            those of a picture's recipe, by default at its folder. Those of a scene file start at its folder.
        task: what the scene is opened for; one that names no task has it.
        listener: receives the notes and warnings.
        painter: paints its images; what it has painted for other scenes, it does not paint again.
        fetch: whether what a model of the hub recommends, and its configs, may be fetched.

    Raises:
        UsageError, SceneError, AssetError: every problem of that stage, one line each, with its place.
    """
    asked = Asked(overrides_of(overrides), task, ModelAdviser(offline=not fetch))
    loaded, origin = read_source(source, base_dir, asked)
    scene = _opened(loaded, task, painter or ScenePainter(), origin)
    scene.tell(listener)
    return scene


def _opened(loaded: LoadedScene, task: str | None, painter: ScenePainter, origin: Origin) -> OpenedScene:
    if origin.bundle:
        origin.bundle.check_inside(loaded)
    if task not in (None, loaded.scene.task):
        own = loaded.scene.task
        hint = f"this scene is for `smd {own}`; --set task={task} makes it one for `smd {task}`"
        raise SceneError(loaded.locate("task").says(hint))
    plan = plan_of(loaded)
    painted = _Painted(painter, plan, loaded.locate)
    images = painted.images()
    notes = (*notes_of(loaded, plan), *map(Message.of, images.notes))
    is_recipe = origin.recipe is not None
    warnings = (*warnings_of(loaded, plan, is_recipe=is_recipe), *images.warnings)
    return OpenedScene(plan, notes, warnings, loaded.locate, loaded, painted, origin)


def plan_of(loaded: LoadedScene) -> Plan:
    """Return the plan of a scene; where its canvas follows the background picture, that gives the size.

    Raises SceneError, AssetError: that picture gives none.
    """
    scene, followed = loaded.scene, None
    try:
        if scene.canvas is None and scene.background.image:
            followed = picture_size(scene.background.image.at(loaded.base_dir).path)
        return resolve(scene, loaded.name, loaded.base_dir, followed, loaded.family)
    except SmdError as error:
        raise error.at(loaded.locate("background", "image")) from error
