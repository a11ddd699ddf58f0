"""The scenes of a batch at every point of their matrices: opened, compared with a lock, their models found.

Knows no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smd_cli.app.batch.jobs import Job
from smd_cli.app.batch.request import Request
from smd_cli.app.existing import ComingRecipes
from smd_cli.app.lock.drift import Held, hold
from smd_cli.app.lock.lockfile import Lock
from smd_cli.app.model_fit import find_fitting
from smd_cli.app.model_spec import at_model
from smd_cli.app.named_files import digests_of, picture_files
from smd_cli.app.scenes import OpenedScene, check_sources, load_scene
from smd_cli.engine.events import Listener, Noted
from smd_cli.errors import Collected, UsageError
from smd_cli.media.paint import ScenePainter
from smd_cli.scene.matrix import Point
from smd_cli.scene.overrides import override_of, overrides_of

if TYPE_CHECKING:
    from smd_cli.app.stream_input import StreamInput

MAX_JOBS = 100_000


@dataclass(frozen=True)
class Variant:
    """A scene at one point of its matrix, and what its jobs have in common.

    Attributes:
        scene: at that point.
        point: what it sets.
        seeds: a job for each.
        coming: the recipes that they will have.
        digests: SHA-256 of the pictures and films that the scene names.
        stream: the input and frames of a stream.
        held: its pictures in a lock; None: no lock was asked for.
    """

    scene: OpenedScene
    point: Point
    seeds: Sequence[int]
    coming: ComingRecipes
    digests: dict[str, str]
    stream: StreamInput | None
    held: Held | None = None


def open_variants(request: Request, listener: Listener) -> list[Variant]:
    """Open every scene at every point of its matrix.

    Raises SmdError: all that is wrong with any; UsageError: there would be too many jobs.
    """
    check_sources(request.sources)
    painter, problems, variants = ScenePainter(), Collected(), []
    overrides = overrides_of(request.overrides)
    if request.seeds:
        overrides.append(override_of("seed", request.seeds[0]))
    for source in request.sources:
        with problems.catching():
            base = load_scene(
                source,
                overrides=overrides,
                task=request.task,
                painter=painter,
                fetch=request.may_fetch and not request.settings.offline,
            )
            points = request.points or base.points
            for point in points:
                with problems.catching():
                    variants.append(_variant(base, point, request, listener))
            if len(points) > 1 or len(request.sources) > 1:
                base.release_images()
    problems.check()
    if (count := sum(len(variant.seeds) for variant in variants)) > MAX_JOBS:
        raise UsageError(f"{count:,} pictures are too many for one run; at most {MAX_JOBS:,} are possible")
    return variants


def hold_variants(lock: Lock, variants: Iterable[Variant], listener: Listener) -> list[Variant]:
    """Return variants with their pictures in a lock. Raises MismatchError: one is not what the lock holds."""
    problems, found = Collected(), []
    for variant in variants:
        with problems.catching():
            held = hold(lock, variant.scene, variant.seeds, variant.coming.of)
            found.append(replace(variant, held=held))
            for note in held.notes:
                listener(Noted(note))
    problems.check()
    return found


def _variant(base: OpenedScene, point: Point, request: Request, listener: Listener) -> Variant:
    if request.seeds and (seeds := next((each for each in point.overrides if each.keys == ("seed",)), None)):
        raise UsageError(seeds.place.says("names seeds, and so does --seed; give only one of them"))
    scene, stream = base.at_point(point), None
    scene.tell(listener)
    if scene.plan.task == "stream":
        from smd_cli.app.stream_input import find_stream_input  # imports what reads films

        stream = find_stream_input(scene, listener)
    digests = digests_of(picture_files(scene.plan))
    if scene is not base:
        scene.release_images()
    coming = ComingRecipes(scene, request.settings, may_fetch=request.may_fetch)
    return Variant(scene, point, request.seeds or scene.seeds, coming, digests, stream)


def check_models(jobs: Iterable[Job], *, offline: bool) -> None:
    """Find the models of jobs, which may be fetched, and see that they suit the scenes.

    Raises SceneError, AssetError: all that is wrong, before the first render.
    """
    problems = Collected()
    for scene in {id(job.scene): job.scene for job in jobs}.values():
        with problems.catching(), at_model(scene):
            find_fitting(scene, offline=offline)
    problems.check()
