"""One network of a checkpoint: built from its config, filled from its weights, ready to be asked."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors.torch import load_file
from torch import Tensor

from smd_cli.errors import AssetError
from smd_cli.models.assets import Part
from smd_cli.models.facts import Config, read_config

Weights = dict[str, Tensor]
Convert = Callable[[Weights, Config], Weights]
Filled = tuple[Any, Collection[str]]


def load_part(network: Any, part: Part, dtype: torch.dtype, convert: Convert) -> Any:  # noqa: ANN401
    """A network of class `network` (diffusers and transformers have no types), evaluating, without gradients.

    Args:
        network: the class.
        part: where config and weights are.
        dtype: of the result.
        convert: picks and renames the network's tensors out of a single file.

    Raises:
        AssetError: the weights do not fill the network that the config describes.
    """
    fill = (
        _fill_from_folder if part.weights.parent == part.config else partial(_fill_from_file, convert=convert)
    )
    try:
        model, missing = fill(network, part, dtype)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise AssetError(f"{part.weights}: does not fit {part.config} ({first_line(error)})") from error
    if missing:
        raise AssetError(
            f"{part.weights}: lacks {len(missing)} of the model's tensors, such as {min(missing)}"
        )
    return model.eval().requires_grad_(requires_grad=False)


def _fill_from_folder(network: Any, part: Part, dtype: torch.dtype) -> Filled:  # noqa: ANN401
    model, report = network.from_pretrained(
        part.config,
        dtype=dtype,
        variant="fp16" if part.weights.name.endswith(".fp16.safetensors") else None,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    return model, report["missing_keys"]


def _fill_from_file(network: Any, part: Part, dtype: torch.dtype, convert: Convert) -> Filled:  # noqa: ANN401
    config = read_config(part.config)
    with init_empty_weights():
        transformer = hasattr(network, "config_class")
        model = (
            network(network.config_class.from_dict(config)) if transformer else network.from_config(config)
        )
    weights = {name: tensor.to(dtype) for name, tensor in convert(load_file(part.weights), config).items()}
    report = model.load_state_dict(weights, strict=False, assign=True)
    return model, report.missing_keys


def first_line(error: Exception) -> str:
    """What a library's error says first."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
