"""The scale of a LoRA as the peft library writes it beside a file's tensors. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smd_cli.errors import AssetError
from smd_cli.models.configs import read_json
from smd_cli.strict_json import parse

_FILE, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
"""What peft calls an adapter's tensors, and its config in the same folder."""

_PATIENCE = 0.1  # seconds that a pattern and a name may take; most take microseconds

_HEADER = "lora_adapter_metadata"
"""Where diffusers keeps such configs in the tensors' own file, each key with its component before it."""


@dataclass(frozen=True)
class Scale:
    """The numerators of the layers' scales, and how they are divided by the rank.

    Attributes:
        alpha: of all layers; None: as the rank.
        patterns: of the layers whose names a compiled pattern matches, instead.
        by_root: the divisor is the rank's root.
        source: the file that says so, for errors.
    """

    alpha: float | None = None
    patterns: Mapping[Any, float] = field(default_factory=dict)
    by_root: bool = False
    source: Path | None = None

    def alpha_of(self, layer: str) -> float | None:
        """Return the numerator of a layer, by its name with dots.

        Raises:
            AssetError: comparing its name with a pattern takes too long.
        """
        for pattern, alpha in self.patterns.items():
            try:
                if pattern.fullmatch(layer, timeout=_PATIENCE):
                    return alpha
            except TimeoutError:
                raise AssetError(
                    f"{self.source}: alpha_pattern: {pattern.pattern!a:.80} takes too long to match names"
                ) from None
        return self.alpha


def config_beside(path: Path) -> Path | None:
    """Return the config that peft wrote beside the tensors of an adapter; None: there is none."""
    config = path.with_name(ADAPTER_CONFIG)
    return config if path.name == _FILE and config.exists() else None


def read_scales(path: Path, header: Mapping[str, str]) -> dict[str, Scale]:
    """Read the scales of an adapter, by component, or under '' where they are for all of the file.

    Raises:
        AssetError: unreadable, or of another kind than LoRA.
    """
    config = config_beside(path)
    try:
        if config:
            return {"": _scale(config, read_json(config), "")}
        written: dict[str, Any] = parse(header.get(_HEADER, "{}"))
        components = {key.rpartition(".")[0] for key in written}
        return {
            component: _scale(path, written, f"{component}." if component else "") for component in components
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise AssetError(f"{path}: no readable config of an adapter ({error})") from error


def _scale(path: Path, config: Mapping[str, Any], start: str) -> Scale:
    kind = config.get(f"{start}peft_type", "LORA")
    if kind != "LORA":
        raise AssetError(f"{path}: an adapter of peft's kind {kind}; of peft's, LORA alone can be fused")
    alpha, patterns = config.get(f"{start}lora_alpha"), config.get(f"{start}alpha_pattern") or {}
    return Scale(
        alpha=None if alpha is None else _finite(alpha),
        patterns={_ending(pattern): _finite(value) for pattern, value in patterns.items()},
        by_root=bool(config.get(f"{start}use_rslora")),
        source=path,
    )


def _finite(alpha: Any) -> float:  # noqa: ANN401 - whatever a file holds
    number = float(alpha)
    if not math.isfinite(number):
        raise ValueError(f"alpha is {number}")
    return number


def _ending(pattern: str) -> Any:  # noqa: ANN401 - regex has no types
    """Compile the pattern of the end of a name. Raises ValueError: it is none."""
    import regex  # matches within a given time: a stranger's pattern may take ages

    try:
        return regex.compile(rf"(.*\.)?({pattern})")
    except regex.error as error:
        raise ValueError(f"{pattern!a:.80}: {error}") from error
