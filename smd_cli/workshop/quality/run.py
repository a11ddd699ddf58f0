"""Renders the random scenes with every method and scores the pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import smd_cli
from smd_cli.app.models import choose_place
from smd_cli.app.settings import RenderSettings
from smd_cli.bench.speed import machine
from smd_cli.digests import digest_of
from smd_cli.engine.batching import Batch
from smd_cli.engine.prepare import PreparedScene
from smd_cli.models.assets import locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.configs import DEFAULTS
from smd_cli.models.loading import load
from smd_cli.models.spec import ModelSpec
from smd_cli.workshop.judge.crops import draw_picture_crop
from smd_cli.workshop.judge.jury import Jury
from smd_cli.workshop.judge.network import Judge, judge_crops
from smd_cli.workshop.prompts import PROMPTS, scene_of
from smd_cli.workshop.quality.methods import (
    ALONE,
    FULL,
    Variant,
    load_variant,
    paint_variant,
    prepare_variant,
)
from smd_cli.workshop.quality.picture_cache import PictureCost, TimedPicture, cached_picture
from smd_cli.workshop.quality.random_scenes import RandomScene, draw_scene
from smd_cli.workshop.quality.report import QualityRow
from smd_cli.workshop.quality.score import (
    SceneScore,
    frechet,
    intervals,
    is_right,
    paired_differences,
    preference,
    score_scene,
)

FIRST_SEED = 60_000
REFERENCE_SEED, REFERENCES = 95_000_000, 1000
SINGLE_SEEDS = 20

PACKAGE = Path(smd_cli.__file__).parent
PAINTING = ("core", "engine", "models", "scene", "media", "workshop/quality/methods.py")
"""The program's sources that determine a picture of the benchmark: a change there invalidates cached ones."""


@dataclass(frozen=True)
class Benchmark:
    """How to measure.

    Attributes:
        spec: the model.
        device: where it runs.
        dtype: what it computes in.
        scenes: how many random scenes each variant renders.
        batch: views that the model evaluates at once.
        pictures: the folder that caches pictures; None: no cache.
        on_picture: called after every picture.
        offline: no network access at all.
    """

    spec: ModelSpec
    device: torch.device
    dtype: torch.dtype
    scenes: int
    batch: Batch = "auto"
    pictures: Path | None = None
    on_picture: Callable[[], None] = lambda: None
    offline: bool = False

    @classmethod
    def of(cls, model: str, settings: RenderSettings, scenes: int, pictures: Path | None) -> Benchmark:
        """Make a benchmark as the settings say. Raises DeviceError: the device or dtype is not there."""
        device, dtype = choose_place(settings)
        spec, offline = ModelSpec(model), settings.offline
        return cls(spec, device, dtype, scenes, settings.batch, pictures, offline=offline)


def picture_count(scenes: int, variants: int, *, singles: bool) -> int:
    """Return how many pictures a run renders or reads from its cache."""
    return scenes * variants + singles * SINGLE_SEEDS * len(PROMPTS)


def measure_quality(bench: Benchmark, jury: Jury, variants: Sequence[Variant]) -> list[QualityRow]:
    """Render and score every scene with every variant, `FULL` among them; rows keep the variants' order.

    Raises:
        AssetError: the model is missing, or the LoRA that turns it into a few-step model.
    """
    scenes = [draw_scene(FIRST_SEED + i) for i in range(bench.scenes)]
    drawings = [draw_picture_crop(REFERENCE_SEED + i).image for i in range(REFERENCES)]
    reference = judge_crops(jury.judge, drawings).features
    results = {
        variant: _measure(bench, jury, variant, scenes, _model(bench, few_step=variant.few_step))
        for variant in variants
    }
    full = results[FULL].scores
    return [_row(variant, result, full, reference) for variant, result in results.items()]


@dataclass(frozen=True)
class _VariantResult:
    """A variant's score and cost for each scene, in the scenes' order."""

    scores: list[SceneScore]
    costs: list[PictureCost]


@dataclass(frozen=True)
class _Model:
    """Loaded weights, and the conditions that they, the program and the machine set for every picture.

    `advice` is the digest of what the model recommends, a condition of the rows that follow it.
    """

    backbone: Backbone
    conditions: dict[str, Any]
    advice: str


def check_models(bench: Benchmark, variants: Sequence[Variant], *, singles: bool) -> None:
    """Locate every file that the run will read, before any weight is read.

    Raises AssetError: as `locate`, or what the model recommends is no good.
    """
    for few_step in {variant.few_step for variant in variants} | ({True} if singles else set()):
        locate(bench.spec, few_step=few_step, offline=bench.offline)
    for variant in variants:
        if variant.advised:
            load_variant(variant, draw_scene(FIRST_SEED), bench.spec.base)


@lru_cache(maxsize=2)  # variants share weights
def _model(bench: Benchmark, *, few_step: bool) -> _Model:
    """Load the model, with or without the LoRA that turns it into a few-step model."""
    assets = locate(bench.spec, few_step=few_step, offline=bench.offline)
    conditions = {
        "program": digest_of(file for part in PAINTING for file in _files(PACKAGE / part, "*.py")),
        "weights": assets.sha256,
        "configs": digest_of(_files(assets.configs, "*.json")),
        "machine": machine(bench.device, bench.dtype),
    }
    advice = digest_of(_files(assets.configs, DEFAULTS))
    return _Model(load(assets, bench.device, bench.dtype), conditions, advice)


def _files(path: Path, pattern: str) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob(pattern))


def _measure(
    bench: Benchmark, jury: Jury, variant: Variant, scenes: Sequence[RandomScene], model: _Model
) -> _VariantResult:
    result = _VariantResult([], [])
    for scene in scenes:
        picture = _picture(bench, variant, scene, model, f"{scene.seed}.png")
        result.costs.append(picture.cost)
        result.scores.append(score_scene(jury, scene, picture.image, picture.cost.seams))
    return result


def measure_singles(bench: Benchmark, judge: Judge) -> dict[str, float]:
    """Render each of the 24 prompts alone from `SINGLE_SEEDS` seeds; return the share of right pictures."""
    model = _model(bench, few_step=True)
    shares = {}
    for number, (prompt, wanted) in enumerate(PROMPTS.items()):
        scenes = [RandomScene(seed, scene_of(prompt), "", ()) for seed in range(SINGLE_SEEDS)]
        pictures = [
            _picture(bench, ALONE, scene, model, f"{number:02}-{scene.seed:02}.png").image for scene in scenes
        ]
        answers = judge_crops(judge, pictures).answers
        shares[prompt] = sum(is_right(found, wanted) for found in answers) / SINGLE_SEEDS
    return shares


def _picture(
    bench: Benchmark, variant: Variant, scene: RandomScene, model: _Model, name: str
) -> TimedPicture:
    """Render a scene, or read its picture from the cache, where it is stored as `name`."""
    paint = partial(_paint, variant, scene, model.backbone, bench.batch)
    if bench.pictures is None:
        picture = paint()
    else:
        conditions = {**model.conditions, "variant": asdict(variant), "scene": scene.document}
        conditions |= {"seed": scene.seed, "advice": model.advice if variant.advised else None}
        picture = cached_picture(bench.pictures / variant.key / name, conditions, paint)
    bench.on_picture()
    return picture


def _paint(variant: Variant, scene: RandomScene, backbone: Backbone, batch: Batch) -> TimedPicture:
    """Render a scene and time it; the time of a stream is that of one frame."""
    stage = prepare_variant(variant, scene, backbone, batch)
    began = time.perf_counter()
    image = paint_variant(variant, stage, scene.seed)
    seconds = (time.perf_counter() - began) / max(variant.frames, 1)
    return TimedPicture(image, PictureCost(seconds, stage.work.model_evaluations, _seams(stage)))


def _seams(stage: PreparedScene) -> tuple[int, ...]:
    """Return the columns, px, inside the canvas at which a tile begins or ends."""
    downscale, width = stage.backbone.facts.downscale, stage.shape[-1]
    edges = {edge for box in stage.regions.tiling.boxes for edge in (box.left, box.right)}
    return tuple(sorted(edge * downscale for edge in edges if 0 < edge < width))


def _row(
    variant: Variant, result: _VariantResult, full: Sequence[SceneScore], reference: np.ndarray
) -> QualityRow:
    features = np.concatenate([score.features for score in result.scores])
    return QualityRow(
        name=variant.name,
        figures=intervals(result.scores),
        against_full=paired_differences(result.scores, full),
        preferred=preference(result.scores, full),
        frechet=frechet(features, reference),
        evaluations=float(np.mean([cost.evaluations for cost in result.costs])),
        seconds=float(np.median([cost.seconds for cost in result.costs])),
    )
