"""A backbone whose networks are on its device, or in memory at all, only while they are used."""

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor

from smd_cli.core.guidance import ModelInput
from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone, InnerBackbone
from smd_cli.models.components import Destination
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.family import Family
from smd_cli.models.residence import Guest, Moved, Read, Reread, Residence, Streamed

ENCODERS, DENOISER, AUTOENCODER = "encoders", "denoiser", "autoencoder"
"""What a model is asked for, and with it the networks that answer."""


class ThriftyBackbone(InnerBackbone):
    """A backbone whose networks are here only while they are used; `memory` is `low` or `medium`."""

    def __init__(self, inner: Backbone, residence: Residence, memory: str) -> None:
        super().__init__(inner)
        self.residence = residence
        self.memory = memory

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts into N rows."""
        with self.residence.using(ENCODERS):
            return self.inner.encode_prompts(prompts)

    def prepare(self, table: Conditioning) -> Conditioning:
        """Add to prompts what `predict` would otherwise compute from them at every evaluation."""
        with self.residence.using(DENOISER):
            return self.inner.prepare(table)

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Predict for N rows under N rows of conditioning."""
        with self.residence.using(DENOISER):
            return self.inner.predict(asked, conditioning)

    def encode_image(self, pixels: Tensor, *, precise: bool = False) -> Tensor:
        """Encode pixels (B, 3, H, W) into scaled latents (B, C, h, w)."""
        with self.residence.using(AUTOENCODER):
            return self.inner.encode_image(pixels, precise=precise)

    def decode(self, latents: Tensor, *, precise: bool = False) -> Tensor:
        """Decode scaled latents (B, C, h, w) into pixels (B, 3, H, W)."""
        with self.residence.using(AUTOENCODER):
            return self.inner.decode(latents, precise=precise)


def memory_of(backbone: Backbone) -> str:
    """Return which of `smd_cli.placement.PLACEMENTS` a model has been loaded for, whatever is around it."""
    layer: object = backbone
    while layer is not None and not isinstance(layer, ThriftyBackbone):
        layer = getattr(layer, "inner", None)
    return "high" if layer is None else layer.memory


def has_own_memory(device: torch.device) -> bool:
    """Tell whether a device has memory beside the CPU's, where networks can lie meanwhile."""
    return device.type == "cuda"


def purpose_of(family: Family, component: str) -> str:
    """Return what a model is asked for that this component of it answers."""
    special = {family.denoiser: DENOISER, family.autoencoder: AUTOENCODER}
    return special.get(component, ENCODERS)


def elsewhere(assets: Assets, device: torch.device, memory: str, weights: str) -> Mapping[str, torch.device]:
    """Return where networks lie until they are used, those that do not lie on the device, by component.

    Beside a CPU that is nowhere: they are read when they are used. The autoencoder is small, and stays. What
    comes to a GPU in 8 bits is made on the CPU, for it may not fit there before.
    """
    is_small_there = weights != "full" and has_own_memory(device)
    if device.type == "meta" or (memory == "high" and not is_small_there):
        return {}
    if not has_own_memory(device):
        meta, family = torch.device("meta"), assets.family
        return {name: meta for name in assets.components if purpose_of(family, name) != AUTOENCODER}
    return dict.fromkeys(assets.components, torch.device("cpu"))


def settle(family: Family, to: Destination, memory: str, read: Read) -> Residence:
    """Give the networks that lie elsewhere to a residence; `read` reads some of them again."""
    by_purpose: dict[str, dict[str, torch.nn.Module]] = defaultdict(dict)
    for name, network in to.networks.items():
        by_purpose[purpose_of(family, name)][name] = network
    guests: dict[str, Guest] = {}
    for purpose, networks in by_purpose.items():
        if not has_own_memory(to.device):
            guests[purpose] = Reread(networks, read)
        elif memory == "low" and purpose != AUTOENCODER:
            guests[purpose] = Streamed(list(networks.values()), to.device)
        else:
            guests[purpose] = Moved(list(networks.values()), to.device)
    return Residence(guests, staying=() if has_own_memory(to.device) else (AUTOENCODER,))
