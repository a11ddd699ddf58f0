"""By what a picture that is rendered again counts as the same. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from smd_cli.errors import UsageError
from smd_cli.messages import Place

Metric = Literal["pixels", "latent", "ssim"]
METRICS: tuple[Metric, ...] = get_args(Metric)
THRESHOLDS: Mapping[Metric, float] = {"latent": 0.995, "ssim": 0.95}
"""Of similarity, where none is given; docs/verify.md tells from what they were chosen."""
_MOST_LEVELS = 255


@dataclass(frozen=True)
class Criterion:
    """How pictures are compared, and how far they may be from each other.

    Attributes:
        metric: `pixels`: level by level; `latent`: by their latents; `ssim`: by their structure.
        tolerance: of pixels, by how many levels a channel may differ.
        threshold: of the other metrics, the least similarity.
    """

    metric: Metric = "pixels"
    tolerance: int = 0
    threshold: float = 1.0

    @classmethod
    def of(
        cls, metric: str = "pixels", tolerance: int | None = None, threshold: float | None = None
    ) -> Criterion:
        """Make a criterion of what a user gave; None: nothing.

        Raises UsageError: something is unknown, out of range, or for another metric.
        """
        if metric not in METRICS:
            raise UsageError(Place.of_option(f"--metric {metric}").says(f"give one of {', '.join(METRICS)}"))
        if tolerance is not None:
            given = Place.of_option(f"--tolerance {tolerance}")
            if metric != "pixels":
                raise UsageError(given.says(f"is for --metric pixels; {metric} has --threshold"))
            if not 0 <= tolerance <= _MOST_LEVELS:
                raise UsageError(given.says(f"give levels from 0 to {_MOST_LEVELS}"))
        if threshold is not None:
            given = Place.of_option(f"--threshold {threshold:g}")
            if metric == "pixels":
                raise UsageError(given.says("is for --metric latent or ssim; pixels have --tolerance"))
            if not 0 <= threshold <= 1:
                raise UsageError(given.says("give a similarity from 0 to 1"))
        least = THRESHOLDS.get(metric, 1.0) if threshold is None else threshold
        return cls(metric, tolerance or 0, least)

    def __str__(self) -> str:
        if self.metric == "pixels":
            return f"pixels within {self.tolerance} levels" if self.tolerance else "the same pixels"
        return f"{self.metric} of {self.threshold:g} at least"
