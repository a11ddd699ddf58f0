"""The embedded model, loaded once for all tests of a process."""

from functools import cache

import torch

from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load


@cache
def backbone() -> Backbone:
    """Return the model as few-step samplers need it, in float32 on the CPU; tests leave it as it is."""
    return load(locate(ModelSpec("flatland"), few_step=True), torch.device("cpu"), torch.float32)
