"""Times ways to stream side by side: batch against steps in turn, kinds of guidance, autoencoders."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

import torch
from PIL import Image

from smd_cli.bench.programs import Program
from smd_cli.bench.report import Row, Speed
from smd_cli.bench.speed import Case, Rounds, machine, race
from smd_cli.core.guidance import Guidance
from smd_cli.core.noise import SeededNoise
from smd_cli.engine.device import enough_memory
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.engine.render import decode_image
from smd_cli.engine.stream_batch import FrameJob, RenderedFrame, SkippedFrame, StreamOptions, StreamSampler
from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load

SCALE = 1.4  # of all kinds that are compared
KINDS: tuple[Literal["none", "self", "initialize", "full"], ...] = ("none", "self", "initialize", "full")

Run = Callable[[StreamSampler, Iterable[FrameJob]], Iterable[RenderedFrame | SkippedFrame]]


def stream_pictures(rounds: int, *, other: bool) -> int:
    """Return how many streams are painted: each program once to warm up, then once a round."""
    return (rounds + 1) * (2 + len(KINDS) + 2 * other)


def measure_stream(case: Case, other: Assets | None, rounds: Rounds, frames: int) -> Speed:
    """Measure streams of so many frames of a still scene; `other` is its model with another autoencoder.

    Raises AssetError: weights do not fit their configs; DeviceError: the memory is not enough.
    """
    with enough_memory(rounds.device), torch.inference_mode():
        backbone = load(case.assets, rounds.device, rounds.dtype)
        scene = prepare(case.plan, case.images, backbone, batch=rounds.batch)
        compared: list[tuple[Program, ...]] = [
            (_batch(scene, frames), _in_turn(scene, frames)),
            tuple(_guided(scene, frames, Guidance(kind, SCALE)) for kind in KINDS),
        ]
        if other is not None:
            compared.append(_autoencoders(scene, load(other, rounds.device, rounds.dtype), frames))
        rows: list[Row] = []
        for programs in compared:
            rows += race(case.plan, programs, rounds)
    return Speed(machine(rounds.device, rounds.dtype), tuple(rows))


def _batch(scene: PreparedScene, frames: int) -> Program:
    return _program("stream batch", scene, frames, lambda sampler, jobs: sampler.batched(jobs))


def _in_turn(scene: PreparedScene, frames: int) -> Program:
    return _program("steps in turn", scene, frames, lambda sampler, jobs: sampler.sequential(jobs))


def _guided(scene: PreparedScene, frames: int, guidance: Guidance) -> Program:
    guided = replace(scene, method=replace(scene.method, guidance=guidance))
    return replace(_batch(guided, frames), name=f"guidance {guidance.kind}", paints_the_same=False)


def _program(name: str, scene: PreparedScene, frames: int, run: Run) -> Program:
    """Stream so many frames; the picture that is compared is the last one."""

    def paint(seed: int) -> Image.Image:
        sampler = StreamSampler(SeededNoise(seed), StreamOptions())
        return _last(
            decode_image(scene, frame.latent)
            for frame in run(sampler, (FrameJob(frame, scene) for frame in range(frames)))
            if isinstance(frame, RenderedFrame)
        )

    return Program(name, paint, frames * scene.work.model_evaluations)


def _autoencoders(scene: PreparedScene, other: Backbone, frames: int) -> tuple[Program, ...]:
    """Decode equal latents by the model's own autoencoder and by another one."""
    noise = SeededNoise(0)("init", 0, scene.shape).to(scene.backbone.device)

    def program(name: str, by: PreparedScene) -> Program:
        def paint(_: int) -> Image.Image:
            return _last(decode_image(by, noise) for _ in range(frames))

        return Program(name, paint, 0, paints_the_same=False)

    return program("own autoencoder", scene), program("other autoencoder", replace(scene, backbone=other))


def _last(pictures: Iterable[Image.Image]) -> Image.Image:
    """Return the last picture of all that are made."""
    return deque(pictures, maxlen=1)[0]
