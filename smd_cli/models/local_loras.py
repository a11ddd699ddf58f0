"""LoRAs of single regions: beside the layers of a network, for single rows of a batch.

A layer's output y becomes y + weight of the row · change of the output, so that one batch may mix regions,
and a row without a LoRA is what it is without any. Which rows have which weights goes with the prompts
(`Conditioning.loras`) or, while those are encoded, with the thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smd_cli.core.guidance import ModelInput
from smd_cli.models.adapters import Adapter
from smd_cli.models.backbone import Backbone, InnerBackbone
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.lora import Lora, Module, Target

LoraWeights = tuple[float, ...]
"""The weight of each of a model's local LoRAs, in the order of its files; () where all are 0."""


class _OtherRowsError(Exception):
    """A layer's input is not one row for each row of the batch, such as all their tokens in one sequence."""


@dataclass(frozen=True)
class _Share:
    """The rows of a batch of `count` that have a LoRA, and its weights; `rows` None: all, and one weight."""

    count: int
    rows: Tensor | None
    weights: Tensor

    @classmethod
    def of(cls, weights: Tensor, device: torch.device) -> _Share | None:
        """Make the share of a LoRA that has weights (N,), on the CPU; None: all are 0."""
        if not weights.any():
            return None
        if bool((weights == weights[0]).all()):
            return cls(len(weights), None, weights[0])
        rows = weights.nonzero()[:, 0]
        return cls(len(weights), rows.to(device), weights[rows].to(device))

    def add(self, output: Tensor, given: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Add to a layer's output what a LoRA makes of its input. Raises _OtherRowsError."""
        if self.rows is None:
            return output + self.weights.item() * change(given)
        if len(given) != self.count:
            raise _OtherRowsError
        changed = change(given[self.rows])
        weights = self.weights.to(changed).view(-1, *[1] * (changed.ndim - 1))
        output[self.rows] += weights * changed
        return output


_now: ContextVar[Sequence[_Share | None]] = ContextVar("_now", default=())
"""The share of each LoRA in what is computed now."""


def _factors(adapter: Adapter, target: Target) -> Iterator[tuple[Module, list[Tensor]]]:
    """Yield the modules of a target, and what an adapter makes of the input of each.

    That is two factors one after the other, or one of the size of the weight, in the weight's dtype.
    """
    whole = target.weight
    is_grouped = any(isinstance(each, nn.Conv2d) and each.groups != 1 for each, _ in target.parts)
    factors = None if is_grouped else adapter.factors_of(whole)
    *first, last = factors or (adapter.change_of(whole),)
    for module, there, here in target.places():
        rows = last.new_zeros(len(module.weight), *last.shape[1:])
        rows[there] = last[here]
        yield module, [each.to(module.weight) for each in (*first, rows)]


def _changed(layer: Module, factors: Sequence[Tensor], given: Tensor) -> Tensor:
    """Return the change of a layer's output."""
    first, *second = (each.to(given.device) for each in factors)  # layers that come one by one have left
    if isinstance(layer, nn.Linear):
        changed = F.linear(given, first)
        return F.linear(changed, second[0]) if second else changed
    geometry: Any = layer.stride, layer.padding, layer.dilation, layer.groups
    changed = F.conv2d(given, first, None, *geometry)
    return F.conv2d(changed, second[0]) if second else changed


class _Beside:
    """A hook of a layer that adds what LoRAs change; their factors go where it goes, as buffers of it."""

    def __init__(self) -> None:
        self._loras: list[tuple[int, list[str]]] = []

    def add(self, layer: Module, number: int, factors: Iterable[Tensor]) -> None:
        """Add the factors of a LoRA."""
        names: list[str] = []
        for factor in factors:
            names.append(f"lora_{len(self._loras)}_{len(names)}")
            layer.register_buffer(names[-1], factor, persistent=False)
        self._loras.append((number, names))

    def __call__(self, layer: Module, given: tuple[Tensor], output: Tensor) -> Tensor:
        """Return the layer's output with the changes."""
        shares = _now.get()
        for number, names in self._loras if shares else ():
            if (share := shares[number]) is not None:
                factors = [getattr(layer, name) for name in names]
                output = share.add(output, given[0], partial(_changed, layer, factors))
        return output


def lay_beside(loras: Sequence[Lora]) -> None:
    """Lay LoRAs beside the layers that they change, as changes of the weights that these have now."""
    hooks: dict[Module, _Beside] = {}
    for number, lora in enumerate(loras):
        for target, adapter in lora:
            for module, factors in _factors(adapter, target):
                if module not in hooks:
                    module.register_forward_hook(hooks.setdefault(module, _Beside()))
                hooks[module].add(module, number, factors)


@contextmanager
def with_loras(weights: Tensor | None, device: torch.device) -> Iterator[None]:
    """Within the block, the rows of a batch have LoRAs of weights (N, A), or all those of one row (1, A)."""
    shares = () if weights is None else tuple(_Share.of(each, device) for each in weights.T.cpu())
    token = _now.set(shares)
    try:
        yield
    finally:
        _now.reset(token)


class LocalLoraBackbone(InnerBackbone):
    """A backbone whose networks have LoRAs beside their layers, which prompts bring into play."""

    def __init__(self, inner: Backbone) -> None:
        super().__init__(inner)
        self._is_by_rows = True

    def prepare(self, table: Conditioning) -> Conditioning:
        """Add to prompts what `predict` would otherwise compute from them at every evaluation."""
        with with_loras(table.loras, self.device):
            return self.inner.prepare(table)

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Predict for N rows, each with the LoRAs of its conditioning."""
        if self._is_by_rows:
            try:
                with with_loras(conditioning.loras, self.device):
                    return self.inner.predict(asked, conditioning)
            except _OtherRowsError:
                self._is_by_rows = False
        return self._in_groups(asked, conditioning)

    def _in_groups(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Predict for the rows of equal weights together, which layers may mix."""
        weights = conditioning.loras
        if weights is None:
            return self.inner.predict(asked, conditioning)
        groups: dict[tuple[float, ...], list[int]] = {}
        for place, of_row in enumerate(weights.tolist()):
            groups.setdefault(tuple(of_row), []).append(place)
        output = torch.empty_like(asked.latents)
        for places in groups.values():
            with with_loras(weights[places], self.device):
                output[places] = self.inner.predict(asked.at(places), conditioning.rows(places))
        return output


def lora_table(rows: Sequence[LoraWeights]) -> Tensor | None:
    """Return the weights of rows (N, A); None: no row has any."""
    most = max(map(len, rows), default=0)
    return torch.tensor([row or (0.0,) * most for row in rows]) if most else None


def with_lora_table(table: Conditioning, rows: Sequence[LoraWeights]) -> Conditioning:
    """Return encoded prompts with the weights of the LoRAs of each."""
    return replace(table, loras=lora_table(rows))
