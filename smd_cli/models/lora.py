"""LoRA adapters (Hu et al., 2106.09685), fused: W becomes W + strength · alpha / rank · up down."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import loaders
from diffusers.utils.state_dict_utils import (
    StateDictType,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from safetensors import safe_open
from torch import Tensor, nn

from smd_cli.errors import AssetError
from smd_cli.models.components import summary
from smd_cli.models.family import Family

Networks = Mapping[str, Any]
"""The modules of a family's components; diffusers and transformers have no types."""

Values = Mapping[str, Any]
"""What a file holds, by name: tensors, and the alphas that diffusers makes numbers of."""

_VALUE = re.compile(r"(?P<layer>.+?)(\.lora_(?P<factor>A|down|B|up)\.weight)?(?P<alpha>\.alpha)?")
"""Name of a value: of a layer its alpha, or its first (A, down) or second (B, up) factor."""

_PEFT = "base_model.model."
"""How names begin in files of the peft library, which do not say which network they are for: the denoiser."""


@dataclass
class _Layer:
    """What a file holds for one layer: factors down (r, in, ...) and up (out, r, ...); alpha None means r."""

    down: Tensor | None = None
    up: Tensor | None = None
    alpha: float | None = None

    def fits(self, weight: Tensor) -> bool:
        """Tell whether there are both factors, and their product has the shape of `weight`."""
        if self.down is None or self.up is None or self.up.shape[1] != len(self.down):
            return False
        return (len(self.up), *self.down.shape[1:]) == weight.shape

    def add_to(self, weight: Tensor, strength: float) -> None:
        """Add the product to a weight that it fits, in place; computed in float32."""
        if self.down is None or self.up is None:
            return
        up, down = (factor.to(weight.device).float().flatten(1) for factor in (self.up, self.down))
        scale = 1.0 if self.alpha is None else self.alpha / len(down)
        weight.copy_(weight.float() + strength * scale * (up @ down).view_as(weight))


def fuse_lora(path: Path, strength: float, networks: Networks, family: Family) -> None:
    """Add `strength` times a LoRA to the weights of a family's networks, in place.

    Reads every format that diffusers reads: its own, old and new, kohya's and peft's. All of a file fits, or
    nothing changes. `networks` are by component; those that no LoRA changes may be among them.

    Raises:
        AssetError: made for a model of another shape.
    """
    layers = _read(path, networks, family)
    weights = {
        f"{component}.{name}": module.weight.data
        for component in family.lora.components
        if component in networks
        for name, module in networks[component].named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
    misfits = [name for name, layer in layers.items() if name not in weights or not layer.fits(weights[name])]
    if misfits:
        raise AssetError(
            f"{path}: this LoRA was made for another model; {len(misfits)} of its {len(layers)} layers "
            f"do not fit, such as {misfits[0]}"
        )
    for name, layer in layers.items():
        layer.add_to(weights[name], strength)


def _read(path: Path, networks: Networks, family: Family) -> dict[str, _Layer]:
    """Read the layers of a file, by component and the name of the module in it."""
    with safe_open(path, framework="pt") as file:
        alphas = _alphas_in_header(path, file.metadata() or {}, family)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    layers: dict[str, _Layer] = {}
    for name, value in _convert(path, tensors, networks, family).items():
        match = _VALUE.fullmatch(name)
        if match is None or not (match["factor"] or match["alpha"]):
            raise AssetError(f"{path}: {name} belongs to no plain LoRA")
        layer = layers.setdefault(match["layer"], _Layer(alpha=alphas.get(name.split(".")[0])))
        if match["alpha"]:
            layer.alpha = float(value)
        elif match["factor"] in ("A", "down"):
            layer.down = value
        else:
            layer.up = value
    return layers


def _convert(path: Path, tensors: Values, networks: Networks, family: Family) -> Values:
    """Give what a file holds the names of components and their modules.

    Raises:
        AssetError: diffusers does not know the names, or leaves some out.
    """
    loader = getattr(loaders, family.lora.loader)
    try:
        found = loader.lora_state_dict(dict(tensors), unet_config=networks[family.denoiser].config)
    except Exception as error:  # the name tables of diffusers fail in many ways
        raise AssetError(
            f"{path}: this LoRA was made for another model; diffusers cannot read it ({summary(error):.200})"
        ) from error
    values, alphas = found if isinstance(found, tuple) else (found, None)
    converted = _module_names({**values, **(alphas or {})}, networks, family)
    lost = _count_factors(tensors) - _count_factors(converted)
    if lost > 0:
        raise AssetError(
            f"{path}: this LoRA was made for another model; {lost} of its tensors have no place in this one"
        )
    return converted


def _module_names(values: Values, networks: Networks, family: Family) -> Values:
    """Replace the names that diffusers has given to layers over the years by those of the modules."""
    of_denoiser: dict[str, Any] = {}
    of_encoders: dict[str, Any] = {}
    for full_name, value in values.items():
        name = full_name.removeprefix(_PEFT)
        if hasattr(networks[family.denoiser], name.split(".")[0]):
            name = f"{family.denoiser}.{name}"
        (of_denoiser if name.startswith(f"{family.denoiser}.") else of_encoders)[name] = value
    of_encoders = convert_state_dict_to_peft(of_encoders, original_type=StateDictType.DIFFUSERS_OLD)
    of_encoders = {_encoder_name(name, networks): value for name, value in of_encoders.items()}
    converted: Values = convert_unet_state_dict_to_peft({**of_denoiser, **of_encoders})
    return converted


def _encoder_name(name: str, networks: Networks) -> str:
    """Leave out the module text_model where transformers has none of that name any more."""
    component, _, rest = name.partition(".")
    if component in networks and not hasattr(networks[component], "text_model"):
        rest = rest.removeprefix("text_model.")
    return f"{component}.{rest}"


def _count_factors(values: Values) -> int:
    return sum(not name.endswith(".alpha") for name in values)


def _alphas_in_header(path: Path, metadata: dict[str, str], family: Family) -> dict[str, float]:
    """Read the alpha of each component that newer diffusers versions write into a file's header.

    Raises:
        AssetError: the header asks for another formula.
    """
    header = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    components = family.lora.components
    for option in ("alpha_pattern", "use_rslora", "use_dora"):
        if any(header.get(f"{component}.{option}") for component in components):
            raise AssetError(f"{path}: not a plain LoRA (its header asks for {option})")
    return {
        component: header[f"{component}.lora_alpha"]
        for component in components
        if f"{component}.lora_alpha" in header
    }
