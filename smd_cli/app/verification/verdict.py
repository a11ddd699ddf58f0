"""What verifying found of one claim: plain data, which reports are made of. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from smd_cli.messages import Message

Status = Literal["same", "differs", "failed"]


@dataclass(frozen=True)
class Measured:
    """How far a picture is from what is recorded.

    Attributes:
        metric: `pixels`, `latent` or `ssim`.
        similarity: of the last two metrics, 1 for equal ones; of a film, that of the worst frame.
        largest: of pixels, by how many levels the channel differs that differs most.
        mean: of pixels, the mean difference of a channel in levels.
        beyond: of pixels, the share that differs by more than the tolerance.
    """

    metric: str
    similarity: float | None = None
    largest: int | None = None
    mean: float | None = None
    beyond: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes:
        name: of the claim.
        suite: of the claim.
        status: `same`, `differs`, or `failed`: it could not be compared.
        reasons: how it differs or why it failed, one line each; of the same one, nothing.
        measured: how far it is from what is recorded; None: not measured.
        seconds: that took.
        exit_code: of what it failed for.
        difference: the path of the picture of the difference; None: none was drawn.
    """

    name: str
    suite: str
    status: Status
    reasons: tuple[Message, ...] = ()
    measured: Measured | None = None
    seconds: float = 0.0
    exit_code: int = 0
    difference: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {
            "name": self.name,
            "suite": self.suite,
            "status": self.status,
            "reasons": [reason.to_dict() for reason in self.reasons],
            "measured": self.measured and asdict(self.measured),
            "seconds": round(self.seconds, 4),
            "difference": self.difference,
        }


def in_order(verdicts: Iterable[Verdict], names: Iterable[str]) -> list[Verdict]:
    """Return verdicts in the order of the names of what was verified."""
    places = {name: place for place, name in enumerate(names)}
    return sorted(verdicts, key=lambda verdict: places[verdict.name])
