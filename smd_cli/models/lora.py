"""LoRA adapters (2106.09685), fused into the weights they adapt."""

import re
from pathlib import Path
from typing import Any

from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from smd_cli.errors import AssetError
from smd_cli.models.components import first_line
from smd_cli.models.weights import read_shapes

_UP = re.compile(r"lora[_.]up|lora_B|lora_linear_layer\.up")
"""In the name of the second factor of each adapted layer, in every published layout."""


class _Adapted(StableDiffusionLoraLoaderMixin):  # type: ignore[misc]  # diffusers has no types
    """The two networks of a pipeline that a LoRA can adapt, without the pipeline."""

    hf_device_map = None
    components: dict[str, Any] = {}  # noqa: RUF012 - read only

    def __init__(self, unet: nn.Module, text_encoder: nn.Module) -> None:
        self.unet = unet
        self.text_encoder = text_encoder

    def count(self) -> int:
        """How many layers an adapter hangs on."""
        modules = [*self.unet.modules(), *self.text_encoder.modules()]
        return sum(isinstance(module, BaseTunerLayer) for module in modules)


def fuse_lora(path: Path, weight: float, unet: nn.Module, text_encoder: nn.Module) -> None:
    """Add `weight` times a LoRA (diffusers or kohya layout) to the networks' own weights, in place.

    Raises:
        AssetError: made for a model of another shape.
    """
    adapted = _Adapted(unet, text_encoder)
    layers = sum(_UP.search(name) is not None for name in read_shapes(path))
    try:
        adapted.load_lora_weights(str(path.parent), weight_name=path.name, local_files_only=True)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise AssetError(f"{path}: this LoRA does not fit the model ({first_line(error)})") from error
    if adapted.count() != layers:
        raise AssetError(
            f"{path}: this LoRA was made for another model: {adapted.count()} of its {layers} layers fit"
        )
    adapted.fuse_lora(lora_scale=weight)
    adapted.unload_lora_weights()
