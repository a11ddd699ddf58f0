"""The results of a quality benchmark, as plain numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Interval:
    """A value with the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class QualityRow:
    """The results of one method.

    Attributes:
        name: the method's name in tables.
        figures: the scores over all scenes, by name.
        against_full: the difference of each score to the full method's, paired by scene.
        preferred: share of scenes whose picture is preferred to the full method's; equal ones are halves.
        frechet: Fréchet distance between the judge's features of the pictures and of drawings.
        evaluations: model rows per picture, mean over the scenes.
        seconds: from noise to pixels per picture, median over the scenes.
    """

    name: str
    figures: dict[str, Interval]
    against_full: dict[str, Interval]
    preferred: Interval
    frechet: float
    evaluations: float
    seconds: float


@dataclass(frozen=True)
class QualityReport:
    """The results of all methods on the same scenes, on one machine.

    `singles` holds, for each prompt rendered alone, the share of pictures that show it.
    """

    machine: dict[str, Any]
    scenes: int
    singles: dict[str, float]
    rows: tuple[QualityRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        return asdict(self)
