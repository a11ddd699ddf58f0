"""One network of a checkpoint: built from its config, filled from its weights, ready to be asked."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors import safe_open
from torch import Tensor

from smd_cli.errors import AssetError
from smd_cli.models.assets import Part
from smd_cli.models.facts import Config, read_config

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class FileLayout:
    """How a network lies in a single file.

    Attributes:
        start: how the names of its tensors begin there; a file of this network alone has names without it.
        convert: gives the tensors the names that the network of that config has.
    """

    start: str
    convert: Callable[[Weights, Config], Weights]


def load_part(network: Any, layout: FileLayout, part: Part, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """A network of class `network` (diffusers and transformers have no types), evaluating, without gradients.

    Args:
        network: the class.
        layout: how it lies in a single file.
        part: where config and weights are.
        dtype: of the result.

    Raises:
        AssetError: the weights do not fill the network that the config describes.
    """
    try:
        if part.weights.parent == part.config:
            model, missing = _fill_from_folder(network, part, dtype)
        else:
            model, missing = _fill_from_file(network, layout, part, dtype)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise AssetError(f"{part.weights}: does not fit {part.config} ({reason(error)})") from error
    if missing:
        raise AssetError(
            f"{part.weights}: lacks {len(missing)} of the model's tensors, such as {min(missing)}"
        )
    return model.eval().requires_grad_(requires_grad=False)


def _fill_from_folder(network: Any, part: Part, dtype: torch.dtype) -> tuple[Any, Collection[str]]:  # noqa: ANN401
    model, report = network.from_pretrained(
        part.config,
        dtype=dtype,
        variant="fp16" if part.weights.name.endswith(".fp16.safetensors") else None,
        use_safetensors=True,
        local_files_only=True,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    for name, found, expected in sorted(report["mismatched_keys"]):
        raise ValueError(f"{name} is of shape {tuple(found)} instead of {tuple(expected)}")
    return model, report["missing_keys"]


def _fill_from_file(
    network: Any,  # noqa: ANN401
    layout: FileLayout,
    part: Part,
    dtype: torch.dtype,
) -> tuple[Any, Collection[str]]:
    config = read_config(part.config)
    with init_empty_weights():
        from_transformers = hasattr(network, "config_class")
        model = (
            network(network.config_class.from_dict(config))
            if from_transformers
            else network.from_config(config)
        )
    with safe_open(part.weights, framework="pt") as file:
        names = list(file.keys())
        own = [name for name in names if name.startswith(layout.start)] or names
        tensors = {name: file.get_tensor(name) for name in own}
    weights = {name: tensor.to(dtype) for name, tensor in layout.convert(tensors, config).items()}
    return model, model.load_state_dict(weights, strict=False, assign=True).missing_keys


def reason(error: Exception) -> str:
    """The first sentence of a library's error, on one line."""
    return " ".join(str(error).split()).split(". ")[0] or type(error).__name__
