"""Located assets to a `Backbone`. The family's code is imported when it is needed."""

from importlib import import_module

import torch

from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone
from smd_cli.models.families import FAMILIES


def load(assets: Assets, device: torch.device, dtype: torch.dtype) -> Backbone:
    """Read the weights into a backbone of the assets' family.

    Raises:
        AssetError: the weights do not fit their configs.
    """
    family = import_module(FAMILIES[assets.facts.family].module)
    backbone: Backbone = family.load(assets, device, dtype)
    return backbone
