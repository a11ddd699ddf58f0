"""Located assets to a `Backbone`. The family's libraries are imported when a model is loaded."""

from threading import Lock

import torch

from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone

_LOADING = Lock()  # networks are built on torch's meta device by patching torch, for all threads alike


def load(assets: Assets, device: torch.device, dtype: torch.dtype) -> Backbone:
    """Read the weights into a backbone of the assets' family.

    Raises:
        AssetError: the weights do not fit their configs, or a LoRA does not fit the weights.
    """
    with _LOADING:
        _silence_libraries()
        return assets.family.load(assets, device, dtype)


def _silence_libraries() -> None:
    """Keep the libraries' progress bars and advice off the terminal; failures still raise."""
    from diffusers.utils import logging as diffusers_log
    from transformers.utils import logging as transformers_log

    for log in (diffusers_log, transformers_log):
        log.set_verbosity_error()
        log.disable_progress_bar()
