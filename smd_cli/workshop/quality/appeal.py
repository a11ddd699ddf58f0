"""How properly drawn a picture looks to the critic, to say which of two pictures of a scene is preferred."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from smd_cli.workshop.judge.critic import SIDE, Critic
from smd_cli.workshop.judge.crops import pixels_of
from smd_cli.workshop.judge.hints import index_of
from smd_cli.workshop.judge.network import to_tensor
from smd_cli.workshop.quality.random_scenes import PixelBox, RandomScene, square_around

AROUND = 0.2
"""What the critic sees beside a region's box, on each side, as a share of its longer side."""


@torch.inference_mode()
def appeal_of(critic: Critic, scene: RandomScene, image: Image.Image) -> float:
    """Return the mean of the critic's scores of a scene's regions: of two pictures the higher is better."""
    squares = [square_around(_grown(region.box), image.size) for region in scene.regions]
    crops = [image.resize((SIDE, SIDE), Image.Resampling.BOX, box=square) for square in squares]
    rows = torch.tensor([(top, bottom) for _, top, _, bottom in squares]) / image.height
    backgrounds = torch.full((len(crops),), index_of(scene.background))
    return float(critic(to_tensor(pixels_of(crops)), backgrounds, rows).mean())


def preferred(appeal: float, other: float) -> float:
    """Return 1 for a picture that is preferred to another one, 0 if that one is, and 0.5 if none is."""
    return float(np.heaviside(appeal - other, 0.5))


def _grown(box: PixelBox) -> PixelBox:
    left, top, right, bottom = box
    by = round(AROUND * max(right - left, bottom - top))
    return left - by, top - by, right + by, bottom + by
