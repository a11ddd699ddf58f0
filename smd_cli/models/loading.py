"""Located assets to a `Backbone`. The family's libraries are imported when a model is loaded."""

from collections.abc import Callable
from threading import Lock

import torch

from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone
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
    from smd_cli.models.components import Destination

    done, total = 0, _parts(assets)

    def arrived(more: int) -> None:
        nonlocal done
        done += more
        reached(done, total)

    with _LOADING, asked_for(assets.base.reference, "base"):
        _silence_libraries()
        return assets.family.load(assets, Destination(device, dtype, arrived))


def check_loading(assets: Assets) -> None:
    """Load a model onto a device that holds no numbers: all but these is looked at, and no weight is read.

    Raises AssetError: as `load`.
    """
    import torch

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
