"""Halos: the benchmark's figure against drawings whose halos are known by pixel."""

import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from smd_cli.workshop.judge.segmenter import load_segmenter
from smd_cli.workshop.quality.drawn import draw_answers, draw_as_asked
from smd_cli.workshop.quality.halos import NEAR, _colors_of, find_halos, mask_of
from smd_cli.workshop.quality.random_scenes import ExpectedRegion, RandomScene, draw_scene
from smd_cli.workshop.world.brush import Brush
from smd_cli.workshop.world.palette import SHAPE_COLORS

PLAIN = ("blue sky", "sunset", "night sky", "grass", "lake", "sand", "alps", "summer mountains")
"""Backgrounds that white differs from everywhere, or nearly."""

SEEDS = range(84_000, 84_060)


@pytest.fixture(scope="module")
def segmenter():
    return load_segmenter()


@pytest.fixture(scope="module")
def scenes():
    return [scene for scene in map(draw_scene, SEEDS) if scene.background in PLAIN][:16]


def on_patches(scene: RandomScene, mask: Image.Image) -> tuple[Image.Image, float]:
    """Draw a scene with white where the mask is, but on things; return it and the share of halos by pixel."""
    drawn, ground = draw_as_asked(scene), draw_as_asked(replace(scene, regions=()))
    things = np.asarray(drawn).astype(int) - np.asarray(ground) != 0
    outline = Image.fromarray(np.where(things.any(axis=2), 255, 0).astype(np.uint8))
    image = Image.composite(
        drawn, Image.composite(Image.new("RGB", drawn.size, "white"), ground, mask), outline
    )
    near = np.asarray(outline.filter(ImageFilter.MaxFilter(9))) > 0
    around = (np.asarray(mask_of(scene)) >= 128) & ~near
    apart = np.abs(np.asarray(image).astype(int) - np.asarray(ground)).max(axis=2) > 24
    return image, (apart & around).sum() / around.sum()


def share(segmenter, scene: RandomScene, image: Image.Image) -> float:
    found = find_halos(segmenter, scene, image)
    return found.halo.sum() / found.around.sum()


def test_a_scene_that_is_drawn_properly_has_no_halos(segmenter, scenes):
    shares = [share(segmenter, scene, draw_as_asked(scene)) for scene in scenes]
    assert np.mean(shares) < 0.03


@pytest.mark.parametrize("part", [0.25, 0.5, 1.0])
def test_white_patches_are_halos_by_their_area(segmenter, scenes, part):
    apart = []
    for scene in scenes:
        mask = mask_of(scene)
        mask.paste(0, (0, round(mask.height * part), *mask.size))  # the upper part of the picture
        image, true = on_patches(scene, mask)
        apart.append(share(segmenter, scene, image) - true)
    assert abs(np.mean(apart)) < 0.08
    assert np.mean(np.abs(apart)) < 0.15


def test_white_is_no_halo_on_white(segmenter):
    scene = next(scene for scene in map(draw_scene, SEEDS) if scene.background == "white")
    image, true = on_patches(scene, mask_of(scene))
    assert true == 0
    assert share(segmenter, scene, image) < 0.02


@pytest.mark.parametrize(
    "answers",
    [
        {"kind": "owl"},
        {"kind": "boat"},
        {"kind": "cloud"},
        {"kind": "moon"},
        {"kind": "girl", "hair": "white", "clothes": "white shirt"},
        {"kind": "flower", "color": "white"},
    ],
    ids=lambda answers: answers["kind"],
)
def test_white_parts_of_things_are_no_halos(segmenter, answers):
    shares = []
    for seed, background in enumerate(("blue sky", "sunset", "night sky", "grass", "lake", "alps")):
        region = ExpectedRegion("r1", answers, (48, 48, 208, 208))
        document = scene_document([[0.1875, 0.1875, 0.8125, 0.8125]])
        scene = RandomScene(seed, document, background, (region,))
        shares.append(share(segmenter, scene, draw_as_asked(scene)))
    assert np.mean(shares) < 0.05


@pytest.mark.parametrize(("color", "is_halo"), [("red", False), ("purple", True)])
def test_a_patch_in_the_colour_of_its_thing_is_no_halo(segmenter, color, is_halo):
    """A square where a circle was asked for is wrong, but nothing that the background should show."""
    region = ExpectedRegion("r1", {"kind": "circle", "color": "red"}, (48, 48, 208, 208))
    shares = []
    for seed, background in enumerate(("blue sky", "night sky", "grass", "lake")):
        scene = RandomScene(seed, scene_document([[0.1875, 0.1875, 0.8125, 0.8125]]), background, (region,))
        image = draw_as_asked(replace(scene, regions=()))
        image.paste(SHAPE_COLORS[color], region.box)
        shares.append(find_halos(segmenter, scene, image).halo.sum() / (80 * 80))
    assert np.mean(shares) > 0.3 if is_halo else np.mean(shares) < 0.02


def test_a_thing_that_comes_in_several_colours_has_all_of_them():
    """Cats differ from one another more than a cat from a halo."""
    cat = {"kind": "cat"}
    colors, shares = _colors_of(tuple(cat.items())), []
    for seed in range(100, 112):
        drawing = Image.new("RGBA", (64, 64))
        draw_answers(Brush(ImageDraw.Draw(drawing), (32, 32), 32), random.Random(seed), cat)
        drawn = np.asarray(drawing)[np.asarray(drawing)[..., 3] > 0][:, None, :3].astype(int)
        shares.append((np.abs(drawn - colors).max(axis=2).min(axis=1) <= NEAR).mean())
    assert min(shares) > 0.8


def scene_document(boxes):
    regions = [{"name": f"r{i}", "prompt": "a", "mask": {"box": box}} for i, box in enumerate(boxes)]
    return {
        "smd": 1,
        "canvas": {"width": 256, "height": 256},
        "background": {"prompt": "grass"},
        "regions": regions,
    }


def test_the_masks_of_a_scene_are_those_of_its_regions():
    scene = RandomScene(1, scene_document([[0, 0, 0.25, 0.5], [0.5, 0.5, 1, 1]]), "grass", ())
    painted = np.asarray(mask_of(scene))
    assert painted[:128, :64].min() == 255
    assert painted[128:, 128:].min() == 255
    assert painted[:128, 64:].max() == 0
    assert painted[128:, :128].max() == 0


def test_what_lies_outside_the_masks_counts_for_nothing(segmenter):
    region = ExpectedRegion("r0", {"kind": "circle", "color": "red"}, (0, 0, 128, 128))
    scene = RandomScene(1, scene_document([[0, 0, 0.5, 0.5]]), "grass", (region,))
    clean = draw_as_asked(scene)
    patched = clean.copy()
    patched.paste("white", (160, 150, 256, 256))
    found = find_halos(segmenter, scene, patched)
    assert not found.around[64:].any()
    assert not found.around[:, 64:].any()
    assert share(segmenter, scene, patched) == pytest.approx(share(segmenter, scene, clean), abs=0.02)
