"""Scores of painted scenes: what the judge names in each region, and figures with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from smd_cli.workshop.judge.labels import NOTHING, Answers
from smd_cli.workshop.judge.network import Judge, judge_crops
from smd_cli.workshop.quality.random_scenes import Box, Expected, Layout
from smd_cli.workshop.quality.report import Interval
from smd_cli.workshop.world.picture import COLORED, PEOPLE

ATTRIBUTES = {"color": COLORED, "hair": PEOPLE}
"""What is asked about things beside their kind, and the kinds that have it: of others no answer counts."""

RESAMPLES = 2000
CONFIDENCE = 0.95

FLAT = 0.25
"""Mean step, grey levels, below which a picture is as good as flat and no seam is worth a figure."""

FIGURES = ("regions", "leaked", "whole", "background", "seam")
"""Shares of regions that show what was asked for, that show a neighbour's thing or colour, of named things
that are whole; of squares with the right background; and the step at tiles' edges against other columns."""


@dataclass(frozen=True)
class SceneScore:
    """What the judge found in one picture.

    Attributes:
        counts: a row (found, of how many) for each of `FIGURES`; over scenes, both are summed.
        features: of the picture's squares, (squares, F).
    """

    counts: np.ndarray
    features: np.ndarray


def score_scene(judge: Judge, layout: Layout, image: Image.Image, seams: Sequence[int]) -> SceneScore:
    """Judge a picture of a layout; `seams` are the columns, px, at which tiles begin or end."""
    squares = _squares(image.size)
    crops = [image.crop(around(region.box, image.size)) for region in layout.regions]
    verdict = judge_crops(judge, [*crops, *(image.crop(square) for square in squares)])
    found, of_squares = verdict.answers[: len(crops)], verdict.answers[len(crops) :]
    pairs = list(zip(found, layout.regions, strict=True))
    named = [answers for answers, region in pairs if answers["kind"] == region.answers["kind"]]
    seam = seam_score(image, seams)
    counts = (
        (sum(is_right(answers, region.answers) for answers, region in pairs), len(crops)),
        (sum(leaks(answers, region, layout.regions) for answers, region in pairs), len(crops)),
        (sum(answers["whole"] == "whole" for answers in named), len(named)),
        (sum(answers["background"] == layout.background for answers in of_squares), len(squares)),
        (seam or 0.0, seam is not None),
    )
    return SceneScore(np.array(counts, dtype=np.float64), verdict.features[len(crops) :])


def is_right(found: Answers, wanted: Answers) -> bool:
    """Tell whether the judge names the prompted thing: its kind, and its colour or hair where it has one.

    Of a background alone, it has to name the background.
    """
    if wanted["kind"] == NOTHING:
        return found["background"] == wanted["background"]
    return all(found[q] == wanted[q] for q in ("kind", *ATTRIBUTES) if q in wanted)


def leaks(found: Answers, region: Expected, regions: Sequence[Expected]) -> bool:
    """Tell whether the judge names what a neighbour should show, its kind, its colour or its hair."""
    wanted = region.answers
    has = ["kind", *(question for question, kinds in ATTRIBUTES.items() if found["kind"] in kinds)]
    others = [other.answers for other in regions if other is not region]
    return any(
        found[question] != wanted[question] and found[question] == other.get(question)
        for question in has
        if question in wanted
        for other in others
    )


def seam_score(image: Image.Image, seams: Sequence[int]) -> float | None:
    """Return the mean step of grey levels across tiles' edges over that of all columns; None: no tiles.

    At 1 a seam is as smooth as any other column.
    """
    if not seams:
        return None
    pixels = np.asarray(image.convert("RGB")).astype(np.float64)
    steps = np.abs(np.diff(pixels, axis=1)).mean(axis=(0, 2))
    return float(steps[[column - 1 for column in seams]].mean() / max(steps.mean(), FLAT))


def frechet(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Fréchet distance of two sets of features (N, F) (Heusel et al., arXiv 1706.08500)."""
    means = [features.mean(axis=0) for features in (one, other)]
    spreads = [np.cov(features, rowvar=False) for features in (one, other)]
    # the trace of √(A B) is the sum of the roots of its eigenvalues, which are real and not negative
    roots = np.sqrt(np.linalg.eigvals(spreads[0] @ spreads[1]).real.clip(min=0)).sum()
    apart = float(((means[0] - means[1]) ** 2).sum())
    return apart + float(np.trace(spreads[0]) + np.trace(spreads[1]) - 2 * roots)


def intervals(scores: Sequence[SceneScore]) -> dict[str, Interval]:
    """Return every figure of scenes with the interval in which it lies when scenes are drawn anew."""
    counts = np.stack([score.counts for score in scores])
    return _named(_shares(counts.sum(axis=0)), _shares(_redrawn(counts)))


def effects(scores: Sequence[SceneScore], before: Sequence[SceneScore]) -> dict[str, Interval]:
    """Return how much higher each figure is than on the same scenes painted in another way."""
    pairs = np.stack([[score.counts for score in each] for each in (scores, before)], axis=1)
    whole, redrawn = _shares(pairs.sum(axis=0)), _shares(_redrawn(pairs))
    return _named(whole[0] - whole[1], redrawn[:, 0] - redrawn[:, 1])


def _redrawn(counts: np.ndarray) -> np.ndarray:
    """Sum counts (N, ..., 2) over N scenes drawn with replacement, again and again: (RESAMPLES, ..., 2)."""
    rng = np.random.default_rng(0)
    times = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=RESAMPLES)
    sums: np.ndarray = np.tensordot(times, counts, axes=1)
    return sums


def _shares(counts: np.ndarray) -> np.ndarray:
    """Divide found by asked, (..., 2) to (...); nothing asked is nothing found."""
    shares: np.ndarray = counts[..., 0] / np.maximum(counts[..., 1], 1)
    return shares


def _named(values: np.ndarray, redrawn: np.ndarray) -> dict[str, Interval]:
    low, high = np.quantile(redrawn, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2), axis=0)
    return {name: Interval(float(values[i]), float(low[i]), float(high[i])) for i, name in enumerate(FIGURES)}


def around(box: Box, size: tuple[int, int]) -> Box:
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
