"""NaN and infinity: noticed where they arise, and traced to the file or the setting that they come from."""

import torch
from torch import Tensor

from smd_cli.core.guidance import Guidance
from smd_cli.errors import SmdError
from smd_cli.models.backbone import Backbone
from smd_cli.models.faults import faulty_files


def is_finite(tensor: Tensor) -> bool:
    """Tell whether all numbers are finite; waits for the device that they are made on."""
    return bool(tensor.isfinite().all())


def infinity_as_nan(tensor: Tensor) -> Tensor:
    """Replace infinity by NaN, which no clamping or saturation makes a plausible number of."""
    return torch.where(tensor.isfinite(), tensor, torch.nan)


def not_finite(backbone: Backbone, place: str, guidance: Guidance | None = None) -> SmdError:
    """Make the error for NaN or infinity that arose at a `place` of a render, under a `guidance`.

    It is an AssetError where files of the model hold them, which are searched for it.
    """
    if faults := faulty_files(backbone.assets, backbone.dtype):
        return faults
    ways = []
    if guidance is not None and guidance.kind != "none":
        ways.append(f"lower sampler.guidance_scale ({guidance.scale:g})")
    if backbone.assets.loras:
        path, weight = max(backbone.assets.loras, key=lambda lora: abs(lora[1]))
        ways.append(f"lower the weight of {path.name} ({weight:g})")
    if backbone.assets.local_loras:
        names = ", ".join(path.name for path in backbone.assets.local_loras.values())
        ways.append(f"lower the weights of the regions' LoRAs ({names})")
    if backbone.dtype != torch.float32:
        ways.append("compute in --dtype float32")
    way_out = ", or ".join(ways) or "check that the model's configs belong to its weights"
    return SmdError(f"{place}: the model makes NaN or infinity, though its files hold none; {way_out}")
