"""A LoRA (Hu et al., arXiv 2106.09685) over every linear and convolution layer of a network, and its file."""

from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

Network = TypeVar("Network", bound=nn.Module)


class LowRank(nn.Module):
    """Adds up @ down to a weight (out, in, ...): up (out, r) starts at zero, down is (r, in ...)."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        width = weight[0].numel()
        self.down = nn.Parameter(torch.randn(rank, width, generator=generator) / width**0.5)
        self.up = nn.Parameter(torch.zeros(len(weight), rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted weight."""
        return weight + (self.up @ self.down).view_as(weight)


def adapt(network: Network, rank: int, seed: int) -> Network:
    """Freeze a network and give its layers low-rank adapters that can learn, in place."""
    generator = torch.Generator().manual_seed(seed)
    network.requires_grad_(False)
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank, generator))
    return network


def adapter_of(network: nn.Module, prefix: str = "unet") -> dict[str, Tensor]:
    """Return an adapted network's factors, fp16, by the names that diffusers gives them."""
    factors = {}
    for name, layer in network.named_modules():
        if not parametrize.is_parametrized(layer, "weight"):
            continue
        low_rank = layer.parametrizations["weight"][0]
        shape = layer.weight.shape
        down = low_rank.down.view(-1, *shape[1:])
        up = low_rank.up.view(*low_rank.up.shape, *(1 for _ in shape[2:]))
        factors[f"{prefix}.{name}.lora_A.weight"] = down.detach().half().contiguous()
        factors[f"{prefix}.{name}.lora_B.weight"] = up.detach().half().contiguous()
    return factors


def save_adapter(network: nn.Module, folder: Path) -> None:
    """Write an adapted network's factors as diffusers would: `folder`/pytorch_lora_weights.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(adapter_of(network), folder / "pytorch_lora_weights.safetensors", metadata={"format": "pt"})
