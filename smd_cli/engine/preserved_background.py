"""The preserved background picture: outside the blurred masks every pixel of it stays, bit for bit."""

from dataclasses import dataclass

import torch
from torch import Tensor

from smd_cli.engine.layers import CanvasImages, preserves_picture
from smd_cli.engine.pixels import mask_tensor, to_pixels
from smd_cli.engine.soft_masks import soft_masks
from smd_cli.engine.tone import Joint, match_tone
from smd_cli.scene.resolve import Plan


@dataclass(frozen=True)
class PreservedBackground:
    """A picture (1, 3, H, W) in [-1, 1], and how far it is painted over, (1, 1, H, W) in [0, 1].

    `joint` is how new area meets it, or None where it covers the canvas.
    """

    picture: Tensor
    covered: Tensor
    joint: Joint | None

    def blend(self, painted: Tensor) -> Tensor:
        """Blend painted pixels (1, 3, H, W) over the picture; where nothing covers it, it stays exactly."""
        if self.joint is not None:
            painted = match_tone(painted, self.picture, self.joint)
        return torch.lerp(self.picture, painted, self.covered)


def preserve_background(plan: Plan, images: CanvasImages, device: torch.device) -> PreservedBackground | None:
    """Preserve a scene's background picture, if it has one that is not repainted as a whole."""
    if images.background is None or not preserves_picture(plan, images):
        return None
    soft, joint = soft_masks(plan, images), None
    if images.new_area is not None and soft.new_area is not None:
        known = 1 - mask_tensor([images.new_area], plan.canvas.width, plan.canvas.height)
        joint = Joint(soft.new_area.to(device), known.to(device))
    return PreservedBackground(to_pixels(images.background).to(device), soft.covered().to(device), joint)
