"""The ways of painting that are compared: settings of the scene, and what the scene language cannot undo.

The rows of the ablation of Lee et al. (arXiv 2403.09055, section 4): MultiDiffusion with many steps, the same
on a few-step sampler, and the three techniques, one on top of the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from smd_cli.bench.quality.layouts import Layout
from smd_cli.core.aggregate import average
from smd_cli.core.noise import Purpose, SeededNoise
from smd_cli.core.regions import Regions
from smd_cli.engine.batching import Batch
from smd_cli.engine.events import Clock
from smd_cli.engine.masks import Setting
from smd_cli.engine.oneshot import denoise, develop
from smd_cli.engine.stage import Stage, set_stage
from smd_cli.engine.stream import Cue, Done, Pace, StreamSampler
from smd_cli.media.paint import paint_scene
from smd_cli.models.backbone import Backbone
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve

STD = 4.0
"""Blur of the masks, px: half a latent, as wide against flatland's 256 px as the paper's 8 px against 512."""

STEPS = 5
"""How many of five steps are bootstrapped where a row is not about that. The steps that follow the published
two are too noisy for a model of 32x32 latents to see small regions by; the rows that bootstrap fewer say what
each of them is worth."""


@dataclass(frozen=True)
class Variant:
    """A way of painting.

    Attributes:
        key: what files call it.
        name: what tables call it.
        settings: keys of the scene, by path, and their values.
        averages_noise: views are averaged after each has got noise of its own, not before.
        centers: bootstrapped regions are painted in the middle of their tiles.
        frames: the picture is the last of so many frames of a stream; 0: of no stream.
    """

    key: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict, hash=False)
    averages_noise: bool = False
    centers: bool = True
    frames: int = 0

    @property
    def few_step(self) -> bool:
        """Tell whether the weights have to be few-step ones: lcm is what samples where nothing is said."""
        return "sampler.kind" not in self.settings


def _bootstrapped(steps: int, std: float = STD, kind: str = "discrete") -> dict[str, Any]:
    """Bootstrap `steps` steps, all on white: by default a third would stand on the picture itself."""
    return {
        "bootstrap.steps": steps,
        "bootstrap.mix_steps": float(steps),
        "masks.std": std,
        "masks.type": kind,
    }


MULTIDIFFUSION = Variant(
    "multidiffusion",
    "MultiDiffusion, 50 DDIM steps, guidance 3",
    {
        "sampler.kind": "ddim",
        "sampler.steps": 50,
        "sampler.guidance_scale": 3.0,
        "bootstrap.leak_sensitivity": 0.0,
        **_bootstrapped(10, std=0.0),
    },
    centers=False,
)
FULL = Variant("full", "+ quantized masks, std 4 (all)", _bootstrapped(STEPS))
ALONE = Variant("alone", "24 prompts alone, 5 steps")
THROUGH: dict[str, Any] = {"bootstrap.show_through": True, "bootstrap.leak_sensitivity": 0.1}

VARIANTS = (
    MULTIDIFFUSION,
    Variant("lcm", "MultiDiffusion on 5 LCM steps", _bootstrapped(0, std=0.0), averages_noise=True),
    Variant("preaveraging", "+ latent pre-averaging", _bootstrapped(0, std=0.0)),
    Variant("bootstrap", "+ bootstrap, not centred", _bootstrapped(STEPS, std=0.0), centers=False),
    Variant("centering", "+ centering", _bootstrapped(STEPS, std=0.0)),
    FULL,
    Variant("show-through", "all, the background shows through", _bootstrapped(STEPS) | THROUGH),
    Variant("semi-continuous", "all, semi-continuous masks", _bootstrapped(STEPS, kind="semi-continuous")),
    Variant("continuous", "all, continuous masks", _bootstrapped(STEPS, kind="continuous")),
    *(
        Variant(f"bootstrap-{steps}", f"all, bootstrap {steps}", _bootstrapped(steps))
        for steps in range(6)
        if steps != STEPS
    ),
    Variant("stream", "all, as frames of a stream", _bootstrapped(STEPS), frames=3),
)


@dataclass(frozen=True)
class AveragedNoise:
    """The noise that is left when every view gets its own and the views are averaged after that."""

    source: SeededNoise
    regions: Regions

    def __call__(self, purpose: Purpose, step: int, shape: Sequence[int]) -> Tensor:
        """Return the views' mean noise before `step`; other noise as it comes from the source."""
        noise = self.source(purpose, step, shape)
        if purpose != "renoise":
            return noise
        total, weight = noise * 0, noise[:, :1] * 0
        for number, view in enumerate(self.regions.views[step - 1]):
            own = SeededNoise((self.source.seed << 16) + number + 1)(purpose, step, shape)
            share = self.regions.weight(view).cpu()
            view.box.add(total[0], share * view.box.of(own[0]))
            view.box.add(weight[0], share)
        return average(total, weight) + (weight == 0) * noise


def stage_of(variant: Variant, layout: Layout, backbone: Backbone, batch: Batch) -> Stage:
    """Make a layout ready for a model, with the settings of a variant."""
    scene = deepcopy(layout.scene)
    for path, value in variant.settings.items():
        section, key = path.split(".")
        scene.setdefault(section, {})[key] = value
    loaded = load_text(json.dumps(scene), f"scene {layout.seed}")
    plan = resolve(loaded.scene, str(layout.seed), Path())
    painted = paint_scene(plan, loaded.locate)
    with torch.inference_mode():
        return set_stage(plan, Setting(painted.masks, painted.background), backbone, batch=batch)


def uncentered(stage: Stage) -> Stage:
    """Return the stage with every view where its mask is."""
    views = tuple(tuple(replace(view, roll=(0, 0)) for view in step) for step in stage.regions.views)
    return replace(stage, regions=replace(stage.regions, views=views))


def paint_variant(variant: Variant, stage: Stage, seed: int) -> Image.Image:
    """Paint a stage in the way of a variant."""
    if not variant.centers:
        stage = uncentered(stage)
    source = SeededNoise(seed)
    if variant.frames:
        cues = [Cue(frame, stage) for frame in range(variant.frames)]
        done = [each for each in StreamSampler(source, Pace()).frames(cues) if isinstance(each, Done)]
        return [develop(stage, each.latent) for each in done][-1]  # all: a frame's time has its decoding
    noise = AveragedNoise(source, stage.regions) if variant.averages_noise else source
    return develop(stage, denoise(stage, noise, Clock()))
