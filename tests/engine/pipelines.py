"""What this program and diffusers' own pipelines make of one checkpoint, one sampler and the same noise.

A prompt without regions, in one view: both give latents, which are to be equal. A test loads the pipeline,
from the files that this program loads too, and gives it a scheduler; then

    compare(Picture(base, "kind: euler, steps: 4"), pipeline, num_inference_steps=4)
"""

import importlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    TCDScheduler,
)
from torch import Tensor

from smd_cli.core.noise import SeededNoise
from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.engine.render import denoise
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.golden import relative_error

TOLERANCE = 1e-4
"""Of the largest value."""

STEPS = 3
LEADING, TRAILING, LINSPACE = ({"timestep_spacing": name} for name in ("leading", "trailing", "linspace"))
SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "kind: lcm, steps: 3": (LCMScheduler, {}),
    "kind: tcd, steps: 3": (TCDScheduler, {}),
    "kind: tcd, steps: 3, gamma: 1": (TCDScheduler, {}),
    "kind: ddim, steps: 3": (DDIMScheduler, LEADING),
    "kind: ddim, steps: 3, spacing: trailing": (DDIMScheduler, TRAILING),
    "kind: euler, steps: 3": (EulerDiscreteScheduler, TRAILING),
    "kind: euler, steps: 3, spacing: leading": (EulerDiscreteScheduler, LEADING),
    "kind: euler, steps: 3, spacing: linspace": (EulerDiscreteScheduler, LINSPACE),
    "kind: dpmpp, steps: 3": (DPMSolverMultistepScheduler, LINSPACE),
    "kind: dpmpp, steps: 3, spacing: leading": (DPMSolverMultistepScheduler, LEADING),
    "kind: dpmpp, steps: 3, spacing: trailing": (DPMSolverMultistepScheduler, TRAILING),
    "kind: dpmpp, steps: 3, spacing: karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
}
"""diffusers' schedulers of what a scene can ask for, with what users set in the model's own."""


@dataclass(frozen=True)
class Picture:
    """What is made.

    Attributes:
        base: a folder, or a single file, of a checkpoint.
        sampler: keys of the scene's section, as they are written between braces.
        size: width and height, px; one view covers it.
        negative_prompt: None: the model takes none.
        choices: what else a `ModelSpec` says, such as the LoRAs.
        pack: lays noise (1, C, h, w) out as the pipeline's scheduler has it.
        unpack: makes of this program's latents, by its model, what the pipeline gives out.
    """

    base: Path
    sampler: str
    size: tuple[int, int] = (64, 64)
    prompt: str = "a red house, snow"
    negative_prompt: str | None = "a blue circle"
    seed: int = 11
    choices: dict[str, Any] = field(default_factory=dict)
    pack: Callable[[Tensor], Tensor] = lambda noise: noise
    unpack: Callable[[Tensor, Any], Tensor] = lambda latents, model: latents


@cache
def _backbone(spec: ModelSpec) -> Backbone:
    return load(locate(spec, offline=True), torch.device("cpu"), torch.float32)


def backbone_of(picture: Picture) -> Backbone:
    """The checkpoint as this program loads it, without a LoRA that makes it a few-step one."""
    return _backbone(ModelSpec(str(picture.base), **picture.choices))


def ours(picture: Picture) -> tuple[Tensor, PreparedScene]:
    """This program's latents (1, C, h, w), and the scene that they were made from."""
    width, height = picture.size
    background = {"prompt": picture.prompt}
    if picture.negative_prompt is not None:
        background["negative_prompt"] = picture.negative_prompt
    text = (
        f"smd: 1\ncanvas: {{width: {width}, height: {height}}}\n"
        f"sampler: {{{picture.sampler}, tile: {max(picture.size)}}}\nbackground: {json.dumps(background)}\n"
    )
    plan = resolve(load_text(text, "scene").scene, "scene", Path())
    with torch.inference_mode():
        scene = prepare(plan, CanvasImages(()), backbone_of(picture), batch=4)
        latents = denoise(scene, SeededNoise(picture.seed), Clock())
        return picture.unpack(latents, backbone_of(picture)), scene


def theirs(picture: Picture, scene: PreparedScene, pipeline: Any, **settings: object) -> Tensor:
    """A pipeline's latents from the same noise; `settings` are its own, beside prompts, size and noise."""
    width, height = picture.size
    noise = SeededNoise(picture.seed)
    pipeline.set_progress_bar_config(disable=True)
    if picture.negative_prompt is not None:
        settings["negative_prompt"] = picture.negative_prompt
    draws = [picture.pack(each) for each in _renoising(noise, scene)]
    with _drawing(pipeline.scheduler, draws), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # diffusers' schedulers and NumPy 2
        made = pipeline(
            prompt=picture.prompt,
            width=width,
            height=height,
            latents=noise("init", 0, scene.shape),
            output_type="latent",
            **settings,
        )
    return made.images


def _renoising(noise: SeededNoise, scene: PreparedScene) -> list[Tensor]:
    """This program's new noise, step by step; then one for schedulers that draw some to multiply it by 0."""
    steps = range(1, len(scene.method.schedule))
    return [*(noise("renoise", step, scene.shape) for step in steps), torch.zeros(scene.shape)]


@contextmanager
def _drawing(scheduler: Any, noises: Iterable[Tensor]) -> Iterator[None]:
    """Let a scheduler that adds new noise draw these."""
    module = importlib.import_module(type(scheduler).__module__)
    if not hasattr(module, "randn_tensor"):
        yield
        return
    draws = iter(noises)
    with patch.object(module, "randn_tensor", lambda *args, **kwargs: next(draws)):
        yield


def compare(picture: Picture, pipeline: Any, **settings: object) -> Tensor:
    """Check that both latents are equal, and that the model was at work; return this program's."""
    latents, scene = ours(picture)
    expected = theirs(picture, scene, pipeline, **settings)
    assert latents.shape == expected.shape
    assert relative_error(latents, expected) < TOLERANCE
    return latents
