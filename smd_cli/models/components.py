"""One network of a checkpoint: built from its config, filled from its weights, ready to be asked."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors import safe_open
from torch import Tensor

from smd_cli.errors import AssetError
from smd_cli.models.assets import ComponentFiles
from smd_cli.models.configs import Config, read_config

Network = Any  # diffusers and transformers have no types
Weights = dict[str, Tensor]

_RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Layers of attention as diffusers named them when many autoencoders were published, and as it does now."""


def load_component(network: Network, files: ComponentFiles, prefix: str, dtype: torch.dtype) -> Network:
    """Load a network, to evaluate without gradients.

    The libraries look for no file: they are given the config's content or its folder, and the tensors.

    Args:
        network: its class, of diffusers or transformers.
        files: where config and weights are.
        prefix: how the names of its tensors begin in a single-file checkpoint.
        dtype: of the result.

    Raises:
        AssetError: the weights do not fill the network that the config describes.
    """
    config = read_config(files.config)
    where = ", ".join(map(str, files.weights))
    try:
        tensors = _read(files.weights, prefix)
        if hasattr(network, "config_class"):
            model, missing = _fill_transformers(network, config, tensors, prefix, dtype)
        else:
            model, missing = _fill_diffusers(network, config, files, tensors, dtype)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise AssetError(f"{where}: does not fit {files.config} ({summary(error)})") from error
    if missing:
        raise AssetError(f"{where}: lacks {len(missing)} of the model's tensors, such as {min(missing)}")
    return model.eval().requires_grad_(requires_grad=False)


def summary(error: Exception) -> str:
    """Return the first sentence of a library's error, on one line."""
    return " ".join(str(error).split()).split(". ")[0] or type(error).__name__


def _read(paths: Iterable[Path], prefix: str) -> Weights:
    """Read a network's tensors: of a whole checkpoint those with its prefix, else all."""
    tensors: Weights = {}
    for path in paths:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            own = [name for name in names if name.startswith(prefix)] or names
            tensors |= {name: file.get_tensor(name) for name in own}
    return tensors


def _fill_transformers(
    network: Network,
    config: Config,
    tensors: Weights,
    prefix: str,
    dtype: torch.dtype,
) -> tuple[Network, Collection[str]]:
    """Return a network of transformers, which knows its former names of tensors, and the names it misses."""
    model, report = network.from_pretrained(
        None,
        config=network.config_class.from_dict(config),
        state_dict={name.removeprefix(prefix): tensor for name, tensor in tensors.items()},
        dtype=dtype,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    _check_shapes(report["mismatched_keys"])
    return model, report["missing_keys"]


def _fill_diffusers(
    network: Network,
    config: Config,
    files: ComponentFiles,
    tensors: Weights,
    dtype: torch.dtype,
) -> tuple[Network, Collection[str]]:
    """Return a network of diffusers and the names of the tensors that it misses."""
    with init_empty_weights():
        model = network.from_config(config)
    expected: Weights = model.state_dict()
    weights = {name if name in expected else _current_name(name): tensor for name, tensor in tensors.items()}
    if 2 * len(expected.keys() & weights.keys()) < len(expected) and hasattr(network, "from_single_file"):
        return _convert(network, files, tensors, dtype)
    weights = {name: tensor for name, tensor in weights.items() if name in expected}
    _check_shapes(
        (name, tensor.shape, expected[name].shape)
        for name, tensor in weights.items()
        if tensor.shape != expected[name].shape
    )
    cast = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in weights.items()
    }
    return model, model.load_state_dict(cast, strict=False, assign=True).missing_keys


def _current_name(name: str) -> str:
    """Return what diffusers now calls a tensor."""
    path, _, kind = name.rpartition(".")
    block, _, layer = path.rpartition(".")
    return f"{block}.{_RENAMED[layer]}.{kind}" if layer in _RENAMED else name


def _check_shapes(misfits: Iterable[tuple[str, Iterable[int], Iterable[int]]]) -> None:
    """Raise ValueError if a tensor, of (name, found shape, expected shape), does not fit."""
    for name, found, expected in sorted(misfits):
        raise ValueError(f"{name} is of shape {tuple(found)} instead of {tuple(expected)}")


def _convert(
    network: Network,
    files: ComponentFiles,
    tensors: Weights,
    dtype: torch.dtype,
) -> tuple[Network, Collection[str]]:
    """Let diffusers fill a network from tensors that bear the names of a single-file checkpoint.

    Its fast path stops at tensors that are missing or misshapen and does not name them all. Its slow path names
    the misshapen ones; given NaN for all numbers of the file, it leaves finite ones in missing tensors.
    """
    settings = {"config": str(files.config), "local_files_only": True}
    try:
        return network.from_single_file(tensors, dtype=dtype, **settings), ()
    except (NotImplementedError, ValueError):
        nothing = {name: torch.tensor(torch.nan).expand(tensor.shape) for name, tensor in tensors.items()}
        model = network.from_single_file(nothing, low_cpu_mem_usage=False, **settings)
    floats = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    return model, [name for name, tensor in floats.items() if tensor.isfinite().any()]
