"""What renders report: written files, seconds, work and device, as `--json` prints them. Knows no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from smd_cli.digests import digest_of
from smd_cli.engine.events import PHASES, Event, Finished, Phase, StreamProgress
from smd_cli.scene.resolve import Size


@dataclass(frozen=True)
class WrittenFile:
    """A picture or film that was written.

    Attributes:
        path: of the file or folder; `-`: standard output.
        seed: of its noise.
        sha256: of the file; empty for a folder and standard output.
        pixels_sha256: of what it shows, frame after frame (see `PixelDigest`); None where nothing tells.
        width: in px.
        height: in px.
    """

    path: str
    seed: int
    sha256: str
    pixels_sha256: str | None
    width: int
    height: int

    @classmethod
    def at(cls, target: str, seed: int, pixels: str | None, size: Size) -> WrittenFile:
        """Describe what lies at a target; a folder and standard output have no digest of their own."""
        path = Path(target)
        return cls(target, seed, digest_of([path]) if path.is_file() else "", pixels, *size)


@dataclass
class PhaseTimes:
    """A listener that adds up the seconds of phases."""

    seconds: dict[Phase, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        if isinstance(event, Finished):
            self.seconds[event.phase] += event.seconds

    def timing(self, total: float) -> dict[str, float]:
        """Return the seconds by name, and the total."""
        return {**{f"{phase}_s": seconds for phase, seconds in self.seconds.items()}, "total_s": total}


@dataclass(frozen=True)
class RenderReport:
    """What a render did; `work` is that of all its pictures, `steps` those of one, 0 where they differ."""

    outputs: tuple[WrittenFile, ...]
    timing: dict[str, float]
    work: dict[str, int]
    device: dict[str, Any]
    steps: int

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        return {
            "outputs": [asdict(output) for output in self.outputs],
            "timing": _rounded(self.timing),
            "work": self.work,
            "device": self.device,
        }


@dataclass(frozen=True)
class StreamReport:
    """What a stream did."""

    outputs: tuple[WrittenFile, ...]
    progress: StreamProgress
    timing: dict[str, float]
    work: dict[str, int]
    device: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        return {
            "outputs": [asdict(output) for output in self.outputs],
            "frames": self.progress.frames,
            "frames_per_second": round(self.progress.frames_per_second, 4),
            "skipped_frames": self.progress.skipped,
            "latency_s": round(self.progress.latency, 4),
            "timing": _rounded(self.timing),
            "work": self.work,
            "device": self.device,
        }


def _rounded(timing: dict[str, float]) -> dict[str, float]:
    return {name: round(seconds, 4) for name, seconds in timing.items()}
