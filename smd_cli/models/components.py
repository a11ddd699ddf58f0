"""One network of a checkpoint: built from its config, filled from its weights, ready to be asked."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor

from smd_cli.errors import AssetError
from smd_cli.models.configs import Config, read_config
from smd_cli.models.networks import ComponentFiles
from smd_cli.models.weights import open_weights, own_names

Network = Any  # diffusers and transformers have no types
Weights = dict[str, Tensor]
Filled = tuple[Network, Collection[str]]  # a network, and the names of the tensors that it still lacks

_RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Layers of attention as diffusers named them when many autoencoders were published, and as it does now."""


def read_tensors(files: ComponentFiles, prefix: str) -> Weights:
    """Read the tensors of a network: of a whole checkpoint those with its prefix, else all.

    Raises:
        AssetError: as `open_weights`.
    """
    tensors: Weights = {}
    for path in files.weights:
        with open_weights(path, "pt") as file:
            tensors |= {name: file.get_tensor(name) for name in own_names(file.keys(), prefix)}
    return tensors


@dataclass(frozen=True)
class Destination:
    """Where tensors go: their device and dtype, and who is told how many more have come there.

    Files are read as late as that: until then their tensors are maps of them.
    """

    device: torch.device
    dtype: torch.dtype
    arrived: Callable[[int], None]

    def take(self, tensors: Weights) -> Weights:
        """Bring tensors there, one after the other."""
        taken = {}
        for name, tensor in tensors.items():
            taken[name] = tensor.to(self.device, self.dtype if tensor.is_floating_point() else tensor.dtype)
            self.arrived(1)
        return taken


def load_component(network: Network, files: ComponentFiles, tensors: Weights, to: Destination) -> Network:
    """Load a network, to evaluate without gradients.

    The libraries look for no file: they are given the tensors, and the config or the folder that holds it.

    Args:
        network: its class, of diffusers or transformers.
        files: where its config is, and whence its tensors are.
        tensors: its weights, under names that its library knows; diffusers knows those of single files too.
        to: device and dtype of the result.

    Raises:
        AssetError: the weights do not fill the network that the config describes.
    """
    config = read_config(files.config)
    where = ", ".join(map(str, files.weights))
    try:
        if hasattr(network, "config_class"):
            model, missing = _fill_transformers(network, config, tensors, to)
        else:
            model, missing = _fill_diffusers(network, config, files.config, tensors, to)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise AssetError(f"{where}: does not fit {files.config} ({summary(error)})") from error
    if missing:
        raise AssetError(f"{where}: lacks {len(missing)} of the model's tensors, such as {min(missing)}")
    return model.to(to.device).eval().requires_grad_(requires_grad=False)


def summary(error: Exception) -> str:
    """Return the first sentence of a library's error, on one line."""
    return " ".join(str(error).split()).split(". ")[0] or type(error).__name__


def _fill_transformers(network: Network, config: Config, tensors: Weights, to: Destination) -> Filled:
    """Fill a network of transformers, which knows the names that its tensors had formerly."""
    model, report = network.from_pretrained(
        None,
        config=network.config_class.from_dict(config),
        state_dict=tensors,
        dtype=to.dtype,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    to.arrived(len(tensors))
    _check_shapes(report["mismatched_keys"])
    return model, report["missing_keys"]


def _fill_diffusers(
    network: Network, config: Config, folder: Path, tensors: Weights, to: Destination
) -> Filled:
    """Fill a network of diffusers, whose config is in `folder`; the names tell a single file's tensors."""
    with init_empty_weights():
        model = network.from_config(config)
    expected: Weights = model.state_dict()
    named = {name if name in expected else _current_name(name): tensor for name, tensor in tensors.items()}
    weights = {name: tensor for name, tensor in named.items() if name in expected}
    if 2 * len(weights) < len(expected) and hasattr(network, "from_single_file"):
        return _fill_from_single_file(network, folder, tensors, to)
    _check_shapes(
        (name, tensor.shape, expected[name].shape)
        for name, tensor in weights.items()
        if tensor.shape != expected[name].shape
    )
    missing = model.load_state_dict(to.take(weights), strict=False, assign=True).missing_keys
    if others := len(tensors) - len(weights):  # the network has no place for them
        to.arrived(others)
    return model, missing


def _current_name(name: str) -> str:
    """Return what diffusers now calls a tensor."""
    path, _, kind = name.rpartition(".")
    block, _, layer = path.rpartition(".")
    return f"{block}.{_RENAMED[layer]}.{kind}" if layer in _RENAMED else name


def _check_shapes(misfits: Iterable[tuple[str, Iterable[int], Iterable[int]]]) -> None:
    """Raise ValueError if a tensor, of (name, found shape, expected shape), does not fit."""
    for name, found, expected in sorted(misfits):
        raise ValueError(f"{name} is of shape {tuple(found)} instead of {tuple(expected)}")


def _fill_from_single_file(network: Network, folder: Path, tensors: Weights, to: Destination) -> Filled:
    """Let diffusers fill a network from tensors that bear the names of a single-file checkpoint.

    Its fast path stops at tensors that are missing or misshapen and does not name them all. Its slow path
    names the misshapen ones; given NaN for all numbers of the file, it leaves finite ones in missing tensors.
    """
    settings = {"config": str(folder), "local_files_only": True}
    try:
        model = network.from_single_file(tensors, dtype=to.dtype, **settings)
    except (NotImplementedError, ValueError):
        nothing = {name: torch.tensor(torch.nan).expand(tensor.shape) for name, tensor in tensors.items()}
        model = network.from_single_file(nothing, low_cpu_mem_usage=False, **settings)
        floats = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
        missing = [name for name, tensor in floats.items() if tensor.isfinite().any()]
        if not missing:  # then something else is wrong, and there is no model
            raise
        return model, missing
    to.arrived(len(tensors))
    return model, ()
