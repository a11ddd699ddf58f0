"""LoRA adapters (Hu et al., 2106.09685) and their relatives, fused: W becomes W + strength · change of W."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smd_cli.errors import AssetError
from smd_cli.models.adapter_files import split
from smd_cli.models.adapters import Adapter
from smd_cli.models.family import Family
from smd_cli.models.layer_names import Layer, Rows, plain_name
from smd_cli.models.peft_config import Scale, read_scales
from smd_cli.models.weights import open_weights

Networks = Mapping[str, Any]
"""The modules of a family's components; diffusers and transformers have no types."""

Adapters = dict[str, Adapter]


@dataclass(frozen=True)
class Target:
    """The weight that a file's layer changes: a layer's, or rows of several, one below the other."""

    parts: tuple[tuple[nn.Parameter, Rows], ...]

    @property
    def weights(self) -> tuple[nn.Parameter, ...]:
        """Return the weights that it has rows of."""
        return tuple(weight for weight, _ in self.parts)

    @property
    def whole(self) -> Tensor:
        """Return its rows: the layer's own weight, or a copy of them where they are of several."""
        views = self._views
        return views[0] if len(views) == 1 else torch.cat(views)

    def change(self, change: Callable[[Tensor], None]) -> None:
        """Let a function change it in place."""
        whole, views = self.whole, self._views
        change(whole)
        if len(views) > 1:
            start = 0
            for view in views:
                view.copy_(whole[start : start + len(view)])
                start += len(view)

    @property
    def _views(self) -> list[Tensor]:
        return [weight.data.chunk(rows.of)[rows.part] for weight, rows in self.parts]


Targets = dict[str, Target]


def fuse_lora(
    path: Path, strength: float, networks: Networks, family: Family, *, is_whole: bool = True
) -> None:
    """Take the weights of a family's networks `strength` of the way to a LoRA's, in place.

    All of a file fits, or nothing changes. `networks` are by component; those that no LoRA changes may be
    among them. Where they are not the whole model, layers of others are passed over: the file has been
    fused into all of them before. The file is one that `check_lora` has let pass.

    Raises:
        AssetError: made for a model of other shapes, or for layers of unknown names.
    """
    adapters = _read(path)
    known = _targets_by_name(networks, family)
    targets = {name: known[name] for name in adapters if name in known}
    _check_shapes(path, adapters, targets)
    if is_whole:
        _check_names(path, adapters, targets)
    else:
        adapters = {name: adapters[name] for name in targets}
    _check_twins(path, adapters, targets)
    for name, target in targets.items():
        target.change(partial(adapters[name].add_to, strength=strength))


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
            if all(isinstance(modules[rows.module], nn.Linear | nn.Conv2d) for rows in layer):
                targets[name] = _target(modules, layer)
    return targets


def _target(modules: Networks, layer: Layer) -> Target:
    return Target(tuple((modules[rows.module].weight, rows) for rows in layer))


def _check_shapes(path: Path, adapters: Adapters, targets: Targets) -> None:
    misfits = [name for name, target in targets.items() if not adapters[name].fits(target.whole)]
    if misfits:
        first = misfits[0]
        raise AssetError(
            f"{path}: this LoRA was made for another model: other shapes in {len(misfits)} of its "
            f"{len(adapters)} layers, such as {adapters[first]}, here {tuple(targets[first].whole.shape)}"
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


def _check_twins(path: Path, adapters: Adapters, targets: Targets) -> None:
    """Raise AssetError where a file changes a layer twice, under different names."""
    seen: dict[Tensor, str] = {}
    for name, adapter in adapters.items():
        for weight in targets[name].weights:
            twin = seen.setdefault(weight, adapter.name)
            if twin != adapter.name:
                raise AssetError(f"{path}: {twin} and {adapter.name} are two names of one layer")
