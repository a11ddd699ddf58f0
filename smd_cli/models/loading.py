"""Located assets to a `Backbone`. The family's code, and diffusers with it, is imported when it is needed."""

from importlib import import_module

import torch

from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone
from smd_cli.models.families import FAMILIES


def load(assets: Assets, device: torch.device, dtype: torch.dtype) -> Backbone:
    """Read the weights into a backbone of the assets' family.

    Raises:
        AssetError: the weights do not fit their configs, or a LoRA does not fit the weights.
    """
    _hush()
    family = import_module(FAMILIES[assets.facts.family].module)
    backbone: Backbone = family.load(assets, device, dtype)
    return backbone


def _hush() -> None:
    """Keep the libraries' progress bars and advice off the terminal; failures still raise."""
    from diffusers.utils import logging as diffusers_log
    from transformers.utils import logging as transformers_log

    for log in (diffusers_log, transformers_log):
        log.set_verbosity_error()
        log.disable_progress_bar()
