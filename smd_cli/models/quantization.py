"""Weights of large layers in 8 bits with a scale for each row, by torchao; the rest is as the dtype says."""

from collections.abc import Mapping
from importlib.util import find_spec
from math import prod

import torch
from torch import nn

from smd_cli.errors import DeviceError

LARGE = 2**14
"""The least numbers of a weight that is worth a scale for each row."""

_CONFIGS = {"int8": "Int8WeightOnlyConfig", "fp8": "Float8WeightOnlyConfig"}
_EMBEDDINGS = ("embed_tokens.weight", "token_embedding.weight", "position_embedding.weight", "shared.weight")


def check_weights(kind: str, device: torch.device) -> None:
    """Check that weights can be of a kind, one of `smd_cli.placement.WEIGHTS`.

    Raises DeviceError: not on that device, or a library is missing.
    """
    if kind == "full":
        return
    if device.type == "mps":
        raise DeviceError(f"weights {kind}: not on mps; choose full, or another device")
    if find_spec("torchao") is None:
        raise DeviceError(f"weights {kind}: needs torchao; pip install 'smd-cli[quantize]', or choose full")


def quantize(network: nn.Module, kind: str) -> None:
    """Round the weights of a network's large linear layers to 8 bits, in place."""
    from torchao import quantization

    config = getattr(quantization, _CONFIGS[kind])()
    quantization.quantize_(network, config, lambda module, name: _is_large(module))


def quantized_bytes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return the bytes of those tensors of a network that are kept in 8 bits, by name, with their scales."""
    return {
        name: prod(shape) + 4 * shape[0]
        for name, shape in shapes.items()
        if len(shape) == 2 and prod(shape) >= LARGE and not name.endswith(_EMBEDDINGS)
    }


def _is_large(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) and module.weight.numel() >= LARGE
