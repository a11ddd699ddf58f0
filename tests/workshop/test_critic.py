"""The critic: drawn pairs, its training, and that it prefers what is drawn properly to what is flawed."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from smd_cli.workshop.judge.critic import load_critic
from smd_cli.workshop.judge.pairs import FLAWS, SIDE, draw_pair
from smd_cli.workshop.judge.train_critic import COURSE, draw_pairs, evaluate
from smd_cli.workshop.quality.appeal import appeal_of, preferred
from smd_cli.workshop.quality.drawn import draw_as_asked
from smd_cli.workshop.quality.halos import mask_of
from smd_cli.workshop.quality.random_scenes import RandomScene, draw_scene


def test_a_seed_is_a_pair():
    one, again, other = draw_pair(3), draw_pair(3), draw_pair(4)
    assert one.proper.tobytes() == again.proper.tobytes() != other.proper.tobytes()
    assert one.flawed.tobytes() == again.flawed.tobytes()
    assert one.proper.size == one.flawed.size == (SIDE, SIDE)


def test_every_flaw_is_drawn_and_can_be_seen():
    pairs = [draw_pair(seed) for seed in range(60)]
    assert set(Counter(pair.flaw for pair in pairs)) == set(FLAWS)
    for pair in pairs:
        assert np.abs(np.asarray(pair.proper).astype(int) - np.asarray(pair.flawed)).mean() >= 2
        assert 0 <= pair.rows[0] < pair.rows[1] <= 1


def test_the_published_critic_prefers_what_has_no_flaw():
    """The test of docs/flatland-log.md on fewer pairs."""
    first = COURSE.seeds[1] + 10_000
    data = draw_pairs(range(first, first + 100))
    right = evaluate(load_critic(), data)
    counts = torch.bincount(data["flaws"], minlength=len(FLAWS))
    assert sum(right[name] * count for name, count in zip(FLAWS, counts.tolist(), strict=True)) > 85


@pytest.fixture(scope="module")
def critic():
    return load_critic()


@pytest.fixture(scope="module")
def scenes():
    return [scene for scene in map(draw_scene, range(85_000, 85_040)) if scene.background != "white"][:24]


def parts(scene: RandomScene) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Draw a scene and its ground; return both, and where the things are."""
    drawn, ground = draw_as_asked(scene), draw_as_asked(replace(scene, regions=()))
    apart = (np.asarray(drawn) != np.asarray(ground)).any(axis=2)
    return drawn, ground, Image.fromarray(np.where(apart, 255, 0).astype(np.uint8))


def white_patches(scene: RandomScene) -> Image.Image:
    drawn, ground, outline = parts(scene)
    white = Image.new("RGB", drawn.size, "white")
    return Image.composite(drawn, Image.composite(white, ground, mask_of(scene)), outline)


def soft_patches(scene: RandomScene) -> Image.Image:
    drawn, ground, outline = parts(scene)
    white = Image.new("RGB", drawn.size, "white")
    soft = mask_of(scene).filter(ImageFilter.GaussianBlur(8)).point(lambda value: int(0.7 * value))
    return Image.composite(drawn, Image.composite(white, ground, soft), outline)


def missing(scene: RandomScene) -> Image.Image:
    return parts(scene)[1]


def cut(scene: RandomScene) -> Image.Image:
    drawn, ground, _ = parts(scene)
    kept = Image.new("L", drawn.size, 0)
    for left, top, right, bottom in (region.box for region in scene.regions):
        kept.paste(255, (left, top, (left + right) // 2, bottom))
    return Image.composite(drawn, ground, kept)


def melted(scene: RandomScene) -> Image.Image:
    drawn, ground, outline = parts(scene)
    noise = np.random.default_rng(scene.seed)
    coarse = noise.normal(0, 14, (2, drawn.height // 20, drawn.width // 20)).astype(np.float32)
    fine = [Image.fromarray(each).resize(drawn.size, Image.Resampling.BICUBIC) for each in coarse]
    rows, columns = np.indices((drawn.height, drawn.width)) + np.stack([np.asarray(each) for each in fine])
    at = rows.clip(0, drawn.height - 1).astype(int), columns.clip(0, drawn.width - 1).astype(int)
    things, where = (Image.fromarray(np.asarray(each)[at]) for each in (drawn, outline))
    return Image.composite(things, ground, where)


@pytest.mark.parametrize("spoil", [white_patches, soft_patches, missing, cut, melted])
def test_scenes_drawn_properly_are_preferred_to_spoiled_ones(critic, scenes, spoil):
    wins = [
        preferred(appeal_of(critic, scene, draw_as_asked(scene)), appeal_of(critic, scene, spoil(scene)))
        for scene in scenes
    ]
    assert np.mean(wins) > 0.9


def test_equal_pictures_are_preferred_by_half():
    assert [preferred(a, b) for a, b in ((1.0, 1.0), (2.0, 1.0), (1.0, 2.0))] == [0.5, 1, 0]
