"""The masks that latents see are those of the whole canvas in px, however little is softened at once."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from smd_cli.engine import soft_masks as module
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.soft_masks import latent_masks, soft_masks
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve

SCENE = """
smd: 1
canvas: {{width: 96, height: 160, wrap: {wrap}}}
masks: {{std: {std}, cover_alpha: {alpha}}}
background: {{prompt: grass}}
regions:
- {{name: a, prompt: a, mask: {{box: [0, 0, 1, 1]}}, mask_std: {other}}}
- {{name: b, prompt: b, mask: {{box: [0, 0, 1, 1]}}}}
"""


def painted(seed: int) -> Image.Image:
    """Blots of several greys."""
    noise = torch.rand(20, 12, generator=torch.Generator().manual_seed(seed))
    levels = (noise * (noise > 0.5) * 255).byte().numpy()
    return Image.fromarray(levels).resize((96, 160), Image.Resampling.NEAREST).rotate(9)


@pytest.mark.parametrize(("std", "other"), [(0, 0), (3, 0), (1.2, 11)])
@pytest.mark.parametrize("wrap", ["none", "x"])
@pytest.mark.parametrize("area", [False, True])
@pytest.mark.parametrize("alpha", [0, 0.3])
@pytest.mark.parametrize("band", [1, 96 * 48, 2**22])
def test_bands_and_samples_are_the_whole(std, other, wrap, area, alpha, band, monkeypatch):
    text = SCENE.format(wrap=wrap, std=std, other=other, alpha=alpha)
    plan = resolve(load_text(text, "scene").scene, "scene", Path())
    images = CanvasImages([painted(1), painted(2)], None, painted(3) if area else None)
    monkeypatch.setattr(module, "BAND", band)
    whole, seen = soft_masks(plan, images), latent_masks(plan, images, 8)
    assert whole.regions.shape == (2, 1, 160, 96)
    rounding = 0 if band == 2**22 else 5e-7  # libraries sum small pictures in another order
    torch.testing.assert_close(seen.regions, whole.regions[..., ::8, ::8], rtol=0, atol=rounding)
    assert (seen.new_area is None) == (whole.new_area is None) == (not area)
    if area:
        torch.testing.assert_close(seen.new_area, whole.new_area[..., ::8, ::8], rtol=0, atol=rounding)
