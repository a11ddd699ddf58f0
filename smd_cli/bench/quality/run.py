"""Paints the random scenes in every way, judges them, and says what each way is worth."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smd_cli import __version__
from smd_cli.bench.quality.kept import Painted, Took, keeping
from smd_cli.bench.quality.layouts import Layout, draw_layout
from smd_cli.bench.quality.methods import FULL, Variant, paint_variant
from smd_cli.bench.quality.report import QualityRow
from smd_cli.bench.quality.score import SceneScore, effects, frechet, intervals, is_right, score_scene
from smd_cli.engine.batching import Batch
from smd_cli.engine.masks import Setting
from smd_cli.engine.stage import Stage, set_stage
from smd_cli.flatland.judge.crops import draw_view
from smd_cli.flatland.judge.network import Judge, judge_crops
from smd_cli.flatland.prompts import PROMPTS
from smd_cli.flatland.sheet import picture
from smd_cli.media.paint import paint
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve

FIRST_SEED = 60_000
REFERENCE_SEED, REFERENCES = 95_000_000, 1000
SINGLE_SEEDS = 20


@dataclass(frozen=True)
class Bench:
    """How to measure: on what, how many scenes, and where pictures are kept (None: nowhere)."""

    spec: ModelSpec
    device: torch.device
    dtype: torch.dtype
    scenes: int
    batch: Batch = "auto"
    pictures: Path | None = None
    tell: Callable[[], None] = lambda: None


def paintings(scenes: int, variants: int, *, singles: bool) -> int:
    """Return how many pictures are painted."""
    return scenes * variants + singles * SINGLE_SEEDS * len(PROMPTS)


def measure_quality(bench: Bench, judge: Judge, variants: Sequence[Variant]) -> list[QualityRow]:
    """Paint and judge every scene in every variant, `FULL` among them; rows are in the variants' order.

    Raises:
        AssetError: the model, or the LoRA that makes it a few-step one, is not to be had.
    """
    layouts = [draw_layout(FIRST_SEED + i) for i in range(bench.scenes)]
    reference = judge_crops(judge, [draw_view(REFERENCE_SEED + i).image for i in range(REFERENCES)]).features
    model_of = cache(partial(_model, bench))  # rows share weights
    found = {
        variant: _measure(bench, judge, variant, layouts, model_of(variant.few_step)) for variant in variants
    }
    full = found[FULL].scores
    return [_row(variant, measured, full, reference) for variant, measured in found.items()]


@dataclass(frozen=True)
class _Measured:
    """A variant's scores, and what each of its pictures took."""

    scores: list[SceneScore]
    took: list[Took]


def _model(bench: Bench, few_step: bool) -> tuple[str, Backbone]:
    """Load the model, with the LoRA that makes it a few-step one or without; return its digest beside it."""
    assets = locate(bench.spec, few_step=few_step)
    return assets.sha256, load(assets, bench.device, bench.dtype)


def _measure(
    bench: Bench, judge: Judge, variant: Variant, layouts: Sequence[Layout], model: tuple[str, Backbone]
) -> _Measured:
    measured = _Measured([], [])
    digest, backbone = model
    for layout in layouts:
        paint_it = partial(_paint, variant, layout, backbone, bench.batch)
        if bench.pictures is None:
            painted = paint_it()
        else:
            kept_at = bench.pictures / variant.key / f"{layout.seed}.png"
            painted = keeping(kept_at, _conditions(bench, variant, layout, digest), paint_it)
        bench.tell()
        measured.took.append(painted.took)
        measured.scores.append(score_scene(judge, layout, painted.image, painted.took.seams))
    return measured


def _conditions(bench: Bench, variant: Variant, layout: Layout, digest: str) -> dict[str, Any]:
    """All that a picture of the benchmark follows from."""
    return {
        "program": __version__,
        "weights": digest,
        "device": str(bench.device),
        "dtype": str(bench.dtype),
        "variant": asdict(variant),
        "scene": layout.scene,
    }


def measure_singles(bench: Bench, judge: Judge) -> dict[str, float]:
    """Paint each of the 24 prompts alone, from `SINGLE_SEEDS` seeds; return the share of right pictures."""
    _, backbone = _model(bench, True)
    shares = {}
    for prompt, wanted in PROMPTS.items():
        pictures = []
        for seed in range(SINGLE_SEEDS):
            pictures.append(picture(prompt, seed, backbone))
            bench.tell()
        answers = judge_crops(judge, pictures).answers
        shares[prompt] = sum(is_right(found, wanted) for found in answers) / SINGLE_SEEDS
    return shares


def _paint(variant: Variant, layout: Layout, backbone: Backbone, batch: Batch) -> Painted:
    stage = stage_of(variant, layout, backbone, batch)
    began = time.perf_counter()
    image = paint_variant(variant, stage, layout.seed)
    seconds = time.perf_counter() - began
    return Painted(image, Took(seconds, stage.work.model_evaluations, _seams(stage)))


def stage_of(variant: Variant, layout: Layout, backbone: Backbone, batch: Batch) -> Stage:
    """Make a layout ready for a model, with the settings of a variant."""
    scene = deepcopy(layout.scene)
    for path, value in variant.settings.items():
        section, key = path.split(".")
        scene.setdefault(section, {})[key] = value
    loaded = load_text(json.dumps(scene), f"scene {layout.seed}")
    plan = resolve(loaded.scene, str(layout.seed), Path())
    painted = paint(plan, loaded.locate)
    with torch.inference_mode():
        return set_stage(plan, Setting(painted.masks, painted.background), backbone, batch=batch)


def _seams(stage: Stage) -> tuple[int, ...]:
    """Columns, px, at which a tile begins or ends inside the canvas."""
    downscale, width = stage.backbone.facts.downscale, stage.shape[-1]
    edges = {edge for box in stage.regions.tiling.boxes for edge in (box.left, box.right)}
    return tuple(sorted(edge * downscale for edge in edges if 0 < edge < width))


def _row(
    variant: Variant, measured: _Measured, full: Sequence[SceneScore], reference: np.ndarray
) -> QualityRow:
    features = np.concatenate([score.features for score in measured.scores])
    return QualityRow(
        name=variant.name,
        figures=intervals(measured.scores),
        against_full=effects(measured.scores, full),
        frechet=frechet(features, reference),
        evaluations=float(np.mean([each.evaluations for each in measured.took])),
        seconds=float(np.median([each.seconds for each in measured.took])),
    )
