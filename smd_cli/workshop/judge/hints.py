"""What networks that look for flaws are told beside a picture: the asked background, and the height."""

import torch
from torch import Tensor
from torch.nn import functional as F

from smd_cli.workshop.world.backgrounds import BACKGROUNDS

HINTS = 1 + len(BACKGROUNDS)
"""The number of planes."""


def index_of(background: str) -> int:
    """Return the number of a background of the world."""
    return list(BACKGROUNDS).index(background)


def with_hints(pixels: Tensor, backgrounds: Tensor, rows: Tensor | None = None) -> Tensor:
    """Add planes to pictures (N, 3, h, w) on these backgrounds (N,): the height, and which background it is.

    `rows` (N, 2) are the heights of the top and the bottom in the whole picture, 0 and 1 if None.
    """
    count, _, h, w = pixels.shape
    top, bottom = (torch.zeros(1), torch.ones(1)) if rows is None else rows.to(pixels).unbind(1)
    share = torch.linspace(0, 1, h)
    height = (top[:, None] + (bottom - top)[:, None] * share).view(-1, 1, h, 1).expand(count, 1, h, w)
    named = F.one_hot(backgrounds, len(BACKGROUNDS)).to(pixels)[..., None, None].expand(-1, -1, h, w)
    return torch.cat((pixels, height, named), dim=1)
