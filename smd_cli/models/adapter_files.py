"""Files of LoRAs and their relatives: what a tensor is to its layer, from its name. Knows no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from itertools import product
from math import prod
from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.models.kinds import LORA, place_of
from smd_cli.models.layer_names import plain_name
from smd_cli.models.weights import check_real, read_shapes

DOWN, UP, MID = "down", "up", "mid"
"""Factors of a LoRA: the first (r, in, ...), the second (out, r, ...), a kernel (r, r, ...) between them."""

ALPHA = "alpha"
"""Numerator of the scale, a number."""

NORMS, ROW_NORMS = "dora_scale", "lora_magnitude_vector"
"""DoRA's norms of the weight (2402.09353), by LyCORIS' and by PEFT's custom; the latter are of its rows."""

BESIDE = frozenset({ALPHA, NORMS, ROW_NORMS})
"""What any kind of adapter may have beside its factors."""

_ENDINGS = {
    **{f".lora_{part}.weight": part for part in (DOWN, UP, MID)},
    **{
        f".lora_{letter}{adapter}.weight": part
        for letter, part in (("A", DOWN), ("B", UP))
        for adapter in ("", ".default")
    },
    **{
        f"{start}.{part}.weight": part
        for start in (".lora", "_lora", ".lora_linear_layer")
        for part in (DOWN, UP)
    },
    **{f".{ROW_NORMS}{rest}": ROW_NORMS for rest in ("", ".weight", ".default", ".default.weight")},
    **{f".{part}": part for part in (ALPHA, NORMS)},
    **{f".hada_{name}": f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{name}": f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
}
"""Endings of tensors' names, by the customs of kohya, PEFT, early diffusers and LyCORIS."""

Parts = frozenset[str]

_HADAMARD: Parts = frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"})
_LEFT: tuple[Parts, ...] = (frozenset({"lokr_w1"}), frozenset({"lokr_w1_a", "lokr_w1_b"}))
_RIGHT: tuple[Parts, ...] = (
    frozenset({"lokr_w2"}),
    frozenset({"lokr_w2_a", "lokr_w2_b"}),
    frozenset({"lokr_w2_a", "lokr_w2_b", "lokr_t2"}),
)

KINDS: Mapping[Parts, str] = {
    frozenset({DOWN, UP}): "LoRA",
    frozenset({DOWN, UP, MID}): "LoCon",
    _HADAMARD: "LoHa",
    _HADAMARD | {"hada_t1", "hada_t2"}: "LoHa",
    **{left | right: "LoKr" for left, right in product(_LEFT, _RIGHT)},
}
"""Kinds of adapters by the factors that a layer has (LoCon, LoHa and LoKr: 2309.14859)."""


def check_lora(path: Path) -> None:
    """Check what the names in a file of a LoRA tell.

    Raises:
        AssetError: no adapter, none of a known kind, not a whole one, one of other numbers than real ones, or
            one that needs a package which is not installed.
    """
    shapes = read_shapes(path)
    if place := place_of(shapes, LORA):
        raise AssetError(f"{path}: {place}")
    for layer, parts in _parts_by_layer(path, shapes).items():
        factors = frozenset(parts - BESIDE)
        if factors not in KINDS:
            held = f"only {', '.join(sorted(factors))}" if factors else "no factors"
            raise AssetError(f"{path}: damaged, or of an unknown kind: layer {layer} has {held}")
        _check_package(path, KINDS[factors] if parts.isdisjoint({NORMS, ROW_NORMS}) else "DoRA")
    for name, shape in shapes.items():
        if name.endswith(f".{ALPHA}") and prod(shape) != 1:
            raise AssetError(f"{path}: damaged: {name} is to be one number and has the shape {shape}")
    check_real(path, (name for name in shapes if not name.endswith(f".{ALPHA}")))


def split(name: str) -> tuple[str, str] | None:
    """Split a tensor's name into its layer's and what it is to that; None: it belongs to no known adapter."""
    ending = next((ending for ending in _ENDINGS if name.endswith(ending)), None)
    return None if ending is None else (name.removesuffix(ending), _ENDINGS[ending])


def _parts_by_layer(path: Path, names: Iterable[str]) -> Mapping[str, set[str]]:
    layers: dict[str, set[str]] = defaultdict(set)
    for name in names:
        found = split(name)
        if found is None:
            raise AssetError(
                f"{path}: not a LoRA (LoCon, DoRA, LoHa and LoKr are read too): {name} is no part of one"
            )
        layer, part = plain_name(found[0]), found[1]
        if part in layers[layer]:
            raise AssetError(f"{path}: {name} is there twice, under two names")
        layers[layer].add(part)
    if not layers:
        raise AssetError(f"{path}: not a LoRA: the file is empty")
    return layers


def _check_package(path: Path, kind: str) -> None:
    if kind != "LoRA" and find_spec("lycoris") is None:
        raise AssetError(f"{path}: a {kind} needs LyCORIS: pip install 'smd-cli[lycoris]'")
