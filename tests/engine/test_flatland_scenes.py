"""What the embedded model paints on the shipped scenes: each prompt where its mask says, over ten seeds."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from smd_cli.engine.events import Clock
from smd_cli.engine.oneshot import paint as paint_picture
from smd_cli.engine.stage import Setting, set_stage
from smd_cli.flatland.world.palette import HAIR_COLORS, SHAPE_COLORS
from smd_cli.media.paint import paint
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from smd_cli.scene.loader import load as load_scene
from smd_cli.scene.overrides import parse_override
from smd_cli.scene.resolve import resolve

SCENES = Path(__file__).parents[2] / "scenes"
SEEDS = range(100, 110)
NEAR = 60  # grey levels a channel between a painted pixel and the colour it is counted for

pytestmark = pytest.mark.slow


@cache
def backbone():
    return load(locate(ModelSpec("flatland")), torch.device("cpu"), torch.float32)


def pictures(name: str, *sets: str, seeds=SEEDS):
    """The scene's pictures (H, W, 3), and its visible masks (H, W) by the region's name."""
    loaded = load_scene(SCENES / f"{name}.yaml", [parse_override(text) for text in sets])
    plan = resolve(loaded.scene, name, loaded.base_dir)
    painted = paint(plan, loaded.locate)
    with torch.inference_mode():
        stage = set_stage(plan, Setting(painted.masks, painted.background), backbone(), batch=8)
    images = [np.asarray(paint_picture(stage, seed, Clock())).astype(int) for seed in seeds]
    masks = {r.name: np.asarray(painted.visible(i)) > 127 for i, r in enumerate(plan.regions)}
    return images, masks


def shares(pixels: np.ndarray, colors: dict[str, tuple[int, int, int]]) -> dict[str, float]:
    """The share of pixels (N, 3) that lie near each colour and nearest to it."""
    distance = np.stack([abs(pixels - np.array(color)).max(axis=1) for color in colors.values()])
    nearest = np.where(distance.min(axis=0) <= NEAR, distance.argmin(axis=0), -1)
    return {name: float((nearest == index).mean()) for index, name in enumerate(colors)}


def test_shapes_keep_their_colors_apart():
    wanted = {"circle": "red", "square": "blue", "triangle": "green", "star": "yellow"}
    images, masks = pictures("shapes")
    colors = {name: SHAPE_COLORS[name] for name in wanted.values()} | {"white": (255, 255, 255)}
    good = dict.fromkeys(wanted, 0)
    for image in images:
        for region, color in wanted.items():
            found = shares(image[masks[region]], colors)
            others = max(share for name, share in found.items() if name not in (color, "white"))
            good[region] += max(found, key=found.__getitem__) == color and others < 0.02
    assert min(good.values()) >= 9, good


def test_hair_does_not_mix_on_times_square():
    wanted = {"boy": "brown", "girl": "pink"}
    images, masks = pictures("times_square")
    good = dict.fromkeys(wanted, 0)
    for image in images:
        for region, color in wanted.items():
            found = shares(image[masks[region]], {name: HAIR_COLORS[name] for name in ("brown", "pink")})
            other = found["pink" if color == "brown" else "brown"]
            good[region] += found[color] > 0.04 and found[color] > 2 * other
    assert min(good.values()) >= 8, good
