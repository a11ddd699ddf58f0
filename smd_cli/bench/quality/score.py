"""Scores of painted scenes: what the judge names in each region, and figures with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from smd_cli.bench.quality.layouts import Box, Expected, Layout
from smd_cli.flatland.judge.labels import Answers
from smd_cli.flatland.judge.network import Judge, judge_crops

ATTRIBUTES = ("color", "hair")
RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with the bounds between which it lies at 95 % when scenes are drawn anew."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SceneScore:
    """What the judge found in one picture: counts over its regions, and features of its squares."""

    regions: int
    right: int
    leaked: int
    whole: int
    nameable: int
    backgrounds: float
    seam: float | None
    features: np.ndarray


def score_scene(judge: Judge, layout: Layout, image: Image.Image, seams: Sequence[int]) -> SceneScore:
    """Judge a picture of a layout; `seams` are the columns, px, at which tiles begin or end."""
    squares = _squares(image.size)
    crops = [image.crop(_around(region.box, image.size)) for region in layout.regions]
    verdict = judge_crops(judge, [*crops, *(image.crop(square) for square in squares)])
    named, of_squares = verdict.answers[: len(crops)], verdict.answers[len(crops) :]
    right = [is_right(found, region.answers) for found, region in zip(named, layout.regions, strict=True)]
    nameable = [found["kind"] == r.answers["kind"] for found, r in zip(named, layout.regions, strict=True)]
    return SceneScore(
        regions=len(crops),
        right=sum(right),
        leaked=sum(
            leaks(found, region, layout.regions)
            for found, region in zip(named, layout.regions, strict=True)
        ),
        whole=sum(
            found["whole"] == "whole" for found, known in zip(named, nameable, strict=True) if known
        ),
        nameable=sum(nameable),
        backgrounds=float(np.mean([found["background"] == layout.background for found in of_squares])),
        seam=seam_score(image, seams),
        features=verdict.features[len(crops) :],
    )


def is_right(found: Answers, wanted: Answers) -> bool:
    """Tell whether the judge names the prompted thing: its kind, and its colour or hair where it has one."""
    return all(found[q] == wanted[q] for q in ("kind", *ATTRIBUTES) if q in wanted)


def leaks(found: Answers, region: Expected, regions: Sequence[Expected]) -> bool:
    """Tell whether the judge names what a neighbour should show, its kind, its colour or its hair."""
    wanted = region.answers
    others = [other.answers for other in regions if other is not region]
    return any(
        found[question] != wanted[question] and found[question] == other.get(question)
        for question in ("kind", *ATTRIBUTES)
        if question in wanted
        for other in others
    )


def seam_score(image: Image.Image, seams: Sequence[int]) -> float | None:
    """Return the mean step of grey levels across tiles' edges, over the median of all columns; None: no tiles.

    At 1 a seam is as smooth as any other column.
    """
    if not seams:
        return None
    pixels = np.asarray(image.convert("RGB")).astype(np.float64)
    steps = np.abs(np.diff(pixels, axis=1)).mean(axis=(0, 2))
    return float(steps[[column - 1 for column in seams]].mean() / max(np.median(steps), 1e-6))


def frechet(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Fréchet distance of two sets of features (N, F), taken as normal (Heusel et al., 1706.08500)."""
    means = [features.mean(axis=0) for features in (one, other)]
    spreads = [np.cov(features, rowvar=False) for features in (one, other)]
    # the trace of √(A B) is the sum of the roots of its eigenvalues, which are real and not negative
    roots = np.sqrt(np.linalg.eigvals(spreads[0] @ spreads[1]).real.clip(min=0)).sum()
    apart = float(((means[0] - means[1]) ** 2).sum())
    return apart + float(np.trace(spreads[0]) + np.trace(spreads[1]) - 2 * roots)


def interval(
    scores: Sequence[SceneScore], figure: Callable[[Sequence[SceneScore]], float], seed: int = 0
) -> Interval:
    """Return a figure of scenes with its bootstrapped interval: the scenes are drawn again and again."""
    rng = np.random.default_rng(seed)
    drawn = [figure([scores[i] for i in rng.integers(0, len(scores), len(scores))]) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Interval(figure(scores), float(low), float(high))


def _around(box: Box, size: tuple[int, int]) -> Box:
    """Return the smallest square around a box, moved into the picture."""
    left, top, right, bottom = box
    side = min(max(right - left, bottom - top), *size)
    x = min(max((left + right - side) // 2, 0), size[0] - side)
    y = min(max((top + bottom - side) // 2, 0), size[1] - side)
    return x, y, x + side, y + side


def _squares(size: tuple[int, int]) -> list[Box]:
    """Return the leftmost and the rightmost square of a picture that is at least as wide as high."""
    width, height = size
    return [(x, 0, x + height, height) for x in sorted({0, width - height})]
