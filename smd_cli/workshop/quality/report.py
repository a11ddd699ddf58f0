"""What a quality benchmark found, as numbers. Knows no tensors: naming it costs nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds between which it lies at 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class QualityRow:
    """One way of painting.

    Attributes:
        name: what tables call it.
        figures: by name, over all scenes.
        against_full: how much higher each figure is than that of the full method on the same scenes.
        frechet: distance of the judge's features to those of drawn pictures.
        evaluations: model rows of a picture, the mean.
        seconds: of a picture from noise to pixels, the median.
    """

    name: str
    figures: dict[str, Interval]
    against_full: dict[str, Interval]
    frechet: float
    evaluations: float
    seconds: float


@dataclass(frozen=True)
class Quality:
    """All ways on the same scenes, on one machine; `singles` are shares of right pictures by lone prompt."""

    machine: dict[str, Any]
    scenes: int
    singles: dict[str, float]
    rows: tuple[QualityRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        return asdict(self)
