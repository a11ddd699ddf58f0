"""What renders on a node of a Ray cluster: a renderer, and copies of the files that its jobs need.

It answers with plain data. Files go back as their bytes, so that nodes share no file system with the machine
that the batch was begun on.
"""

from __future__ import annotations

import os
import platform
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from smd_cli import __version__
from smd_cli.app.batch.jobs import Job, Outcome
from smd_cli.app.batch.perform import perform
from smd_cli.app.batch.ray_options import THREADS
from smd_cli.app.batch.ray_parcels import Parcel, unpack
from smd_cli.app.existing import GIVE_ANOTHER
from smd_cli.app.model_spec import at_model, find_model, model_spec
from smd_cli.app.named_files import digests_of, model_files
from smd_cli.app.recipes import LIBRARIES, RENDERING_VERSION
from smd_cli.app.renderer import Renderer
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import RenderSettings
from smd_cli.engine.events import Event, Noted, Warned
from smd_cli.errors import MismatchError, SmdError
from smd_cli.media.files import Existing, report_write_errors
from smd_cli.media.frame_files import FIRST_FRAME
from smd_cli.media.paint import ScenePainter
from smd_cli.media.recipe import Recipe, read_recipe
from smd_cli.messages import Message
from smd_cli.models.spec import ModelSpec

_KEPT = 4  # opened scenes: jobs of one scene follow each other
_SHOWN = 12  # digits of a digest


@dataclass(frozen=True)
class Installed:
    """The versions that a picture depends on: of the program, which must be equal, and of libraries."""

    program: str
    python: str
    libraries: dict[str, str]

    @classmethod
    def here(cls) -> Installed:
        """Return what is installed in this process' environment."""
        python = ".".join(platform.python_version_tuple()[:2])
        program = f"{__version__}, rendering version {RENDERING_VERSION}"
        return cls(program, python, {name: version(name) for name in (*LIBRARIES, "pillow")})

    def differences(self, other: Installed) -> list[str]:
        """Return in short which libraries another has in other versions."""
        return [
            f"{name} {there}, here {self.libraries[name]}"
            for name, there in other.libraries.items()
            if there != self.libraries[name]
        ]


@dataclass(frozen=True)
class Order:
    """A job without its scene.

    Attributes:
        job: its number, and so on: as `Job` has them.
        model: SHA-256 of the files of its model, by their places in the scene.
    """

    job: int
    seed: int
    target: str
    point: str
    digests: dict[str, str]
    model: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class Reply:
    """What came of an order.

    Attributes:
        outcome: of the job; None where something ended that would end every other job too.
        error: that.
        files: what was written, by the names under the target; of a target that is one file, its bytes alone.
        recipe: what the files carry; None: no recipe.
        events: notes and warnings.
    """

    outcome: Outcome | None = None
    error: SmdError | None = None
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    recipe: Recipe | None = None
    events: tuple[Noted | Warned, ...] = ()


class Worker:
    """Renders jobs, one after the other, with a model that stays loaded."""

    def __init__(
        self, settings: RenderSettings, environment: dict[str, str], get: Callable[[Any], Any] | None = None
    ) -> None:
        """Take settings, and variables for the libraries that are yet to be imported.

        `get` reads what is in the store: Ray's, unless another is given.
        """
        os.environ.pop(THREADS, None)  # Ray sets it to the CPUs that it has given away
        os.environ.update(environment)
        self._get = get or _get
        self._settings = settings
        self._renderer = Renderer.of(settings, self._hear)
        self._painter = ScenePainter()
        self._folder = TemporaryDirectory(prefix="smd-ray-worker-", ignore_cleanup_errors=True)
        self._scenes: OrderedDict[Any, OpenedScene] = OrderedDict()
        self._compared: list[tuple[ModelSpec, dict[str, str]]] = []
        self._events: list[Noted | Warned] = []

    def hello(self) -> tuple[str, Installed]:
        """Return the name of this machine, and what is installed here."""
        return socket.gethostname(), Installed.here()

    def perform(self, parcel: list[Any], order: Order) -> Reply:
        """Render a job; `parcel` is a list so that Ray does not fetch the scene in it again each time."""
        self._events.clear()
        with TemporaryDirectory(prefix="job-", dir=self._folder.name) as folder:
            target = f"{folder}/{Path(order.target).name}{'/' * order.target.endswith('/')}"
            try:
                job = self._job(parcel[0], order, target)
                outcome = perform(job, self._renderer, Existing.OVERWRITE, hint=GIVE_ANOTHER)
            except SmdError as error:
                return self._reply(order, target, Reply(error=error))
            files = _files(Path(target)) if outcome.status == "written" else {}
            first = Path(target) / FIRST_FRAME if target.endswith("/") else Path(target)
            recipe = read_recipe(first) if files and self._settings.metadata else None
        return self._reply(order, target, Reply(outcome, files=files, recipe=recipe))

    def close(self) -> None:
        """Let go of the model, and remove the copies of files."""
        self._renderer.close()
        self._folder.cleanup()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Noted | Warned):
            self._events.append(event)

    def _job(self, parcel: Any, order: Order, target: str) -> Job:  # noqa: ANN401 - Ray's reference to it
        scene = self._scene(parcel)
        self._compare(scene, order.model)
        return Job(order.job, scene, order.seed, target, order.point, order.digests)

    def _scene(self, parcel: Any) -> OpenedScene:  # noqa: ANN401
        """Return an opened scene, the same one for each of its jobs: what is prepared for it, stays so."""
        if parcel not in self._scenes:
            unpacked: Parcel = self._get(parcel)
            folder = Path(self._folder.name)
            with report_write_errors(f"{socket.gethostname()}: {folder}"):
                self._scenes[parcel] = unpack(unpacked, folder, self._get, self._painter)
            if len(self._scenes) > _KEPT:
                self._scenes.popitem(last=False)
        self._scenes.move_to_end(parcel)
        return self._scenes[parcel]

    def _compare(self, scene: OpenedScene, wanted: dict[str, str]) -> None:
        """Raise MismatchError where this node's files of a model are not those of the batch; look once."""
        compared = model_spec(scene.plan), wanted
        if compared in self._compared:
            return
        with at_model(scene):
            assets = find_model(scene.plan, offline=self._settings.offline)
        changed = [
            scene.locate(*file.loc).says(
                f"{file.what}{file.name and f', {file.name},'} on {socket.gethostname()} is not that of this "
                f"batch: SHA-256 {file.sha256[:_SHOWN]}, not {wanted.get(file.key, 'none')[:_SHOWN]}"
            )
            for file in model_files(scene.plan, assets)
            if file.sha256 != wanted.get(file.key)
        ]
        if changed:
            raise MismatchError(*changed)
        self._compared.append(compared)

    def _reply(self, order: Order, target: str, reply: Reply) -> Reply:
        """Return a reply with the events, and with the paths that the driver knows."""

        def known(text: str) -> str:
            return _replaced(text, target.rstrip("/"), order.target.rstrip("/"))

        events = tuple(replace(event, text=known(event.text)) for event in self._events)
        outcome = reply.outcome
        if outcome:
            output = outcome.output and replace(outcome.output, path=order.target)
            problems = tuple(Message.of(known(each)) for each in outcome.problems)
            outcome = replace(outcome, output=output, problems=problems)
        return replace(reply, outcome=outcome, events=events)


def _get(reference: Any) -> Any:  # noqa: ANN401 - whatever is in the store
    import ray

    return ray.get(reference)


def model_digests(scene: OpenedScene, *, offline: bool) -> dict[str, str]:
    """Return the SHA-256 of the files of a scene's model, by their places. Raises AssetError."""
    with at_model(scene):
        return digests_of(model_files(scene.plan, find_model(scene.plan, offline=offline)))


def _files(target: Path) -> dict[str, bytes]:
    """Read what was written to a target: a folder's files in order, or one under the empty name."""
    if not target.is_dir():
        return {"": target.read_bytes()}
    return {path.name: path.read_bytes() for path in sorted(target.glob("*.png"))}


def _replaced(line: str, before: str, after: str) -> Message:
    """Return a message with another path in its text and its place."""
    message = Message.of(line)
    place = message.place and replace(message.place, source=message.place.source.replace(before, after))
    return Message(message.text.replace(before, after), place)
