"""What a benchmark measured, as numbers. Knows no tensors, so that the command line can name it for free."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Row:
    """One program on one scene.

    Attributes:
        scene: name of the scene.
        name: of the program.
        seconds: from noise to a picture, one a round.
        ratio: the median of `seconds` over that of this program on the same scene.
        evaluations: model rows of one picture.
        difference: largest distance to this program's picture, in grey levels (0..255).
        paints_the_same: the program does the same maths, so that only rounding tells the pictures apart.
    """

    scene: str
    name: str
    seconds: tuple[float, ...]
    ratio: float
    evaluations: int
    difference: int
    paints_the_same: bool

    @property
    def median(self) -> float:
        """Median seconds of a round."""
        return median(self.seconds)

    @property
    def is_wrong(self) -> bool:
        """Tell whether rounding cannot explain the picture, so that the time says nothing."""
        return self.paints_the_same and self.difference > 1


@dataclass(frozen=True)
class Speed:
    """Every program on every scene, on one machine; `machine` says which, and with what libraries."""

    machine: dict[str, Any]
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        rows = [{**asdict(row), "median": row.median} for row in self.rows]
        return {"machine": self.machine, "rows": rows}


@dataclass(frozen=True)
class BatchRow:
    """One program on the same jobs.

    Attributes:
        name: of the program.
        seconds: of all jobs, from the start of the program to its end, one a round.
        jobs: pictures that each round makes.
        evaluations: model rows of all of them.
        ratio: the median of `seconds` over this program's.
    """

    name: str
    seconds: tuple[float, ...]
    jobs: int
    evaluations: int
    ratio: float

    @property
    def median(self) -> float:
        """Median seconds of a round."""
        return median(self.seconds)

    @property
    def of_job(self) -> float:
        """Seconds of a job."""
        return self.median / self.jobs

    @property
    def of_evaluation(self) -> float:
        """Seconds of an evaluation."""
        return self.median / self.evaluations


@dataclass(frozen=True)
class BatchSpeed:
    """Every program on the same jobs, on one machine."""

    machine: dict[str, Any]
    rows: tuple[BatchRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        rows = [
            {
                **asdict(row),
                "median": row.median,
                "seconds_a_job": row.of_job,
                "seconds_an_evaluation": row.of_evaluation,
            }
            for row in self.rows
        ]
        return {"machine": self.machine, "rows": rows}


@dataclass(frozen=True)
class ArchRow:
    """A picture of an architecture with random weights.

    Attributes:
        architecture: of which family.
        size: width and height in px.
        tiles: that the canvas is covered by.
        batch: views that are evaluated at once.
        steps: that were taken.
        evaluations: model rows of all steps.
        seconds_a_step: the median of all but the first.
        evaluations_a_second: at that speed.
        decode_seconds: from latents to the picture.
        peak_bytes: the most memory held, on a GPU by tensors, else by the whole process.
        estimated_bytes: what `smd plan` would say.
        is_peak_of_its_own: the peak is this picture's; elsewhere it is that of all so far.
    """

    architecture: str
    size: tuple[int, int]
    tiles: int
    batch: int
    steps: int
    evaluations: int
    seconds_a_step: float
    evaluations_a_second: float
    decode_seconds: float
    peak_bytes: int
    estimated_bytes: int
    is_peak_of_its_own: bool


@dataclass(frozen=True)
class ArchSpeed:
    """An architecture at several sizes, on one machine."""

    machine: dict[str, Any]
    rows: tuple[ArchRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        return {"machine": self.machine, "rows": [asdict(row) for row in self.rows]}
