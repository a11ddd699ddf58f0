"""Which scenes may have a region that no step paints: only the model's noise levels tell whether one does."""

from __future__ import annotations

import math

from PIL import Image, ImageFilter

from smd_cli.app.scenes import OpenedScene

_LATENT = 16  # px; no family's latents stand for more


def may_be_unpainted(opened: OpenedScene) -> bool:
    """Tell whether some region's mask could be too faint or too small at every step; quick, without a model.

    A mask is neither, whatever the levels are, where a block of it as wide as a latent and its blur is white,
    full strength, and not covered.
    """
    regions = opened.plan.regions
    return any(region.mask_strength < 1 for region in regions) or any(
        not _has_white_block(visible, _LATENT + 2 * math.ceil(3 * region.mask_std))
        for region, visible in zip(reversed(regions), opened.images.visible_from_the_last(), strict=True)
    )


def _has_white_block(mask: Image.Image, side: int) -> bool:
    """Tell whether there is a white block of about so many px a side in a mask (`L`), and no smaller one."""
    cell = max(8, side // 8)
    columns, rows = mask.width // cell, mask.height // cell
    if not columns or not rows:
        return False
    means = mask.crop((0, 0, columns * cell, rows * cell)).reduce(cell)
    cells = math.ceil(side / cell) | 1  # the filter's width is odd
    if min(means.size) < cells:
        return False
    lowest = means.filter(ImageFilter.MinFilter(cells))
    edge = cells // 2  # where the filter repeats the mask's edge
    inside = lowest.crop((edge, edge, lowest.width - edge, lowest.height - edge))
    return inside.getextrema()[1] == 255
