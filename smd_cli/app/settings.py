"""How to render, whatever the scene. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smd_cli.errors import UsageError
from smd_cli.messages import Place
from smd_cli.placement import MEMORIES, WEIGHTS
from smd_cli.scene.seeds import in_range

Batch = int | Literal["auto"]
MAX_BATCH = 1024


@dataclass(frozen=True)
class RenderSettings:
    """Where and how to render.

    Attributes:
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        batch: views that the model evaluates at once; `auto`: as memory allows.
        offline: never use the network, only the model cache.
        metadata: whether pictures carry their recipe, for which the model's files are hashed.
        strict: a file that differs from the scene's digest of it is an error; otherwise it is a warning.
        deterministic: the model evaluates each view by itself, on a CPU on one thread, so that pictures do
            not depend on `batch`, free memory, threads, or what else is in flight in a stream.
        memory: `auto`, or one of `PLACEMENTS`: where a model's networks are while they are not used.
        weights: one of `WEIGHTS`: how large layers keep their weights.
    """

    device: str = "auto"
    dtype: str = "auto"
    batch: Batch = "auto"
    offline: bool = False
    metadata: bool = True
    strict: bool = False
    deterministic: bool = False
    memory: str = "auto"
    weights: str = "full"

    def __post_init__(self) -> None:
        """Check the values that need no device to be checked. Raises UsageError."""
        check_batch(self.batch, f"batch {self.batch!r}")
        _check_word("memory", self.memory, MEMORIES)
        _check_word("weights", self.weights, WEIGHTS)


def check_batch(batch: Batch | str, given: str) -> Batch:
    """Return a batch that is auto or in range. Raises UsageError, which begins with what was given."""
    if batch == "auto":
        return "auto"
    if type(batch) is not int or not 1 <= batch <= MAX_BATCH:
        raise UsageError(Place.of_option(given).says(f"give auto or a number from 1 to {MAX_BATCH}"))
    return batch


def _check_word(option: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise UsageError(Place.of_option(f"{option} {word}").says(f"unknown; choose {', '.join(known)}"))


def check_seed(seed: int) -> int:
    """Return a seed that is in range. Raises UsageError."""
    if type(seed) is not int:
        raise UsageError(f"seed {seed!r}: must be a whole number")
    try:
        return in_range(seed)
    except ValueError as error:
        raise UsageError(f"seed {error}") from error
