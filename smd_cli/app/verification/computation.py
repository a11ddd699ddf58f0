"""How a picture was computed, and how it is computed again. Imports torch to do so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from smd_cli.app.renderer import Renderer
from smd_cli.app.settings import MAX_BATCH, RenderSettings
from smd_cli.app.verification.claim import Claim
from smd_cli.engine.events import Listener
from smd_cli.errors import AssetError, DeviceError
from smd_cli.placement import PLACEMENTS, WEIGHTS

_MOST_THREADS = 1024
_DTYPES = ("float32", "bfloat16", "float16")
_CPU = "cpu ("  # the beginning of what recipes call a CPU


@dataclass(frozen=True)
class Wanted:
    """Where and in what precision to compute again; `auto`: as before, where that is possible here."""

    device: str = "auto"
    dtype: str = "auto"
    offline: bool = False


@dataclass(frozen=True)
class Computation:
    """How to compute a picture again.

    Attributes:
        settings: of the renderer.
        threads: on a CPU; None: as many as torch takes.
        may_fall_back: whether another precision will do where this device lacks the recorded one.
    """

    settings: RenderSettings
    threads: int | None
    may_fall_back: bool

    @classmethod
    def of(cls, claim: Claim, wanted: Wanted) -> Computation:
        """Return how a claim's picture was computed, but for what is wanted otherwise.

        A picture of a CPU is computed on one, even where there is a GPU.

        Raises AssetError: what is recorded of it makes no sense.
        """
        made = _sound(claim)
        was_on_cpu, is_deterministic = made["device"].startswith(_CPU), made["deterministic"]
        settings = RenderSettings(
            device="cpu" if wanted.device == "auto" and was_on_cpu else wanted.device,
            dtype=made["dtype"] if wanted.dtype == "auto" else wanted.dtype,
            batch="auto" if is_deterministic else made["batch"],
            offline=wanted.offline,
            strict=True,
            deterministic=is_deterministic,
            memory=made["memory"],
            weights=made["weights"],
        )
        return cls(settings, None if is_deterministic else made["threads"], wanted.dtype == "auto")


class Renderers:
    """The renderer of the last computation, which keeps its model loaded for the next one like it."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._stack = ExitStack()
        self._last: tuple[RenderSettings, Renderer] | None = None

    @contextmanager
    def computing(self, computation: Computation) -> Iterator[Renderer]:
        """Give a renderer for a block that computes so. Raises DeviceError: the device is not there."""
        from smd_cli.engine.device import cpu_threads

        settings = _possible(computation)
        if self._last is None or self._last[0] != settings:
            self.close()
            self._last = settings, self._stack.enter_context(Renderer.of(settings, self._listener))
        with cpu_threads(computation.threads):
            yield self._last[1]

    def close(self) -> None:
        """Let go of the renderer and its model."""
        self._stack.close()
        self._last = None


def _possible(computation: Computation) -> RenderSettings:
    """Return settings whose precision this machine has."""
    from smd_cli.engine.device import choose_device, choose_dtype

    settings = computation.settings
    device = choose_device(settings.device)
    try:
        choose_dtype(settings.dtype, device)
    except DeviceError:
        if not computation.may_fall_back:
            raise
        return replace(settings, dtype="auto")
    return settings


def _sound(claim: Claim) -> dict[str, Any]:
    """Return what is recorded of a computation, with what is left to choose where nothing is.

    Raises AssetError: it makes no sense.
    """
    made: dict[str, Any] = {"device": "", "dtype": "auto", "batch": "auto", "threads": None}
    made |= {"deterministic": False, "memory": "high", "weights": "full", **claim.computation}
    sound = {
        "device": isinstance(made["device"], str),
        "dtype": made["dtype"] in ("auto", *_DTYPES),
        "batch": made["batch"] == "auto" or _is_count(made["batch"], MAX_BATCH),
        "threads": made["threads"] is None or _is_count(made["threads"], _MOST_THREADS),
        "deterministic": isinstance(made["deterministic"], bool),
        "memory": made["memory"] in PLACEMENTS,
        "weights": made["weights"] in WEIGHTS,
    }
    if damaged := [f"{key} {made[key]!r}" for key, is_sound in sound.items() if not is_sound]:
        raise AssetError(
            claim.place.says(f"what is recorded of its computation is damaged: {', '.join(damaged)}")
        )
    return made


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 1 <= value <= most
