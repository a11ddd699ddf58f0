"""Options for where and how to compute, spelled and explained once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from smd_cli.app.settings import RenderSettings, check_batch
from smd_cli.cli.completion import complete_device, complete_dtype, complete_memory, complete_weights

Device = Annotated[
    str,
    typer.Option(
        "--device",
        envvar="SMD_DEVICE",
        help="auto, cpu, cuda, cuda:N or mps.",
        autocompletion=complete_device,
    ),
]
Dtype = Annotated[
    str,
    typer.Option(
        "--dtype",
        envvar="SMD_DTYPE",
        help="auto, float32, bfloat16 or float16.",
        autocompletion=complete_dtype,
    ),
]
Batch = Annotated[
    str,
    typer.Option(
        "--batch",
        envvar="SMD_BATCH",
        metavar="N",
        help="Views the model evaluates at once: auto, what memory allows; or a number.",
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        "--memory",
        envvar="SMD_MEMORY",
        help="auto, the most that fits; high: the model stays on the device; medium: each network only while "
        "it is used; low: the denoiser layer by layer too, one view at a time, pictures in tiles.",
        autocompletion=complete_memory,
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        "--weights",
        envvar="SMD_WEIGHTS",
        help="full, as --dtype says; int8 or fp8: large layers in 8 bits, half the memory or less, and other "
        "pictures.",
        autocompletion=complete_weights,
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", envvar="SMD_OFFLINE", help="Never use the network, only the model cache.")
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        envvar="SMD_DETERMINISTIC",
        help="Evaluate each view by itself, on a CPU on one thread: slower, and the same pixels whatever the "
        "batch, free memory, threads, or frames in flight.",
    ),
]


@dataclass(frozen=True)
class Compute:
    """Options for where and how to compute."""

    device: Device = "auto"
    dtype: Dtype = "auto"
    batch: Batch = "auto"
    offline: Offline = False

    def settings(self, *, metadata: bool = False, strict: bool = False) -> RenderSettings:
        """Return the settings. Raises UsageError: a value is none that is known."""
        return RenderSettings(
            device=self.device,
            dtype=self.dtype,
            batch=check_batch(_whole_number(self.batch), f"--batch {self.batch}"),
            offline=self.offline,
            metadata=metadata,
            strict=strict,
            **self._more(),
        )

    def _more(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class PlacedCompute(Compute):
    """Options for where and how to compute, and how the model lies in memory."""

    memory: Memory = "auto"
    weights: Weights = "full"

    def _more(self) -> dict[str, Any]:
        return {"memory": self.memory, "weights": self.weights}


@dataclass(frozen=True)
class RenderCompute(PlacedCompute):
    """Options for where and how to compute pictures."""

    deterministic: Deterministic = False

    def _more(self) -> dict[str, Any]:
        return {**super()._more(), "deterministic": self.deterministic}


def _whole_number(text: str) -> int | str:
    """Return the number that a text writes, or a text that writes none."""
    try:
        return int(text)
    except ValueError:
        return text
