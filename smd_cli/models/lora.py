"""LoRA adapters (Hu et al., 2106.09685) and their relatives, fused: W becomes W + strength · change of W."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smd_cli.errors import AssetError
from smd_cli.models.adapter_files import split
from smd_cli.models.adapter_survey import family_of
from smd_cli.models.adapters import Adapter
from smd_cli.models.family import Family
from smd_cli.models.layer_names import Layer, Rows, plain_name
from smd_cli.models.peft_config import Scale, read_scales
from smd_cli.models.weights import open_weights, read_header

Networks = Mapping[str, Any]
"""The modules of a family's components; diffusers and transformers have no types."""

Module = nn.Linear | nn.Conv2d
Adapters = dict[str, Adapter]


@dataclass(frozen=True)
class Target:
    """The weight that a file's layer changes: a module's, or rows of several, one below the other."""

    parts: tuple[tuple[Module, Rows], ...]

    @property
    def weight(self) -> Tensor:
        """Return its rows: the module's own weight, or a copy of them where they are of several."""
        views = [module.weight.data[_rows(module, rows)] for module, rows in self.parts]
        return views[0] if len(views) == 1 else torch.cat(views)

    def places(self) -> Iterator[tuple[Module, slice, slice]]:
        """Yield its modules, the rows of their weights that are meant, and which of its own these are."""
        start = 0
        for module, rows in self.parts:
            there = _rows(module, rows)
            end = start + there.stop - there.start
            yield module, there, slice(start, end)
            start = end


def _rows(module: Module, rows: Rows) -> slice:
    """Return which rows of a module's weight are one of equal parts."""
    size = len(module.weight) // rows.of
    return slice(rows.part * size, (rows.part + 1) * size)


Targets = dict[str, Target]
Lora = list[tuple[Target, Adapter]]
"""What a file changes, each weight once, and how."""

Change = tuple[Target, Adapter, float]
"""A change and its strength."""


def read_lora(path: Path, networks: Networks, family: Family, *, is_whole: bool = True) -> Lora:
    """Read a LoRA for a family's networks, which are by component; some of them it may leave as they are.

    A file is used whole or not at all. Where the networks are not the whole model, layers of others are
    passed over: the file has been read for all of them before. It is one that `check_lora` has let pass.

    Raises:
        AssetError: made for a model of other shapes, or for layers of unknown names.
    """
    adapters = _read(path)
    known = _targets_by_name(networks, family)
    targets = {name: known[name] for name in adapters if name in known}
    try:
        _check_shapes(path, adapters, targets)
        if is_whole:
            _check_names(path, adapters, targets)
    except AssetError as error:
        raise AssetError(f"{error}{_seems_for(path, family)}") from error
    adapters = {name: adapters[name] for name in targets}
    _check_twins(path, adapters, targets)
    return [(target, adapters[name]) for name, target in targets.items()]


def fuse_loras(loras: Iterable[tuple[Lora, float]]) -> None:
    """Take weights as far to those of LoRAs as their strengths say, in place.

    All changes are those of the weights as they were, summed before they are rounded to the weights' dtype,
    so that neither the order of the LoRAs nor their number has a say in it.
    """
    for changes in _apart(
        (target, adapter, strength) for lora, strength in loras for target, adapter in lora
    ):
        totals: dict[Module, Tensor] = {}
        for target, adapter, strength in changes:
            change = adapter.change_of(target.weight)
            for module, there, here in target.places():
                if module not in totals:
                    totals[module] = module.weight.data.to(_exact(module.weight.device), copy=True)
                totals[module][there] += strength * change[here].to(totals[module])
        for module, total in totals.items():
            module.weight.data.copy_(total)


def _exact(device: torch.device) -> torch.dtype:
    """Return what changes are summed in: float64, which Apple's GPUs lack."""
    return torch.float32 if device.type == "mps" else torch.float64


def _apart(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Yield changes of the same weights together: one of several weights depends on all of them."""
    groups: dict[Module, list[Change]] = {}
    for change in changes:
        target, *_ = change
        modules = [module for module, _ in target.parts]
        before = {id(group): group for module in modules if (group := groups.get(module))}
        together = [*chain.from_iterable(before.values()), change]
        groups |= {module: together for each, *_ in together for module, _ in each.parts}
    yield from {id(group): group for group in groups.values()}.values()


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


def _targets_by_name(networks: Networks, family: Family) -> Targets:
    """Return the weights that a LoRA may change, by every name that files may have for their layers."""
    targets: Targets = {}
    for component in family.lora.keys() & networks.keys():
        network = networks[component]
        modules = dict(network.named_modules())
        for name, layer in family.lora[component].table(network).items():
            if all(isinstance(modules[rows.module], Module) for rows in layer):
                targets[name] = _target(modules, layer)
    return targets


def _target(modules: Networks, layer: Layer) -> Target:
    return Target(tuple((modules[rows.module], rows) for rows in layer))


def _check_shapes(path: Path, adapters: Adapters, targets: Targets) -> None:
    misfits = [name for name, target in targets.items() if not adapters[name].fits(target.weight)]
    if misfits:
        first = misfits[0]
        raise AssetError(
            f"{path}: this LoRA was made for another model: other shapes in {len(misfits)} of its "
            f"{len(adapters)} layers, such as {adapters[first]}, here {tuple(targets[first].weight.shape)}"
        )


def _check_names(path: Path, adapters: Adapters, targets: Targets) -> None:
    unknown = [adapter.name for name, adapter in adapters.items() if name not in targets]
    known = [adapter.name for name, adapter in adapters.items() if name in targets]
    if unknown:
        rest = f"{len(known)}, such as {known[0]}" if known else "none"
        raise AssetError(
            f"{path}: unknown naming: {len(unknown)} of its {len(adapters)} layers, the first "
            f"{unknown[0]}, are none of this model's; known: {rest}"
        )


def _seems_for(path: Path, family: Family) -> str:
    """Say for which other family a file seems to be made, for the end of an error; '' where nothing tells."""
    found = family_of(*read_header(path))
    return f"; it seems to be for {found} models" if found not in ("", family.name) else ""


def _check_twins(path: Path, adapters: Adapters, targets: Targets) -> None:
    """Raise AssetError where a file changes a weight twice, under different names."""
    seen: dict[Module, list[tuple[range, str]]] = {}
    for name, adapter in adapters.items():
        for module, there, _ in targets[name].places():
            rows, before = range(there.start, there.stop), seen.setdefault(module, [])
            for others, twin in before:
                if twin != adapter.name and rows.start < others.stop and others.start < rows.stop:
                    raise AssetError(f"{path}: {twin} and {adapter.name} are two names of one layer")
            before.append((rows, adapter.name))
