"""LoRA adapters (Hu et al., 2106.09685), fused: W becomes W + strength · alpha / rank · up down."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn

from smd_cli.errors import AssetError
from smd_cli.models.weights import LORA_TENSOR

_KOHYA = {"unet": "lora_unet", "text_encoder": "lora_te"}
"""What kohya's trainer calls the networks; it writes a layer's path with underscores for dots."""


@dataclass
class _Layer:
    """What a file holds for one layer: factors down (r, in, ...) and up (out, r, ...); alpha None means r."""

    down: Tensor | None = None
    up: Tensor | None = None
    alpha: float | None = None

    def fits(self, weight: Tensor) -> bool:
        """Whether there are both factors, and their product has the shape of `weight`."""
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


def fuse_lora(path: Path, strength: float, networks: Mapping[str, nn.Module]) -> None:
    """Add `strength` times a LoRA to the weights of the networks ('unet', 'text_encoder'), in place.

    Reads the files of kohya's trainer and of every diffusers version. All of a file fits, or nothing changes.

    Raises:
        AssetError: made for a model of another shape.
    """
    layers = _read(path)
    weights = {
        alias: module.weight.data
        for part, network in networks.items()
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        for alias in _aliases(part, name)
    }
    misfits = [name for name, layer in layers.items() if name not in weights or not layer.fits(weights[name])]
    if misfits:
        raise AssetError(
            f"{path}: this LoRA was made for another model; {len(misfits)} of its {len(layers)} layers "
            f"do not fit, such as {misfits[0]}"
        )
    for name, layer in layers.items():
        layer.add_to(weights[name], strength)


def _aliases(part: str, name: str) -> Iterator[str]:
    """Every name under which files know a layer of a network."""
    for known in [name] if part == "unet" else [name, f"text_model.{name}"]:
        yield f"{part}.{known}"
        yield f"{_KOHYA[part]}_{known}".replace(".", "_")
        yield re.sub(r"\.to_(q|k|v|out)(\.0)?$", r".processor.to_\1_lora", f"{part}.{known}")
        yield re.sub(r"\.(q|k|v|out)_proj$", r".to_\1_lora", f"{part}.{known}")


def _read(path: Path) -> dict[str, _Layer]:
    """The layers of a file by the names it gives them."""
    layers: dict[str, _Layer] = {}
    with safe_open(path, framework="pt") as file:
        alphas = _noted_alphas(path, file.metadata() or {})
        for name in file.keys():  # noqa: SIM118 - no mapping
            match = LORA_TENSOR.fullmatch(name)
            if match is None:
                raise AssetError(f"{path}: {name} belongs to no plain LoRA")
            layer = layers.setdefault(match["layer"], _Layer(alpha=alphas.get(name.split(".")[0])))
            tensor = file.get_tensor(name)
            if match["factor"] is None:
                layer.alpha = float(tensor)
            elif match["factor"] in ("down", "A"):
                layer.down = tensor
            else:
                layer.up = tensor
    return layers


def _noted_alphas(path: Path, metadata: dict[str, str]) -> dict[str, float]:
    """Alpha of each network, from the note that newer diffusers versions leave in a file's header."""
    note = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    for option in ("alpha_pattern", "use_rslora", "use_dora"):
        if any(note.get(f"{part}.{option}") for part in _KOHYA):
            raise AssetError(f"{path}: not a plain LoRA (its header asks for {option})")
    return {part: note[f"{part}.lora_alpha"] for part in _KOHYA if f"{part}.lora_alpha" in note}
