"""Weights of the networks that look at pictures: float16 in files, float32 in networks."""

from pathlib import Path
from typing import TypeVar

from safetensors.torch import load_file, save_file
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def load_weights(network: Network, path: Path) -> Network:
    """Give a network the weights of a file, and return it, ready to be asked."""
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    return network.eval()


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights to a file."""
    save_file({name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}, path)
