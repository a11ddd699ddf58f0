"""Located assets to a `Backbone`. The family's libraries are imported when a model is loaded."""

from collections.abc import Callable, Mapping
from threading import Lock

import torch

from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone
from smd_cli.models.components import Destination, Network, load_networks
from smd_cli.models.lora import fuse_lora
from smd_cli.models.spec import asked_for
from smd_cli.models.weights import own_names, read_shapes

_LOADING = Lock()  # networks are built on torch's meta device by patching torch, for all threads alike


Reached = Callable[[int, int], None]
"""Told how many parts of how many have been read: the tensors of the networks, and LoRAs as one each."""


def load(
    assets: Assets, device: torch.device, dtype: torch.dtype, reached: Reached = lambda done, total: None
) -> Backbone:
    """Read the weights into a backbone of the assets' family.

    Raises:
        AssetError: the weights do not fit their configs, or a LoRA does not fit the weights.
    """
    done, total = 0, _parts(assets)

    def arrived(more: int) -> None:
        nonlocal done
        done += more
        reached(done, total)

    with _LOADING, asked_for(assets.base.reference, "base"):
        _silence_libraries()
        return assets.family.load(assets, Destination(device, dtype, arrived))


def load_fused(assets: Assets, to: Destination) -> Mapping[str, Network]:
    """Read a model's networks, by the names of its family's components, and fuse its LoRAs into them.

    Raises AssetError: the weights do not fill what the configs describe, or a LoRA does not fit them.
    """
    # convolutions run faster on pixels that lie together, but for Apple's
    memory = torch.preserve_format if to.device.type == "mps" else torch.channels_last
    networks = {name: each.to(memory_format=memory) for name, each in load_networks(assets, to).items()}
    for index, (path, strength) in enumerate(assets.loras):
        with asked_for(path, *assets.spec.lora_part(index)):
            fuse_lora(path, strength, networks, assets.family)
        to.arrived(1)
    return networks


def check_loading(assets: Assets) -> None:
    """Load a model onto a device that holds no numbers: all but these is looked at, and no weight is read.

    Raises AssetError: as `load`.
    """
    load(assets, torch.device("meta"), torch.float32)


def _parts(assets: Assets) -> int:
    """Count what is read."""
    tensors = (
        len(own_names(read_shapes(path), assets.family.components[name].prefix))
        for name, files in assets.components.items()
        for path in files.weights
    )
    return sum(tensors) + len(assets.loras)


def _silence_libraries() -> None:
    """Keep the libraries' progress bars and advice off the terminal; failures still raise."""
    from diffusers.utils import logging as diffusers_log
    from transformers.utils import logging as transformers_log

    for log in (diffusers_log, transformers_log):
        log.set_verbosity_error()
        log.disable_progress_bar()
