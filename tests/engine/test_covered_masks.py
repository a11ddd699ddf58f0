"""Overlapping masks over a background picture, from a scene to px, against recorded pictures of SDXL and SD3.

Their latents are recorded, so that what decoding and blending them shows is the masks alone.
"""

import numpy as np
import pytest
import yaml
from PIL import Image

from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.pixels import to_image, to_pixels
from smd_cli.engine.preserved_background import PreservedBackground
from smd_cli.engine.soft_masks import soft_masks
from smd_cli.media.paint import paint_scene
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.core.families import tiny_family
from tests.golden import FAMILIES, Case, cases


def scene_of(case: Case, folder) -> str:
    """The masks of a case as a scene file, painted in pictures beside it."""
    settings = case.settings
    for index, mask in enumerate(case.masks):
        Image.fromarray((mask[0] * 255).byte().numpy()).save(folder / f"{index}.png")
    scene = {
        "smd": 1,
        "canvas": {"width": settings["width"], "height": settings["height"]},
        "masks": {
            "std": settings["mask_std"],
            "strength": settings["mask_strength"],  # counts in latents alone
            "cover_alpha": settings["cover_alpha"],
        },
        "regions": [
            {"name": f"region {index}", "prompt": prompt, "mask": f"{index}.png"}
            for index, prompt in enumerate(settings["prompts"])
        ],
    }
    return yaml.safe_dump(scene)


@pytest.mark.parametrize("case", cases("inpaint", folder=FAMILIES))
def test_regions_are_blended_over_the_background_as_recorded(case: Case, tmp_path) -> None:
    loaded = load_text(scene_of(case, tmp_path), "case.yaml", base_dir=tmp_path)
    plan = resolve(loaded.scene, "case", tmp_path)
    masks = soft_masks(plan, CanvasImages(paint_scene(plan, loaded.locate).masks))
    background = to_pixels(Image.fromarray(case.tensors["background"].numpy()))
    preserved = PreservedBackground(background, masks.covered(), None)
    decoded = tiny_family(case.settings["family"]).decode(case.tensors["latent.final"])
    blended = np.array(to_image(preserved.blend(decoded)), dtype=int)
    difference = np.abs(blended - case.tensors["image"].numpy())
    assert difference.max() <= 1  # rounded here, cut in the published code
