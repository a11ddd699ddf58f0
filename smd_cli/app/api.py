"""The names of the Python API, which the package itself offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smd_cli.app.renderer import Renderer
from smd_cli.app.scenes import OpenedScene, load_scene
from smd_cli.app.settings import Batch, RenderSettings
from smd_cli.engine.events import Listener, ignore_events
from smd_cli.errors import UsageError
from smd_cli.messages import Place
from smd_cli.scene.data import from_data
from smd_cli.scene.matrix import Point, matrix_of

if TYPE_CHECKING:
    from smd_cli.app.batch.jobs import Outcome
    from smd_cli.app.batch.planning import Batch as PlannedBatch
    from smd_cli.app.batch.request import Request
    from smd_cli.app.render_plan import RenderPlan
    from smd_cli.app.verification.verdict import Verdict

__all__ = [
    "OpenedScene",
    "RenderSettings",
    "Renderer",
    "load_scene",
    "matrix",
    "plan",
    "render_batch",
    "verify",
]


def plan(
    scene: OpenedScene,
    *,
    task: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch: Batch = "auto",
    memory: str = "auto",
    weights: str = "full",
    offline: bool = False,
) -> RenderPlan:
    """Find what rendering a scene would take: work, tiles, memory, models. No weight is read.

    The work is that of one picture or frame. A scene that names no task is planned for `task`.

    Raises:
        DeviceError: the device or dtype is not there.
        SceneError: the canvas does not suit the model.
        AssetError: the input of a stream cannot be read.
    """
    from smd_cli.app.render_plan import plan_render  # imports torch

    planned = scene if task is None else scene.for_task(task)
    return plan_render(planned, RenderSettings(device, dtype, batch, offline, memory=memory, weights=weights))


def verify(
    *pictures: str | Path,
    metric: str = "pixels",
    tolerance: int | None = None,
    threshold: float | None = None,
    device: str = "auto",
    dtype: str = "auto",
    offline: bool = False,
    base_dir: str | Path | None = None,
    listener: Listener = ignore_events,
) -> list[Verdict]:
    """Render pictures, films and those that locks hold again, and compare them with what was recorded.

    `tolerance` is for `metric="pixels"`, `threshold` for `latent` and `ssim`. A picture is computed as it
    was, unless `device` or `dtype` say otherwise. What pictures name is looked for in `base_dir`, by default
    in the folder of each. What cannot be compared is a verdict too.

    Raises UsageError: the metric is unknown, or a number out of range or for another one.
    """
    from smd_cli.app.verification.claims import gather_claims
    from smd_cli.app.verification.computation import Wanted
    from smd_cli.app.verification.criterion import Criterion
    from smd_cli.app.verification.run import Verifier
    from smd_cli.app.verification.verdict import in_order

    found = gather_claims(
        map(Path, pictures), base_dir=None if base_dir is None else Path(base_dir), offline=offline
    )
    criterion, wanted = Criterion.of(metric, tolerance, threshold), Wanted(device, dtype, offline)
    verdicts = Verifier(criterion, wanted, listener=listener).verify(found)
    return in_order(verdicts, [each.name for each in found])


def matrix(values: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
    """Return the points of a matrix, written as in a scene: a mapping of lists, or a list of mappings.

    Raises UsageError: it is neither, or a key is none.
    """
    place = Place.of_option("matrix")
    rows = [] if isinstance(values, Mapping) else [row for row in values if not isinstance(row, Mapping)]
    if rows:
        raise UsageError(place.says("is a mapping of lists, or a list of mappings"))
    return matrix_of(from_data(values, place))


def render_batch(
    request: Request, *, workers: int = 1, listener: Listener = ignore_events
) -> Iterator[Outcome]:
    """Render many scenes, seeds and settings, each job to its file.

    All is read, checked and named by the time that this returns, and nothing rendered. Then what became of
    each job is yielded as it ends, those whose files are there already first; one that fails ends no other.
    With several workers, each is a process that imports the caller's main module: call this below
    `if __name__ == "__main__":` there.

    Raises SmdError: something is wrong with any job, or what ends all of them happens.
    """
    from smd_cli.app.batch.planning import plan_batch
    from smd_cli.app.batch.variants import check_models

    batch = plan_batch(request, listener)
    check_models(batch.jobs, offline=request.settings.offline)
    return _outcomes(request, batch, workers, listener)


def _outcomes(request: Request, batch: PlannedBatch, workers: int, listener: Listener) -> Iterator[Outcome]:
    yield from batch.skipped
    if not batch.jobs:
        return
    if workers > 1:
        from smd_cli.app.batch.workers import WorkerEngine

        yield from WorkerEngine(request, [request.settings.device] * workers, listener).run(batch.jobs)
    else:
        from smd_cli.app.batch.run import LocalEngine

        yield from LocalEngine(request, listener).run(batch.jobs)
