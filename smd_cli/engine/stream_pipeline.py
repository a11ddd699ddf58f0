"""The stream pipeline: from input frames to pictures, each part of the way in a thread of its own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from smd_cli.core.noise import SeededNoise
from smd_cli.engine.events import WarningRoute
from smd_cli.engine.finite import not_finite
from smd_cli.engine.pipeline import CAPACITY, Pipeline
from smd_cli.engine.render import decode_if_finite
from smd_cli.engine.scene_preparer import InputFrame, ScenePreparer
from smd_cli.engine.similarity import SimilarityFilter
from smd_cli.engine.stream_batch import RenderedFrame, SkippedFrame, StreamOptions, StreamSampler
from smd_cli.scene.resolve import Plan

QUEUES = ("read", "encoded", "denoised", "decoded")  # what waits after the source and after each stage
WORK = ("read", "encode", "denoise", "decode")  # what the source and each stage do


@dataclass(frozen=True)
class OutputFrame:
    """A frame to show; an image of None repeats the one before, or shows nothing where there was none."""

    frame: int
    image: Image.Image | None


@dataclass(frozen=True)
class StreamRun:
    """A stream under way: `pipeline` yields an OutputFrame each, in order; `sampler` counts the work."""

    pipeline: Pipeline
    sampler: StreamSampler

    def close(self) -> None:
        """Take no more frames; the threads end soon, the one that samples after the views that it is at."""
        self.sampler.cancel()
        self.pipeline.close()


def stream_pipeline(
    plan: Plan,
    preparer: ScenePreparer,
    frames: Iterable[InputFrame],
    seed: int,
    warnings: WarningRoute,
) -> StreamRun:
    """Set up a stream of a plan's frames; it begins where the pipeline is entered.

    `warnings` hears the threads of the pipeline.
    """
    stream = plan.stream
    options = StreamOptions(stream.buffer, stream.autoflush, stream.variation)
    sampler = StreamSampler(SeededNoise(seed), options)
    similarity = SimilarityFilter(stream.similarity, seed) if stream.similarity else None
    stages: list[Callable[[Iterator[Any]], Iterator[Any]]] = [
        partial(preparer.jobs, similarity=similarity),
        sampler.sequential if stream.mode == "sequential" else sampler.batched,
        _decoded,
    ]
    pipeline = Pipeline(frames, stages, max(CAPACITY, stream.buffer), warnings.context)
    return StreamRun(pipeline, sampler)


def _decoded(frames: Iterable[RenderedFrame | SkippedFrame]) -> Iterator[OutputFrame]:
    for each in frames:
        yield OutputFrame(each.frame, _picture(each) if isinstance(each, RenderedFrame) else None)


def _picture(rendered: RenderedFrame) -> Image.Image:
    scene = rendered.scene
    image = decode_if_finite(scene, rendered.latent)
    if image is None:
        finite, steps = int(rendered.finite_steps), len(scene.method.schedule)
        place = f"step {finite + 1} of {steps}" if finite < steps else "decoding the picture"
        raise not_finite(scene.backbone, f"frame {rendered.frame}: {place}", scene.method.guidance)
    return image
