"""From an opened stream scene to a written file of frames.

Imports torch; the command imports it when there is something to render.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import Any

from smd_cli.cli.options import Rendering
from smd_cli.cli.rendering import Output, build_recipe, device_facts, setting
from smd_cli.cli.running import Running
from smd_cli.cli.scenes import OpenScene
from smd_cli.engine.broadcast import QUEUES, WORK, Broadcast, Shown, broadcast
from smd_cli.engine.direction import Director, Take
from smd_cli.engine.masks import Setting
from smd_cli.media.paint import ScenePainter
from smd_cli.media.sinks import Sink, Target, open_sink
from smd_cli.models.backbone import Backbone
from smd_cli.models.device import enough_memory
from smd_cli.scene.resolve import Plan
from smd_cli.scene.timeline import show_at


@dataclass(frozen=True)
class StreamJob:
    """A stream to render: its scene, how it runs, its seed, where it goes, and how."""

    scene: OpenScene
    running: Running
    seed: int
    target: Target
    how: Rendering


@dataclass
class Progress:
    """How far a stream is: frames written and skipped, seconds since it began, and a frame's on its way."""

    frames: int = 0
    skipped: int = 0
    seconds: float = 0.0
    latency: float = 0.0
    queues: dict[str, int] = field(default_factory=dict)

    @property
    def frames_per_second(self) -> float:
        """Frames written a second, since the first was read."""
        return self.frames / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class StreamReport:
    """What a stream did."""

    outputs: tuple[Output, ...]
    progress: Progress
    timing: dict[str, float]
    work: dict[str, int]
    device: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        return {
            "outputs": [asdict(output) for output in self.outputs],
            "frames": self.progress.frames,
            "frames_per_second": round(self.progress.frames_per_second, 4),
            "skipped": self.progress.skipped,
            "latency_s": round(self.progress.latency, 4),
            "timing": {name: round(seconds, 4) for name, seconds in self.timing.items()},
            "work": self.work,
            "device": self.device,
        }


def stream(
    job: StreamJob, backbone: Backbone, watch: Callable[[Progress], None], loading: float
) -> StreamReport:
    """Render and write a stream; `watch` hears of each frame. `loading` is what loading took, in seconds.

    Whatever ends it, what was written before plays.

    Raises DeviceError: the memory of the device is not enough; SmdError: a frame cannot be written.
    """
    began: dict[int, float] = {}
    plan, progress = job.scene.plan, Progress()
    director = Director(plan, backbone, partial(_setting, ScenePainter()), batch=job.how.batch)
    started = time.perf_counter()
    with enough_memory(backbone.device), _writing(job, backbone) as sink:
        cast = broadcast(plan, director, _takes(job, began), job.seed)
        saving = 0.0
        with cast.pipeline as frames:
            for shown in frames:
                writing = time.perf_counter()
                _write(sink, shown, progress)
                now = time.perf_counter()
                saving += now - writing
                progress.seconds = now - started
                progress.latency += (now - began.pop(shown.frame) - progress.latency) / progress.frames
                progress.queues = dict(zip(QUEUES, cast.pipeline.depths(), strict=True))
                watch(progress)
    return _report(job, backbone, cast, progress, {"load_s": loading, "save_s": saving})


def _takes(job: StreamJob, began: dict[int, float]) -> Iterator[Take]:
    """Read the frames to come; `began` is told when each was asked for."""
    for frame, image in enumerate(job.running.images(job.scene)):
        if frame == job.running.frames:
            return
        began[frame] = time.perf_counter()
        yield Take(frame, show_at(job.scene.plan, frame, fps=job.running.fps), image)


def _setting(painter: ScenePainter, plan: Plan) -> Setting:
    """Paint the pictures of a scene at a frame."""
    return setting(painter.paint(plan, may_leave=True))


def _write(sink: Sink, shown: Shown, progress: Progress) -> None:
    """Write a frame, the last one again where it was skipped."""
    if shown.image is None:
        sink.repeat()
        progress.skipped += 1
    else:
        sink.add(shown.image)
    progress.frames += 1


@contextmanager
def _writing(job: StreamJob, backbone: Backbone) -> Iterator[Sink]:
    """Give a sink; whatever ends the block, what was written is brought into its place."""
    plan, texts = job.scene.plan, None
    if job.how.metadata:
        texts = build_recipe(plan, job.scene.painted, job.seed, backbone.assets).texts()
    sink = open_sink(job.target, size=plan.size, fps=job.running.fps, loop=plan.stream.loop, texts=texts)
    try:
        yield sink
    finally:
        sink.close()


def _report(
    job: StreamJob, backbone: Backbone, cast: Broadcast, progress: Progress, timing: dict[str, float]
) -> StreamReport:
    work = {f"{name}_s": seconds for name, seconds in zip(WORK, cast.pipeline.busy(), strict=True)}
    times = {"load_s": timing["load_s"], **work, "save_s": timing["save_s"]}
    times["total_s"] = timing["load_s"] + progress.seconds
    return StreamReport(
        outputs=(_output(job),),
        progress=progress,
        timing=times,
        work=dict(cast.sampler.work._asdict()),
        device=device_facts(backbone),
    )


def _output(job: StreamJob) -> Output:
    """Name what was written; a folder and standard output have no digest."""
    path, digest = Path(str(job.target or "-")), ""
    if path.is_file():
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
    return Output(str(job.target or "-"), job.seed, digest, *job.scene.plan.size)
