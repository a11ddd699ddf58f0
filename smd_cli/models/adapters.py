"""One layer of a LoRA or of a relative of it: what its factors make of a weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smd_cli.models.adapter_files import ALPHA, BESIDE, DOWN, KINDS, MID, NORMS, ROW_NORMS, UP

Factors = Mapping[str, Tensor]
Shape = tuple[int, ...]

_RANKED = (DOWN, "hada_w1_b", "lokr_w2_b", "lokr_w1_b")
"""Factors whose first axis is as long as the rank; a LoKr of two whole matrices has no rank, and no scale."""

_LYCORIS: dict[str, Any] = {"backend": "torch"}
"""LyCORIS may compile kernels for its sums; they are not worth it for weights that are fused once."""


@dataclass(frozen=True)
class Adapter:
    """What a file holds for one layer.

    Attributes:
        name: of the layer, as the file has it.
        parts: its tensors, by what they are to it (see `adapter_files`).
        alpha: numerator of the scale where no tensor says it; None: as the rank, so that the scale is 1.
        by_root: the scale is alpha / √rank (2312.03732), not alpha / rank.
    """

    name: str
    parts: Factors
    alpha: float | None = None
    by_root: bool = False

    @property
    def shape(self) -> Shape | None:
        """Return the shape of the product of the factors; None where they do not go together."""
        empty = {name: torch.empty(each.shape, device="meta") for name, each in self._factors.items()}
        try:
            return tuple(self._product(empty).shape)
        except (RuntimeError, ValueError, IndexError):  # how torch refuses shapes
            return None

    def __str__(self) -> str:
        """Return its name and shapes."""
        if self.shape is not None and self._norms is None:
            return f"{self.name} {self.shape}"
        return f"{self.name} {', '.join(f'{part} {tuple(each.shape)}' for part, each in self.parts.items())}"

    def fits(self, weight: Tensor) -> bool:
        """Tell whether it was made for a weight of that shape; a linear layer is as a 1x1 convolution."""
        if self.shape is None or (self._norms is not None and self._norm_axis(weight) is None):
            return False
        return _matrix(self.shape) in (_matrix(tuple(weight.shape)), tuple(weight.flatten(1).shape))

    def change_of(self, weight: Tensor) -> Tensor:
        """Return by how much a weight that it fits differs from the adapted one, in float32."""
        before = weight.float()
        factors = {name: each.to(weight.device).float() for name, each in self._factors.items()}
        change = self._scale * self._product(factors).reshape(weight.shape)
        if self._norms is not None:
            change = self._with_norms(before + change, self._norms) - before
        return change

    def factors_of(self, weight: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the change of a weight that it fits as factors, (r, in, ...) and (out, r, ...), in float32.

        They are one after the other what the change is. None: it is no product of two.
        """
        if self._norms is not None or self._factors.keys() != {DOWN, UP}:
            return None
        down, up = (self.parts[name].to(weight.device).float() for name in (DOWN, UP))
        ones = [1] * (weight.ndim - 2)
        return down.reshape(-1, *weight.shape[1:]), self._scale * up.reshape(len(weight), -1, *ones)

    @property
    def _factors(self) -> Factors:
        return {name: tensor for name, tensor in self.parts.items() if name not in BESIDE}

    @property
    def _product(self) -> Callable[[Factors], Tensor]:
        return _PRODUCTS[KINDS[frozenset(self._factors)]]

    @property
    def _scale(self) -> float:
        rank = next((len(self.parts[name]) for name in _RANKED if name in self.parts), 0)
        alpha = float(self.parts[ALPHA]) if ALPHA in self.parts else self.alpha
        if not rank or alpha is None:
            return 1.0
        return alpha / (rank**0.5 if self.by_root else rank)

    @property
    def _norms(self) -> Tensor | None:
        """Return DoRA's norms, (out, 1, ...) or (1, in, ...)."""
        rows = self.parts.get(ROW_NORMS)
        return self.parts.get(NORMS) if rows is None else rows.reshape(-1, 1)

    def _norm_axis(self, weight: Tensor) -> int | None:
        """Return the axis of a weight along which there is a norm each; None: they are not as many."""
        norms = self._norms
        if norms is None or norms.ndim == 0 or not len(norms):
            return None
        sizes = (len(norms), norms[0].numel())
        return {(len(weight), 1): 0, (1, weight.shape[1]): 1}.get(sizes)

    def _with_norms(self, weight: Tensor, norms: Tensor) -> Tensor:
        """Scale the rows or columns of a weight to DoRA's norms."""
        from lycoris.functional.general import weight_decompose

        axis = self._norm_axis(weight)
        line = [-1 if at == axis else 1 for at in range(weight.ndim)]
        norms = norms.to(weight.device).float().view(line)
        scaled: Tensor = weight_decompose(weight, norms, wd_on_out=axis == 0, **_LYCORIS)
        return scaled


def _matrix(shape: Shape) -> Shape:
    """Return a weight's shape, without the sides of a 1x1 kernel."""
    return shape[:2] if set(shape[2:]) <= {1} else shape


def _low_rank(factors: Factors) -> Tensor:
    down, up = factors[DOWN], factors[UP]
    return (up.flatten(1) @ down.flatten(1)).view(len(up), *down.shape[1:])


def _with_kernel(factors: Factors) -> Tensor:
    from lycoris.functional.locon import diff_weight

    product: Tensor = diff_weight(factors[DOWN], factors[UP], factors[MID], **_LYCORIS)
    return product


def _hadamard(factors: Factors) -> Tensor:
    from lycoris.functional.loha import diff_weight

    names = ("w1_b", "w1_a", "w2_b", "w2_a", "t1", "t2")
    one = torch.ones((), device=factors["hada_w1_b"].device)
    product: Tensor = diff_weight(*(factors.get(f"hada_{name}") for name in names), gamma=one, **_LYCORIS)
    return product


def _kronecker(factors: Factors) -> Tensor:
    from lycoris.functional.lokr import kron_weight

    names = ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")
    product: Tensor = kron_weight(*(factors.get(f"lokr_{name}") for name in names), **_LYCORIS)
    return product


_PRODUCTS = {"LoRA": _low_rank, "LoCon": _with_kernel, "LoHa": _hadamard, "LoKr": _kronecker}
