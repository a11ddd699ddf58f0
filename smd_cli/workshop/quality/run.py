"""Paints the random scenes in every way, judges them, and says what each way is worth."""

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
from smd_cli.bench.speed import machine
from smd_cli.engine.batching import Batch
from smd_cli.engine.stage import Stage
from smd_cli.models.assets import ModelSpec, digest_of, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load
from smd_cli.workshop.judge.crops import draw_view
from smd_cli.workshop.judge.network import Judge, judge_crops
from smd_cli.workshop.prompts import PROMPTS, scene_of
from smd_cli.workshop.quality.methods import ALONE, FULL, Variant, paint_variant, stage_of
from smd_cli.workshop.quality.picture_cache import Painted, Took, keeping
from smd_cli.workshop.quality.random_scenes import Layout, draw_layout
from smd_cli.workshop.quality.report import QualityRow
from smd_cli.workshop.quality.score import SceneScore, effects, frechet, intervals, is_right, score_scene

FIRST_SEED = 60_000
REFERENCE_SEED, REFERENCES = 95_000_000, 1000
SINGLE_SEEDS = 20

PACKAGE = Path(smd_cli.__file__).parent
PAINTING = ("core", "engine", "models", "scene", "media", "workshop/quality/methods.py")
"""What of this program a picture of the benchmark follows from."""


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
    found = {
        variant: _measure(bench, judge, variant, layouts, _model(bench, few_step=variant.few_step))
        for variant in variants
    }
    full = found[FULL].scores
    return [_row(variant, measured, full, reference) for variant, measured in found.items()]


@dataclass(frozen=True)
class _Measured:
    """A variant's scores, and what each of its pictures took."""

    scores: list[SceneScore]
    took: list[Took]


@dataclass(frozen=True)
class _Model:
    """Loaded weights, and all that pictures made with them follow from but the scene."""

    backbone: Backbone
    conditions: dict[str, Any]


def check_models(bench: Bench, variants: Sequence[Variant], *, singles: bool) -> None:
    """Find all files that the measuring will read, before any weight is. Raises AssetError: as `locate`."""
    for few_step in {variant.few_step for variant in variants} | ({True} if singles else set()):
        locate(bench.spec, few_step=few_step)


@lru_cache(maxsize=2)  # rows share weights
def _model(bench: Bench, *, few_step: bool) -> _Model:
    """Load the model, with the LoRA that makes it a few-step one or without."""
    assets = locate(bench.spec, few_step=few_step)
    conditions = {
        "program": digest_of(file for part in PAINTING for file in _files(PACKAGE / part, "*.py")),
        "weights": assets.sha256,
        "configs": digest_of(_files(assets.configs, "*.json")),
        "machine": machine(bench.device, bench.dtype),
    }
    return _Model(load(assets, bench.device, bench.dtype), conditions)


def _files(path: Path, pattern: str) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob(pattern))


def _measure(
    bench: Bench, judge: Judge, variant: Variant, layouts: Sequence[Layout], model: _Model
) -> _Measured:
    measured = _Measured([], [])
    for layout in layouts:
        painted = _painted(bench, variant, layout, model, f"{layout.seed}.png")
        measured.took.append(painted.took)
        measured.scores.append(score_scene(judge, layout, painted.image, painted.took.seams))
    return measured


def measure_singles(bench: Bench, judge: Judge) -> dict[str, float]:
    """Paint each of the 24 prompts alone, from `SINGLE_SEEDS` seeds; return the share of right pictures."""
    model = _model(bench, few_step=True)
    shares = {}
    for number, (prompt, wanted) in enumerate(PROMPTS.items()):
        scene = scene_of(prompt)
        pictures = [
            _painted(bench, ALONE, Layout(seed, scene, "", ()), model, f"{number:02}-{seed:02}.png").image
            for seed in range(SINGLE_SEEDS)
        ]
        answers = judge_crops(judge, pictures).answers
        shares[prompt] = sum(is_right(found, wanted) for found in answers) / SINGLE_SEEDS
    return shares


def _painted(bench: Bench, variant: Variant, layout: Layout, model: _Model, name: str) -> Painted:
    """Paint a layout, or read the picture of this name where the benchmark keeps it."""
    paint_it = partial(_paint, variant, layout, model.backbone, bench.batch)
    if bench.pictures is None:
        painted = paint_it()
    else:
        conditions = {**model.conditions, "variant": asdict(variant), "scene": layout.scene}
        conditions["seed"] = layout.seed
        painted = keeping(bench.pictures / variant.key / name, conditions, paint_it)
    bench.tell()
    return painted


def _paint(variant: Variant, layout: Layout, backbone: Backbone, batch: Batch) -> Painted:
    """Paint a layout; of a stream, the time is a frame's."""
    stage = stage_of(variant, layout, backbone, batch)
    began = time.perf_counter()
    image = paint_variant(variant, stage, layout.seed)
    seconds = (time.perf_counter() - began) / max(variant.frames, 1)
    return Painted(image, Took(seconds, stage.work.model_evaluations, _seams(stage)))


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
