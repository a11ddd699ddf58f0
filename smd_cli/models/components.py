"""One network of a checkpoint: built from its config, filled from its weights, ready to be asked."""

from typing import Any, TypeVar

import torch
from torch import nn

from smd_cli.errors import AssetError
from smd_cli.models.assets import Assets

Network = TypeVar("Network", bound=nn.Module)


def load_component(network: type[Network], assets: Assets, name: str, dtype: torch.dtype) -> Network:
    """A component of a diffusers folder, in evaluation mode and without gradients.

    Raises:
        AssetError: the weights do not fill the network that the config describes.
    """
    path = assets.weights[name]
    loader: Any = network
    try:
        model, report = loader.from_pretrained(
            path.parent,
            dtype=dtype,
            variant="fp16" if path.name.endswith(".fp16.safetensors") else None,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise AssetError(
            f"{path}: does not fit its config.json ({str(error).strip().splitlines()[0]})"
        ) from error
    require_filled(path, report["missing_keys"])
    loaded: Network = model
    return freeze(loaded)


def require_filled(path: object, missing: set[str] | list[str]) -> None:
    """Refuse weights that leave parts of a network at random values."""
    if missing:
        raise AssetError(f"{path}: lacks {len(missing)} of the model's tensors, such as {min(missing)}")


def freeze(model: Network) -> Network:
    """Evaluation mode, no gradients."""
    model.eval()
    model.requires_grad_(False)
    return model
