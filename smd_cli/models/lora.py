"""LoRA adapters (Hu et al., 2106.09685) and their relatives, fused: W becomes W + strength · change of W."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from smd_cli.errors import AssetError
from smd_cli.models.adapter_files import split
from smd_cli.models.adapters import Adapter
from smd_cli.models.family import Family
from smd_cli.models.layer_names import plain_name
from smd_cli.models.peft_config import Scale, read_scales
from smd_cli.models.weights import open_weights

Networks = Mapping[str, Any]
"""The modules of a family's components; diffusers and transformers have no types."""

Adapters = dict[str, Adapter]
Weights = dict[str, Tensor]


def fuse_lora(path: Path, strength: float, networks: Networks, family: Family) -> None:
    """Take the weights of a family's networks `strength` of the way to a LoRA's, in place.

    All of a file fits, or nothing changes. `networks` are by component; those that no LoRA changes may be
    among them. The file is one that `check_lora` has let pass.

    Raises:
        AssetError: made for a model of other shapes, or for layers of unknown names.
    """
    adapters = _read(path)
    known = _weights_by_name(networks, family)
    weights = {name: known[name] for name in adapters if name in known}
    _check_shapes(path, adapters, weights)
    _check_names(path, adapters, weights)
    _check_twins(path, adapters, weights)
    for name, weight in weights.items():
        adapters[name].add_to(weight.data, strength)


def _read(path: Path) -> Adapters:
    """Read what a file holds for each layer, by the layers' plain names."""
    parts: dict[str, dict[str, Tensor]] = {}
    names: dict[str, str] = {}
    with open_weights(path, "pt") as file:
        scales = read_scales(path, file.metadata() or {})
        for name in file.keys():  # noqa: SIM118 - no mapping
            layer, part = split(name) or (name, "")
            names[plain_name(layer)] = layer
            parts.setdefault(plain_name(layer), {})[part] = file.get_tensor(name)
    adapters = {}
    for plain, name in names.items():
        scale = scales.get(name.split(".")[0]) or scales.get("") or Scale()
        adapters[plain] = Adapter(name, parts[plain], scale.alpha_of(name), scale.by_root)
    return adapters


def _weights_by_name(networks: Networks, family: Family) -> Weights:
    """Return the weights that a LoRA may change, by every name that files may have for their layers."""
    weights: Weights = {}
    for component in family.lora.keys() & networks.keys():
        network = networks[component]
        modules = dict(network.named_modules())
        for name, path in family.lora[component].table(network).items():
            if isinstance(layer := modules[path], nn.Linear | nn.Conv2d):
                weights[name] = layer.weight
    return weights


def _check_shapes(path: Path, adapters: Adapters, weights: Weights) -> None:
    misfits = [name for name, weight in weights.items() if not adapters[name].fits(weight)]
    if misfits:
        first = misfits[0]
        raise AssetError(
            f"{path}: this LoRA was made for another model: other shapes in {len(misfits)} of its "
            f"{len(adapters)} layers, such as {adapters[first]}, here {tuple(weights[first].shape)}"
        )


def _check_names(path: Path, adapters: Adapters, weights: Weights) -> None:
    unknown = [adapter.name for name, adapter in adapters.items() if name not in weights]
    known = [adapter.name for name, adapter in adapters.items() if name in weights]
    if unknown:
        rest = f"{len(known)}, such as {known[0]}" if known else "none"
        raise AssetError(
            f"{path}: unknown naming: {len(unknown)} of its {len(adapters)} layers, the first "
            f"{unknown[0]}, are none of this model's; known: {rest}"
        )


def _check_twins(path: Path, adapters: Adapters, weights: Weights) -> None:
    """Raise AssetError where a file changes a layer twice, under different names."""
    seen: dict[Tensor, str] = {}
    for name, adapter in adapters.items():
        twin = seen.setdefault(weights[name], adapter.name)
        if twin != adapter.name:
            raise AssetError(f"{path}: {twin} and {adapter.name} are two names of one layer")
