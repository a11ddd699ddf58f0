"""Lessons of what the program leaves before late steps, learned under the prompts of a tile's regions."""

import random

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from PIL import Image

from smd_cli.core.coupling import Coupling
from smd_cli.models.assets import locate
from smd_cli.models.loading import load
from smd_cli.models.spec import ModelSpec
from smd_cli.workshop.quality.random_scenes import RandomScene
from smd_cli.workshop.train.consistency import consistency
from smd_cli.workshop.train.coupled import (
    CoupledLessons,
    CoupledStudent,
    encode_coupled,
    joined,
    part_way,
)
from smd_cli.workshop.train.latents import Codec
from smd_cli.workshop.train.left import PaintedGround, SceneLesson, Way, lesson_scene, scene_lessons
from smd_cli.workshop.train.pale import Drawer
from smd_cli.workshop.train.unet import alpha_sigma, alphas_cumprod
from smd_cli.workshop.world.cutout import laid_over, without_specks
from smd_cli.workshop.world.matte import WHITE_HAIR, WHITE_SHIRT, draw_matte
from smd_cli.workshop.world.picture import draw_thing
from tests.workshop.parts import WEIGHTS_FOLDER, sees_three, tiny_text, tiny_unet

MIDDLE = ((0.5, 0.5), 0.3)


@pytest.fixture(scope="module")
def backbone():
    assets = locate(ModelSpec(str(WEIGHTS_FOLDER)), few_step=True, offline=True)
    return load(assets, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def codec():
    return Codec(AutoencoderTiny.from_pretrained(WEIGHTS_FOLDER / "vae").float())


def test_a_matte_over_a_ground_is_the_thing_drawn_there():
    """A cloud on white is as pale as the white: no cut finds it, and its matte has all of it."""
    for kind in ("cloud", "moon", "boat"):
        rng = random.Random(3)
        rng_seed = random.Random(3).getrandbits(32)
        ground = Image.new("RGB", (128, 128), (20, 60, 160))
        draw_thing(ground, random.Random(rng_seed), kind, MIDDLE)
        expected = np.asarray(ground.reduce(2), dtype=float)
        blue = np.broadcast_to(np.float32((20, 60, 160)), (64, 64, 3))
        found = draw_matte(rng, kind, MIDDLE, 64).over(blue)
        assert abs(found - expected).max() < 3


def test_mattes_are_of_who_has_white_hair_or_a_white_shirt():
    for kind in (WHITE_HAIR, WHITE_SHIRT):
        words = [draw_matte(random.Random(seed), kind, MIDDLE, 64).words for seed in range(12)]
        assert any("white" in each for each in words)
    hair = draw_matte(random.Random(0), WHITE_HAIR, MIDDLE, 64).over(0)
    assert (hair.min(2) > 200).sum() > 20


def test_a_cut_matte_moves_with_its_colours():
    whole = draw_matte(random.Random(0), "circle", MIDDLE, 64)
    mask = np.zeros((64, 64), np.float32)
    mask[:32] = 1
    moved = whole.cut(mask).moved(8, 0)
    assert (moved.covered[:8] == 0).all()
    assert (moved.covered[40:] == 0).all()
    assert np.array_equal(moved.covered[8:40], whole.covered[:32])
    assert np.array_equal(moved.over(90)[50], np.full((64, 3), 90, np.float32))


def test_specks_are_left_out_and_what_hangs_together_stays():
    covered = np.zeros((64, 64), np.float32)
    covered[10:30, 10:30] = 1
    covered[28:50, 18:21] = 1  # a stem, narrow but connected
    covered[10:14, 50:54] = 1
    kept = without_specks(covered)
    assert (kept[:, :40] == covered[:, :40]).all()
    assert (kept[:, 45:] == 0).all()
    speck = np.where(covered[:, ::-1] > 0, covered[:, ::-1], 0)
    speck[:, :] = 0
    speck[3:6, 3:6] = 1
    assert (without_specks(speck) == speck).all()


def test_where_nothing_is_covered_there_is_the_ground_as_it_was():
    ground = np.full((8, 8, 3), 100, np.uint8)
    grey = np.full((8, 8, 3), 240, np.uint8)
    assert (laid_over(grey, np.zeros((8, 8), np.float32), ground) == 100).all()


TWO = Way((0, 20), 1, (28, 38))


def scene_with(prompt: str) -> RandomScene:
    """A region in the middle of a meadow."""
    document = {
        "smd": 1,
        "canvas": {"width": 256, "height": 256},
        "seed": 3,
        "background": {"prompt": "grass"},
        "regions": [{"name": "r1", "prompt": prompt, "mask": {"box": [0.25, 0.25, 0.75, 0.75]}}],
    }
    return RandomScene(3, document, "grass", ())


def test_a_tile_of_a_scene_is_shown_as_the_bootstrap_left_it_and_should_become_things_on_ground(
    backbone, codec
):
    scene = scene_with("a red square")
    (lesson,), (ground,) = scene_lessons(backbone, codec, scene, TWO)
    assert lesson.words == ("grass", "a red square")
    assert ground.words == "grass"
    torch.testing.assert_close(lesson.shares.sum(0), torch.ones(32, 32))
    assert lesson.shares[1, 16, 16] == lesson.shares[0, 1, 1] == 1
    shown, wanted = codec.decode(torch.stack([lesson.shown, lesson.latents])).astype(int)
    behind = ground.picture.astype(int)
    assert abs(wanted[:32] - behind[:32]).mean() < 6
    middle = wanted[112:144, 112:144].mean((0, 1))
    assert middle[0] > middle[1] + 80
    inside = np.zeros((256, 256), bool)
    inside[64:192, 64:192] = True
    crumbs = [(picture[inside].min(-1) > 200).mean() for picture in (shown, wanted)]
    assert crumbs[0] > 0.03
    assert crumbs[1] < crumbs[0] / 3


def test_tiles_whose_thing_shows_nothing_are_no_lessons(backbone, codec):
    assert scene_lessons(backbone, codec, scene_with("white background"), TWO) == ([], [])


def test_scenes_of_lessons_are_worded_as_training_is():
    scenes = [lesson_scene(seed) for seed in range(700_000, 700_040)]
    prompts = {region["prompt"] for scene in scenes for region in scene.document["regions"]}
    assert len(prompts) > 40
    assert not any("white hair" in prompt or "cloud" in prompt for prompt in prompts)


def drawer(student, codec, seed: int = 0) -> Drawer:
    def states(words):
        return torch.zeros(len(words), 77, 16)

    return Drawer(student, states, codec, random.Random(seed), torch.Generator().manual_seed(seed))


def test_a_drawn_lesson_shows_what_differs_from_white_and_wants_the_drawing(codec):
    green = np.full((256, 256, 3), (60, 150, 60), np.uint8)
    begun = codec.encode(green[None])[0]
    lessons = [
        drawer(sees_three, codec, seed).lesson(PaintedGround("grass", begun, green)) for seed in range(6)
    ]
    for lesson in lessons:
        torch.testing.assert_close(lesson.shares.sum(0), torch.ones(32, 32))
        assert len(lesson.words) == len(lesson.shares) in (2, 3, 4)
        alone = lesson.shares[0] == 1
        torch.testing.assert_close(lesson.shown[:, alone], begun[:, alone])
        full = lesson.shares[1:].amax(0) == 1
        assert (lesson.shown[:, full] - 3).abs().mean() < 0.1  # it sees three, which is not like white
    wanted = codec.decode(torch.stack([each.latents for each in lessons])).astype(int)
    assert all((abs(picture - green).max(-1) > 30).any() for picture in wanted)


def lessons() -> CoupledLessons:
    """Two tiles with two and three prompts."""
    shares = torch.zeros(2, 32, 32)
    shares[0, :, :8] = 1
    shares[1] = 1 - shares[0]
    thirds = torch.full((3, 32, 32), 1 / 3)
    made = [
        SceneLesson(torch.full((4, 32, 32), 5.0), torch.full((4, 32, 32), 4.0), ("a", "b"), shares, (28, 38)),
        SceneLesson(
            torch.full((4, 32, 32), 7.0), torch.full((4, 32, 32), 6.0), ("c", "d", "e"), thirds, (34, 41)
        ),
    ]
    ids = torch.arange(5)[:, None].expand(5, 77).clone()
    return CoupledLessons(**encode_coupled(made, ids))


def test_a_batch_has_the_prompts_of_its_tiles_and_their_shares():
    def student(z, timesteps, ids, coupling):
        assert len(ids) == len(coupling.rows)
        return torch.full_like(z, 9.0)

    of_tile = {4.0: ({0, 1}, (439, 239)), 6.0: ({2, 3, 4}, (319, 179))}
    alone = further = at_its_step = 0
    for step in range(20):
        batch = lessons().batch(student, 6, torch.Generator().manual_seed(step))
        for row in range(6):
            pairs = batch.coupling.pairs([row])
            prompts = {int(batch.ids[pair, 0]) for pair in pairs}
            own, late = of_tile[float(batch.targets[row].mean())]
            assert prompts == own or (len(prompts) == 1 and prompts < own)
            alone += len(prompts) == 1
            shares = batch.coupling.shares[pairs].sum(0)
            torch.testing.assert_close(shares, torch.ones(32, 32), atol=1e-3, rtol=0)
            alpha = alphas_cumprod()[batch.timesteps[row]].sqrt()
            clean = float(batch.z[row].mean() / alpha)
            if row < 2:
                assert abs(clean - 9) < 0.3
                further += int(batch.timesteps[row]) == late[1]
            else:
                assert float(batch.targets[row].mean()) < clean + 0.3
                assert clean < float(batch.targets[row].mean()) + 1.3
                at_its_step += int(batch.timesteps[row]) == late[0]
    assert 10 < alone < 60
    assert further > 25
    assert 45 < at_its_step < 75


def test_a_student_attends_to_prompts_where_they_have_a_share():
    text, unet = tiny_text(), tiny_unet()
    student = CoupledStudent(unet, text)
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    at = torch.tensor([300])
    ids = torch.randint(0, 60, (2, 77), generator=torch.Generator().manual_seed(1))
    states = text(ids).last_hidden_state
    alone = [consistency(unet, z, at, states[[n]]) for n in (0, 1)]
    assert not torch.allclose(*alone, atol=1e-3)
    one = torch.stack([torch.ones(8, 8), torch.zeros(8, 8)])
    for n in (0, 1):
        found = student(z, at, ids, Coupling((0, 0), one.roll(n, 0)))
        torch.testing.assert_close(found, alone[n], atol=1e-4, rtol=1e-4)
    both = student(z, at, ids, Coupling((0, 0), torch.full((2, 8, 8), 0.5)))
    both.mean().backward()
    assert all(unit.grad is not None for unit in unet.mid_block.attentions[0].parameters())
    assert not torch.allclose(both, alone[0], atol=1e-4)


def test_batches_are_joined_with_their_prompts_in_order():
    batches = [lessons().batch(lambda z, *_: z, 3, torch.Generator().manual_seed(n)) for n in (1, 2)]
    batch = joined(batches)
    assert len(batch.z) == len(batch.targets) == len(batch.timesteps) == 6
    assert sorted(set(batch.coupling.rows)) == list(range(6))
    pairs = batch.coupling.pairs([3])
    own = batches[1].coupling.pairs([0])
    assert torch.equal(batch.ids[pairs], batches[1].ids[own])
    assert torch.equal(batch.coupling.shares[pairs], batches[1].coupling.shares[own])


def test_an_adapter_goes_a_share_of_the_way():
    before, after = tiny_unet(), tiny_unet()
    with torch.no_grad():
        for parameter in after.parameters():
            parameter += 1
    found = part_way(before, after, 0.4)
    for old, new in zip(before.parameters(), found.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.4)


def test_of_a_drawn_thing_that_hardly_differs_from_white_a_part_is_left(codec):
    green = np.full((256, 256, 3), (60, 150, 60), np.uint8)
    begun = codec.encode(green[None])[0]
    pale = codec.encode(np.full((1, 256, 256, 3), 255, np.uint8)) + 0.12**0.5

    def sees_pale(z, timesteps, **_):
        alpha, sigma = alpha_sigma(timesteps, alphas_cumprod())
        return ((z - pale * alpha) / sigma,)

    lesson = drawer(sees_pale, codec).lesson(PaintedGround("grass", begun, green))
    full = lesson.shares[1] == 1
    kept = 2 / (1 + np.exp(-1.2)) - 1
    expected = begun.lerp(pale[0], kept)[:, full]
    torch.testing.assert_close(lesson.shown[:, full], expected, atol=0.02, rtol=0)
