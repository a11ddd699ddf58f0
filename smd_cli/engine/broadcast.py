"""A broadcast: a stream from its takes to its pictures, each part of the way in a thread of its own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from smd_cli.core.noise import SeededNoise
from smd_cli.engine.direction import Director, Take
from smd_cli.engine.oneshot import develop
from smd_cli.engine.pipeline import CAPACITY, Pipeline
from smd_cli.engine.similarity import SimilarityFilter
from smd_cli.engine.stream import Done, Pace, Skip, StreamSampler
from smd_cli.scene.resolve import Plan

QUEUES = ("read", "encoded", "denoised", "decoded")  # what waits after the source and after each stage
WORK = ("read", "encode", "denoise", "decode")  # what the source and each stage do


@dataclass(frozen=True)
class Shown:
    """A frame to show; None: what the one before shows, or nothing where none was."""

    frame: int
    image: Image.Image | None


@dataclass(frozen=True)
class Broadcast:
    """A stream under way: what `pipeline` yields is Shown, in order; `sampler` knows the work so far."""

    pipeline: Pipeline
    sampler: StreamSampler


def broadcast(plan: Plan, director: Director, takes: Iterable[Take], seed: int) -> Broadcast:
    """Set up a stream of a plan's takes; it begins where the pipeline is entered."""
    stream, sampler = plan.stream, StreamSampler(SeededNoise(seed), _pace(plan))
    unlike = None
    if stream.similarity is not None:
        unlike = SimilarityFilter(stream.similarity.threshold, stream.similarity.max_skip, seed)
    paint = sampler.one_by_one if stream.mode == "sequential" else sampler.frames
    stages: list[Callable[[Iterator[Any]], Iterator[Any]]] = [
        partial(director.cues, unlike=unlike),
        paint,
        _developed,
    ]
    return Broadcast(Pipeline(takes, stages, max(CAPACITY, stream.buffer)), sampler)


def _pace(plan: Plan) -> Pace:
    return Pace(plan.stream.buffer, plan.stream.autoflush, plan.stream.variation)


def _developed(frames: Iterable[Done | Skip]) -> Iterator[Shown]:
    for frame in frames:
        yield Shown(frame.frame, develop(frame.stage, frame.latent) if isinstance(frame, Done) else None)
