"""The methods that the benchmark compares: scene settings, and switches that the scene language lacks.

The first are the rows of the ablation of Lee et al. (arXiv 2403.09055, section 4): MultiDiffusion with many
steps, the same with a few-step sampler, then the three techniques of StreamMultiDiffusion, one at a time.
Then come ways to let things stand on their ground: fewer bootstrapped steps, and other steps after them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from smd_cli.app.model_advice import ModelAdviser
from smd_cli.core.aggregate import average
from smd_cli.core.noise import Purpose, SeededNoise
from smd_cli.core.regions import Regions
from smd_cli.engine.batching import Batch
from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.engine.render import decode_image, denoise
from smd_cli.engine.stream_batch import FrameJob, RenderedFrame, StreamOptions, StreamSampler
from smd_cli.media.paint import paint_scene
from smd_cli.models.backbone import Backbone
from smd_cli.scene.loader import Asked, LoadedScene, load_text
from smd_cli.scene.recommended import no_advice
from smd_cli.scene.resolve import resolve
from smd_cli.workshop.quality.random_scenes import RandomScene

STD = 4.0
"""Standard deviation of the mask blur, px: the paper's 8 px at 512 px, scaled to flatland's 256 px."""

STEPS = 5
"""Bootstrapped steps, of five, in every row that does not vary their number.

The paper bootstraps two or three. At the noise levels of the steps after those, a model with 32x32 latents
cannot make out small regions; the rows with fewer bootstrapped steps measure what each step contributes.
"""


@dataclass(frozen=True)
class Variant:
    """One method of the comparison.

    Attributes:
        key: its name in files and options.
        name: its name in tables.
        settings: scene keys, as dotted paths, with their values.
        averages_noise: add noise to each view before the views are averaged, as MultiDiffusion does, instead
            of after (latent pre-averaging).
        centers: roll bootstrapped regions to the centre of their tiles.
        frames: render a stream of this many frames and take the last one; 0 renders a single picture.
        advised: take what the settings leave out from what the model recommends, as every scene does that the
            program opens; else it is the published default.
    """

    key: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict, hash=False)
    averages_noise: bool = False
    centers: bool = True
    frames: int = 0
    advised: bool = False

    @property
    def few_step(self) -> bool:
        """Tell whether few-step weights are needed: the default sampler, `lcm`, needs them."""
        return "sampler.kind" not in self.settings


def _bootstrapped(steps: int, std: float = STD, kind: str = "discrete") -> dict[str, Any]:
    """Return the settings that bootstrap `steps` steps, all on white.

    The default `mix_steps` of 1.5 would place a third bootstrapped step on the current picture instead.
    """
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
DEFAULTS = Variant("defaults", "the defaults", advised=True)
ALONE = Variant("alone", "24 prompts alone, 5 steps")
SHOW_THROUGH: dict[str, Any] = {"bootstrap.show_through": True, "bootstrap.leak_sensitivity": 0.1}
COUPLED: dict[str, Any] = {"sampler.late": "coupled"}
LATE_3: dict[str, Any] = {"sampler.indices": [0, 8, 18, 28, 38]}
LATE_4: dict[str, Any] = {"sampler.indices": [0, 4, 12, 20, 35]}
"""Steps of which the bootstrapped ones, three or four, stand near the beginning and the next ones late."""

VARIANTS = (
    MULTIDIFFUSION,
    Variant("lcm", "MultiDiffusion on 5 LCM steps", _bootstrapped(0, std=0.0), averages_noise=True),
    Variant("preaveraging", "+ latent pre-averaging", _bootstrapped(0, std=0.0)),
    Variant("bootstrap", "+ bootstrap, not centred", _bootstrapped(STEPS, std=0.0), centers=False),
    Variant("centering", "+ centering", _bootstrapped(STEPS, std=0.0)),
    FULL,
    Variant("show-through", "all, the background shows through", _bootstrapped(STEPS) | SHOW_THROUGH),
    Variant("semi-continuous", "all, semi-continuous masks", _bootstrapped(STEPS, kind="semi-continuous")),
    Variant("continuous", "all, continuous masks", _bootstrapped(STEPS, kind="continuous")),
    *(
        Variant(f"bootstrap-{steps}", f"all, bootstrap {steps}", _bootstrapped(steps))
        for steps in range(6)
        if steps != STEPS
    ),
    Variant("stream", "all, as frames of a stream", _bootstrapped(STEPS), frames=3),
    *(
        Variant(f"coupled-{steps}", f"bootstrap {steps}, then coupled", _bootstrapped(steps) | COUPLED)
        for steps in (2, 3)
    ),
    Variant("coupled-3-late", "bootstrap 3, then coupled, late", _bootstrapped(3) | COUPLED | LATE_3),
    Variant("coupled-4-late", "bootstrap 4, then coupled, late", _bootstrapped(4) | COUPLED | LATE_4),
    Variant("through-3", "bootstrap 3, shows through", _bootstrapped(3) | SHOW_THROUGH),
    Variant(
        "through-coupled-3",
        "bootstrap 3, shows through, then coupled",
        _bootstrapped(3) | SHOW_THROUGH | COUPLED,
    ),
    Variant(
        "through-coupled-3-late",
        "bootstrap 3, shows through, then coupled, late",
        _bootstrapped(3) | SHOW_THROUGH | COUPLED | LATE_3,
    ),
    DEFAULTS,
)


@dataclass(frozen=True)
class AveragedNoise:
    """The noise that is left on the canvas where each view gets its own noise before views are averaged."""

    source: SeededNoise
    regions: Regions

    def __call__(self, purpose: Purpose, step: int, shape: Sequence[int]) -> Tensor:
        """Return the weighted mean of the views' noise for `step`; for other purposes the source's noise."""
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


def load_variant(variant: Variant, scene: RandomScene, model: str) -> LoadedScene:
    """Load a scene of a model with the settings of a variant."""
    document = {"model": model, **deepcopy(scene.document)}
    for path, value in variant.settings.items():
        section, key = path.split(".")
        document.setdefault(section, {})[key] = value
    adviser = ModelAdviser(offline=True) if variant.advised else no_advice
    asked = Asked(adviser=adviser)
    return load_text(json.dumps(document), f"scene {scene.seed}", str(scene.seed), asked=asked)


def prepare_variant(variant: Variant, scene: RandomScene, backbone: Backbone, batch: Batch) -> PreparedScene:
    """Prepare a scene for a model, with the settings of a variant."""
    loaded = load_variant(variant, scene, backbone.assets.spec.base)
    plan = resolve(loaded.scene, loaded.name, loaded.base_dir)
    painted = paint_scene(plan, loaded.locate)
    with torch.inference_mode():
        return prepare(plan, CanvasImages(painted.masks, painted.background), backbone, batch=batch)


def uncentered(stage: PreparedScene) -> PreparedScene:
    """Return the stage without centering: each view stays where its mask is."""
    views = tuple(tuple(replace(view, roll=(0, 0)) for view in step) for step in stage.regions.views)
    return replace(stage, regions=replace(stage.regions, views=views))


def paint_variant(variant: Variant, stage: PreparedScene, seed: int) -> Image.Image:
    """Render a stage with the method of a variant."""
    if not variant.centers:
        stage = uncentered(stage)
    source = SeededNoise(seed)
    if variant.frames:
        jobs = [FrameJob(frame, stage) for frame in range(variant.frames)]
        frames = StreamSampler(source, StreamOptions()).batched(jobs)
        done = [each for each in frames if isinstance(each, RenderedFrame)]
        # decode all: the time per frame includes it
        return [decode_image(stage, each.latent) for each in done][-1]
    noise = AveragedNoise(source, stage.regions) if variant.averages_noise else source
    return decode_image(stage, denoise(stage, noise, Clock()))
