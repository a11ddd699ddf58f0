"""What the embedded model paints on the shipped scenes: each prompt where its mask says, over ten seeds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import smd_cli
from smd_cli.app.scenes import load_scene
from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import render
from smd_cli.workshop.judge.network import judge_crops, load_judge
from smd_cli.workshop.quality.random_scenes import square_around
from smd_cli.workshop.world.palette import SHAPE_COLORS
from tests.embedded import backbone
from tests.golden import FOLDER

SCENES = Path(__file__).parents[2] / "scenes"
STARTER = Path(smd_cli.__file__).parent / "scene" / "starter.yaml"
PHOTOGRAPHS = FOLDER.parent / "seed-assets" / "timessquare"
SEEDS = range(100, 110)
SAME_BLUE = 12  # grey levels a channel
NEAR = 60  # grey levels a channel between a painted pixel and the colour it is counted for

pytestmark = pytest.mark.slow


def pictures(path: Path):
    """A scene's pictures (H, W, 3), and its visible masks (H, W) by the region's name."""
    scene = load_scene(path)  # with what the model recommends
    plan, painted = scene.plan, scene.images
    with torch.inference_mode():
        setting = CanvasImages(painted.masks, painted.background, painted.new_area)
        stage = prepare(plan, setting, backbone(), batch=8)
    images = [np.asarray(render(stage, seed, Clock()).image).astype(int) for seed in SEEDS]
    masks = {r.name: np.asarray(painted.visible(i)) > 127 for i, r in enumerate(plan.regions)}
    return images, masks


def shares(pixels: np.ndarray, colors: dict[str, tuple[int, int, int]]) -> dict[str, float]:
    """The share of pixels (N, 3) that lie near each colour and nearest to it."""
    distance = np.stack([abs(pixels - np.array(color)).max(axis=1) for color in colors.values()])
    nearest = np.where(distance.min(axis=0) <= NEAR, distance.argmin(axis=0), -1)
    return {name: float((nearest == index).mean()) for index, name in enumerate(colors)}


def test_shapes_keep_their_colors_apart():
    """Each shape's own colour fills a tenth of its region, and none of another shape's 2 % of it.

    It need not lead: a whole shape may be smaller than its mask.
    """
    wanted = {"circle": "red", "square": "blue", "triangle": "green", "star": "yellow"}
    images, masks = pictures(SCENES / "shapes.yaml")
    colors = {name: SHAPE_COLORS[name] for name in wanted.values()} | {"white": (255, 255, 255)}
    good = dict.fromkeys(wanted, 0)
    for image in images:
        for region, color in wanted.items():
            found = shares(image[masks[region]], colors)
            others = max(share for name, share in found.items() if name not in (color, "white"))
            good[region] += found[color] > 0.1 and others < 0.02
    assert min(good.values()) >= 9, good


def test_the_starter_scene_shows_its_land_and_what_stands_on_it():
    images, masks = pictures(STARTER)
    behind = ~(masks["sun"] | masks["tree"] | masks["house"])
    rows = np.arange(len(behind))[:, None] / len(behind)
    good = {"sky": 0, "land": 0, "sun": 0, "tree": 0, "house": 0}
    for image in images:
        red, green, blue = np.moveaxis(image, -1, 0)
        is_blue, is_green = (blue > red + 40) & (blue > green), (green > red + 20) & (green > blue + 20)
        is_red, is_dark = (red > green + 100) & (red > blue + 100), is_green & (image.sum(-1) < 240)
        is_yellow = (red > 200) & (green > 140) & (blue < 120)
        good["sky"] += is_blue[behind & (rows < 0.2)].mean() > 0.8
        good["land"] += is_green[behind & (rows > 0.8)].mean() > 0.8
        good["sun"] += is_yellow[masks["sun"]].mean() > 0.2
        good["tree"] += is_dark[masks["tree"]].mean() > 0.2
        good["house"] += is_red[masks["house"]].mean() > 0.2
    assert min(good.values()) >= 8, good


def named_hair(images, masks, region: str) -> list[str]:
    """What the judge says of the hair in a region; a count of pixels takes pink shirts for hair."""
    box = square_around(Image.fromarray(masks[region]).getbbox(), images[0].shape[1::-1])
    people = [Image.fromarray(image.astype(np.uint8)).crop(box) for image in images]
    return [answers["hair"] for answers in judge_crops(load_judge(), people).answers]


def test_hair_has_its_prompted_color_on_times_square():
    images, masks = pictures(SCENES / "times_square.yaml")
    for region, color in (("boy", "brown"), ("girl", "pink")):
        named = named_hair(images, masks, region)
        assert named.count(color) >= 8, named  # 9 and 10 on the machine that it was written on


PHOTOGRAPH = """\
smd: 1
task: inpaint
canvas: {{width: 256, height: 256}}
masks: {{std: 6}}
bootstrap: {{steps: 5, mix_steps: 5}}
background: {{prompt: "1girl, 1boy, times square", image: {folder}/timessquare.jpeg, fit: stretch}}
regions:
  - name: boy
    prompt: 1boy, looking at viewer, brown hair, casual shirt
    mask: {{image: {folder}/timessquare_1.png}}
  - name: girl
    prompt: 1girl, looking at viewer, pink hair, leather jacket
    mask: {{image: {folder}/timessquare_2.png}}
"""


@pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason=f"no photograph in {PHOTOGRAPHS}")
def test_hair_has_its_prompted_color_inside_a_photograph(tmp_path):
    """The judge names it; a photograph around a person is what the model never learned."""
    (tmp_path / "photo.yaml").write_text(PHOTOGRAPH.format(folder=PHOTOGRAPHS))
    images, masks = pictures(tmp_path / "photo.yaml")
    for region, color in (("boy", "brown"), ("girl", "pink")):
        named = named_hair(images, masks, region)
        assert named.count(color) >= 6, named


def test_a_wider_sky_goes_on_in_the_blue_of_its_picture():
    """The picture lies at 128 to 384 px and its sky fades from top to bottom, so rows are of one blue."""
    images, _ = pictures(SCENES / "wider.yaml")
    joints = (slice(190, 210), slice(96, 128)), (slice(302, 322), slice(384, 416))
    steps = [
        abs(image[:48, inside].mean(axis=1) - image[:48, outside].mean(axis=1)).mean(axis=0).max()
        for image in images
        for inside, outside in joints
    ]
    assert np.mean(steps) < SAME_BLUE
