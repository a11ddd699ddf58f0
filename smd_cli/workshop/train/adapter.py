"""A LoRA (Hu et al., arXiv 2106.09685) over every linear and convolution layer of a network, and its file."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from smd_cli.workshop.train.loop import MovingAverage
from smd_cli.workshop.train.unet import compile_unet

Network = TypeVar("Network", bound=nn.Module)

FILE = "pytorch_lora_weights.safetensors"


class LowRank(nn.Module):
    """A parametrization that adds up (out, r) @ down (r, in...) to a weight (out, in...); up starts at 0."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        width = weight[0].numel()
        down = torch.randn(rank, width, generator=generator) / width**0.5
        self.down = nn.Parameter(down.to(weight.device))
        self.up = nn.Parameter(torch.zeros(len(weight), rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted weight."""
        return weight + (self.up @ self.down).view_as(weight)


def adapt(network: Network, rank: int, seed: int) -> Network:
    """Freeze a network and give its layers trainable low-rank adapters, in place."""
    generator = torch.Generator().manual_seed(seed)
    network.requires_grad_(False)
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank, generator))
    return network


def thaw_adapter(network: Network) -> Network:
    """Make the adapters of an adapted network trainable, and nothing else, in place."""
    network.requires_grad_(False)
    for _, layer in _adapted(network):
        layer.parametrizations["weight"][0].requires_grad_(True)
    return network


def learner_beside(
    before: UNet2DConditionModel, decay: float, *, compiles: bool
) -> tuple[UNet2DConditionModel, MovingAverage[UNet2DConditionModel]]:
    """Return a copy of a student whose adapter is trained on, and its moving average.

    The student itself stays as the copy began; `compiles` compiles both.
    """
    learner = thaw_adapter(copy.deepcopy(before))
    average = MovingAverage(learner, decay)
    if compiles:
        compile_unet(before)
        compile_unet(learner)
    return learner, average


def adapter_of(network: nn.Module, prefix: str = "unet") -> dict[str, Tensor]:
    """Return an adapted network's factors in float16, by diffusers' names."""
    factors = {}
    for name, layer in _adapted(network):
        low_rank = layer.parametrizations["weight"][0]
        shape = layer.weight.shape
        down = low_rank.down.view(-1, *shape[1:])
        up = low_rank.up.view(*low_rank.up.shape, *(1 for _ in shape[2:]))
        factors[f"{prefix}.{name}.lora_A.weight"] = down.detach().half().cpu().contiguous()
        factors[f"{prefix}.{name}.lora_B.weight"] = up.detach().half().cpu().contiguous()
    return factors


def save_adapter(network: nn.Module, folder: Path) -> None:
    """Write an adapted network's factors to `folder`/pytorch_lora_weights.safetensors, as diffusers would."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(adapter_of(network), folder / FILE, metadata={"format": "pt"})


@torch.no_grad()
def load_adapter(network: nn.Module, folder: Path, prefix: str = "unet") -> None:
    """Copy the factors that `save_adapter` wrote into an adapted network of the same rank."""
    factors = load_file(folder / FILE)
    for name, layer in _adapted(network):
        low_rank = layer.parametrizations["weight"][0]
        low_rank.down.copy_(factors[f"{prefix}.{name}.lora_A.weight"].view_as(low_rank.down))
        low_rank.up.copy_(factors[f"{prefix}.{name}.lora_B.weight"].view_as(low_rank.up))


def _adapted(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the adapted layers with their names."""
    for name, layer in network.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            yield name, layer
