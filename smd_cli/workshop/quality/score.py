"""Scores of rendered scenes from what the judge names in each region, with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from smd_cli.workshop.judge.jury import Jury
from smd_cli.workshop.judge.labels import NOTHING, Answers
from smd_cli.workshop.judge.network import judge_crops
from smd_cli.workshop.quality.appeal import appeal_of, preferred
from smd_cli.workshop.quality.drawn import draw_as_asked
from smd_cli.workshop.quality.halos import find_halos
from smd_cli.workshop.quality.random_scenes import (
    ExpectedRegion,
    PixelBox,
    RandomScene,
    square_around,
)
from smd_cli.workshop.quality.report import Interval
from smd_cli.workshop.world.picture import COLORED, PEOPLE

ATTRIBUTES = {"color": COLORED, "hair": PEOPLE}
"""Attributes that are scored besides the kind, each with the kinds of objects that have it."""

RESAMPLES = 2000
BOUNDS = (0.025, 0.975)
"""Quantiles of resampled figures: a 95 % interval."""

FLAT = 0.25
"""Lower bound of the mean step between columns, grey levels: flat pictures get no high seam score."""

FIGURES = ("regions", "leaked", "whole", "background", "seam", "halos", "drawn")
"""The figures of a picture.

- regions: share of regions that show the prompted object.
- leaked: share of regions that show the kind, colour or hair of another region instead.
- whole: share of the objects of the right kind that are not cut off.
- background: share of the picture's squares (see `_squares`) that show the right background.
- seam: step between pixel columns at tile edges, relative to all columns.
- halos: share of what the masks have around things that does not show the background either.
- drawn: share of the pictures that the critic prefers to a drawing of the scene; as good as drawn is 0.5.
"""


@dataclass(frozen=True)
class SceneScore:
    """The score of one picture.

    Attributes:
        counts: (figures, 2): numerator and denominator of each of `FIGURES`; both are summed over scenes.
        features: the judge's features of the picture's squares, (squares, F).
        appeal: what `appeal_of` says of the picture.
    """

    counts: np.ndarray
    features: np.ndarray
    appeal: float


def score_scene(jury: Jury, scene: RandomScene, image: Image.Image, seams: Sequence[int]) -> SceneScore:
    """Score a picture of a scene; `seams` are the columns, px, at which tiles begin or end."""
    squares = _squares(image.size)
    crops = [image.crop(square_around(region.box, image.size)) for region in scene.regions]
    verdict = judge_crops(jury.judge, [*crops, *(image.crop(square) for square in squares)])
    found, of_squares = verdict.answers[: len(crops)], verdict.answers[len(crops) :]
    pairs = list(zip(found, scene.regions, strict=True))
    named = [answers for answers, region in pairs if answers["kind"] == region.answers["kind"]]
    seam = seam_score(image, seams)
    halos = find_halos(jury.segmenter, scene, image)
    appeal, drawn = (appeal_of(jury.critic, scene, each) for each in (image, draw_as_asked(scene)))
    counts = (
        (sum(is_right(answers, region.answers) for answers, region in pairs), len(crops)),
        (sum(leaks(answers, region, scene.regions) for answers, region in pairs), len(crops)),
        (sum(answers["whole"] == "whole" for answers in named), len(named)),
        (sum(answers["background"] == scene.background for answers in of_squares), len(squares)),
        (seam or 0.0, seam is not None),
        (halos.halo.sum(), halos.around.sum()),
        (preferred(appeal, drawn), 1),
    )
    return SceneScore(np.array(counts, dtype=np.float64), verdict.features[len(crops) :], appeal)


def is_right(found: Answers, wanted: Answers) -> bool:
    """Tell whether the judge's answers match the prompt: kind, and colour or hair where the kind has one.

    Where the prompt names a background alone, the background has to match.
    """
    if wanted["kind"] == NOTHING:
        return found["background"] == wanted["background"]
    return all(found[q] == wanted[q] for q in ("kind", *ATTRIBUTES) if q in wanted)


def leaks(found: Answers, region: ExpectedRegion, regions: Sequence[ExpectedRegion]) -> bool:
    """Tell whether a region shows another region's kind, colour or hair instead of its own."""
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
    """Return the mean step in grey levels across tile edges, divided by the mean over all columns.

    1 means that tile edges are as smooth as any other column. Return None where there are no edges.
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
    """Return every figure over the scenes with its 95 % interval, by resampling scenes."""
    counts = np.stack([score.counts for score in scores])
    return _with_intervals(_shares(counts.sum(axis=0)), _shares(_resampled(counts)))


def paired_differences(scores: Sequence[SceneScore], before: Sequence[SceneScore]) -> dict[str, Interval]:
    """Return the difference of each figure to another method's on the same scenes, with its 95 % interval."""
    pairs = np.stack([[score.counts for score in each] for each in (scores, before)], axis=1)
    whole, redrawn = _shares(pairs.sum(axis=0)), _shares(_resampled(pairs))
    return _with_intervals(whole[0] - whole[1], redrawn[:, 0] - redrawn[:, 1])


def preference(scores: Sequence[SceneScore], others: Sequence[SceneScore]) -> Interval:
    """Return the share of scenes whose picture is preferred to another method's, with its 95 % interval."""
    shares = np.array([preferred(a.appeal, b.appeal) for a, b in zip(scores, others, strict=True)])
    counts = np.stack([shares, np.ones_like(shares)], axis=1)
    low, high = np.quantile(_shares(_resampled(counts)), BOUNDS)
    return Interval(float(shares.mean()), float(low), float(high))


def _resampled(counts: np.ndarray) -> np.ndarray:
    """Return counts (N, ..., 2) summed over N scenes drawn with replacement, (RESAMPLES, ..., 2)."""
    rng = np.random.default_rng(0)
    times = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=RESAMPLES)
    sums: np.ndarray = np.tensordot(times, counts, axes=1)
    return sums


def _shares(counts: np.ndarray) -> np.ndarray:
    """Divide numerators by denominators, (..., 2) to (...); a denominator of 0 counts as 1."""
    shares: np.ndarray = counts[..., 0] / np.maximum(counts[..., 1], 1)
    return shares


def _with_intervals(values: np.ndarray, redrawn: np.ndarray) -> dict[str, Interval]:
    low, high = np.quantile(redrawn, BOUNDS, axis=0)
    return {name: Interval(float(values[i]), float(low[i]), float(high[i])) for i, name in enumerate(FIGURES)}


def _squares(size: tuple[int, int]) -> list[PixelBox]:
    """Return the full-height squares at the left and right edge of a picture at least as wide as high."""
    width, height = size
    return [(x, 0, x + height, height) for x in sorted({0, width - height})]
