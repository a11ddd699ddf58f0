"""Lessons of late steps: things cut out of white, laid over a ground, and shown on patches of white."""

import random

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

from smd_cli.workshop.train.late import HARD_TIMESTEPS, PAINTED_TIMESTEPS, SHARES, Lessons
from smd_cli.workshop.train.latents import Codec
from smd_cli.workshop.train.painted import (
    Ground,
    PaintedThing,
    Painter,
    encode_lessons,
    random_move,
    random_region,
    timestep_of,
)
from smd_cli.workshop.train.unet import alpha_sigma, alphas_cumprod
from smd_cli.workshop.world.cutout import coverage, laid_over
from smd_cli.workshop.world.hard import draw_hard
from tests.workshop.parts import WEIGHTS_FOLDER, sees_three

RED, NIGHT = (200, 30, 30), (20, 40, 160)


def ring() -> np.ndarray:
    """A red ring on white, white inside, with an edge that is half red."""
    y, x = np.mgrid[:48, :48] - 24
    radius = np.hypot(x, y)[..., None]
    cover = np.clip(16.5 - radius, 0, 1) * np.clip(radius - 5.5, 0, 1)
    return (255 - cover * (255 - np.array(RED))).round().astype(np.uint8)


def test_a_thing_is_cut_out_of_the_white_around_it_and_keeps_the_white_inside():
    on_white = ring()
    covered = coverage(on_white)
    assert covered.shape == (48, 48)
    assert covered[24, 24] == covered[24, 12] == 1
    assert covered[2, 2] == covered[24, 5] == 0
    over = laid_over(on_white, covered, np.broadcast_to(np.uint8(NIGHT), on_white.shape))
    assert tuple(over[24, 24]) == (255, 255, 255)
    assert tuple(over[24, 12]) == RED
    assert tuple(over[2, 2]) == NIGHT
    outside = np.hypot(*(np.mgrid[:48, :48] - 24)) > 17
    assert (over[outside] == NIGHT).all()


def test_the_edge_of_a_thing_blends_into_the_ground_without_a_pale_line():
    """A pixel that was half red and half white is darker than that on a dark ground."""
    on_white = np.full((20, 20, 3), 255, np.uint8)
    on_white[:, 8:] = RED
    on_white[:, 7] = (242, 215, 215)
    over = laid_over(on_white, coverage(on_white), np.broadcast_to(np.uint8(NIGHT), on_white.shape))
    assert over[10, 7].min() < 215 - 40
    assert tuple(over[10, 9]) == RED


def corner_thing() -> PaintedThing:
    region = torch.zeros(32, 32, dtype=torch.bool)
    region[14:18, 14:18] = True
    picture = np.full((256, 256, 3), 255, np.uint8)
    picture[120:136, 120:136] = RED
    return PaintedThing("a red square", region, torch.full((4, 32, 32), 3.0), picture, coverage(picture))


def test_a_moved_thing_takes_its_region_latents_and_pixels_along():
    thing = corner_thing()
    for seed in range(20):
        down, right = random_move(random.Random(seed), thing.region)
        moved = thing.moved(down, right)
        assert moved.region[14 + down : 18 + down, 14 + right : 18 + right].all()
        assert moved.region.sum() == 16
        y, x = 120 + 8 * down, 120 + 8 * right
        assert (moved.picture[y : y + 16, x : x + 16] == RED).all()
        assert moved.covered[y + 8, x + 8] == 1


class Mean:
    """An autoencoder's stand-in: latents are the mean of each cell, in [-1, 1]."""

    def encode(self, pixels):
        means = (
            torch.from_numpy(pixels.copy()).float().unflatten(1, (32, 8)).unflatten(3, (32, 8)).mean((2, 4))
        )
        return torch.cat([means, means[..., :1]], -1).permute(0, 3, 1, 2) / 127.5 - 1

    def decode(self, latents):
        shown = ((latents[:, :3].clamp(-1, 1) + 1) * 127.5).round().byte()
        return shown.repeat_interleave(8, 2).repeat_interleave(8, 3).permute(0, 2, 3, 1).numpy()


def painter(seed: int = 0) -> Painter:
    def paints_red(z, timesteps, **_):
        """Predict the noise whose picture is red everywhere."""
        alpha, sigma = alpha_sigma(timesteps, alphas_cumprod())
        red = torch.tensor([*RED, RED[0]])[:, None, None] / 127.5 - 1
        return ((z - alpha * red) / sigma,)

    def states(words):
        return torch.zeros(len(words), 77, 16)

    return Painter(paints_red, states, Mean(), random.Random(seed), torch.Generator().manual_seed(seed))


def test_the_student_paints_things_in_regions_on_white():
    things = painter().things(8)
    assert len(things) == 8
    for thing in things:
        inside = thing.region.numpy().repeat(8, 0).repeat(8, 1)
        assert (abs(thing.picture[inside].astype(int) - RED) < 6).all()
        assert (thing.picture[~inside] > 250).all()
        assert np.array_equal(thing.covered > 0.5, inside)


def test_a_lesson_shows_patches_of_white_and_its_target_has_the_ground_there():
    thing, ground = corner_thing(), np.broadcast_to(np.uint8(NIGHT), (256, 256, 3))
    behind = Ground("a lake", torch.full((4, 32, 32), -2.0), ground)
    teacher = painter()
    lessons = [teacher.lesson([thing], [behind]) for _ in range(40)]
    own = [each for each in lessons if (each.shown == -2).any()]
    assert len(own) > 8
    for lesson in own:
        red = (lesson.picture == RED).all(-1)
        assert red.sum() in range(64, 3 * 256 + 1)
        assert (lesson.picture[~red] == NIGHT).all()
        patch = (lesson.shown[0] == 3).numpy().repeat(8, 0).repeat(8, 1)
        assert (patch & ~red).sum() > red.sum()
        assert (patch | ~red).all()
    captions = {lesson.caption for lesson in own}
    assert {"a red square", "a lake"} <= captions
    assert any("square" in words and "lake" in words for words in captions)
    assert {lesson.fade for lesson in lessons} > {1.0}


def test_encoded_lessons_lie_between_their_target_and_patches_of_white():
    tensors, captions = encode_lessons(painter(), 32, 12)
    assert len(captions) == len(tensors["latents"]) == len(tensors["shown"]) == 12
    brighter = (tensors["shown"].float() - tensors["latents"].float()).mean((1, 2, 3))
    assert tensors["shown"].dtype == torch.float16
    assert abs(brighter).max() < 1


def lessons() -> Lessons:
    def encoded(latents: float, shown: float, name: str) -> dict[str, torch.Tensor]:
        whole = torch.ones(5, 4, 32, 32)
        return {"latents": latents * whole, name: shown * whole, "ids": torch.full((5, 77), int(latents))}

    regions = torch.zeros(5, 1, 32, 32, dtype=torch.bool)
    regions[..., :16] = True
    complete = {"caption_complete": torch.tensor([True] * 5)}
    return Lessons(
        painted=encoded(4, 5, "shown"),
        drawn=encoded(6, 7, "bootstrapped") | complete,
        hard=encoded(8, 8, "x") | {"regions": regions},
        before=sees_three,
        text=lambda ids: type("States", (), {"last_hidden_state": torch.zeros(len(ids), 77, 16)}),
        white=torch.full((1, 4, 1, 1), 9.0).expand(1, 4, 32, 32),
    )


def test_a_batch_shows_what_each_kind_of_lesson_should_and_wants_its_target():
    alphas, seen = alphas_cumprod(), {4: [], 6: [], 8: [], 3: []}
    for step in range(30):
        batch = lessons().batch(sees_three, 16, torch.Generator().manual_seed(step))
        assert len(batch.z) == len(batch.ids) == 16
        for z, t, wanted in zip(batch.z, batch.timesteps, batch.targets, strict=True):
            alpha, sigma = alphas[t].sqrt(), (1 - alphas[t]).sqrt()
            left, right = (float(half.mean() / alpha) for half in (z[..., :16], z[..., 16:]))
            seen[round(float(wanted.mean()))].append((int(t), left, right, float(sigma / alpha) / 20))
    assert [len(seen[target]) for target in (4, 6, 8, 3)] == [30 * n for n in (6, *SHARES.values())]
    painted = seen[4]
    further = [each for each in painted if abs(each[1] - 3) < 5 * each[3] and abs(each[1] - 5) > 5 * each[3]]
    assert len(further) >= 30
    for t, left, _, error in painted:
        assert abs(left - 5) < 5 * error or abs(left - 3) < 5 * error
        assert t < PAINTED_TIMESTEPS[1]
    assert all(abs(left - 7) < 5 * error for _, left, _, error in seen[6])
    for t, left, right, error in seen[8]:
        assert t >= HARD_TIMESTEPS[0]
        assert abs(right - 8) < 5 * error
        assert abs(left - (0 if t >= 960 else 8)) < 5 * error
    assert 0.3 < sum(t == 999 for t, *_ in seen[8]) / 90 < 0.5
    assert {t for t, *_ in seen[3]} <= {timestep_of(i) for i in (0, 4, 8, 12, 18, 20, 28, 35, 38)}
    assert min(t for t, *_ in seen[3]) == 239


def test_timesteps_are_those_of_the_samplers_grid():
    assert [timestep_of(index) for index in (0, 18, 38)] == [999, 639, 239]


def test_regions_are_as_large_as_those_of_scenes():
    sides = []
    for seed in range(60):
        region = random_region(random.Random(seed))
        sides += [int(region.any(axis).sum()) * 8 for axis in (0, 1)]
    assert min(sides) >= 56
    assert max(sides) <= 176
    assert max(sides) > 150


def test_hard_pictures_are_in_the_middle_and_a_meadow_has_a_deep_blue_sky():
    kinds = {"moon": 0, "goddess": 0, "star": 0, "cloud": 0, "meadow": 0}
    for seed in range(120):
        picture = draw_hard(random.Random(seed), 0.2, 64)
        pixels = np.asarray(picture.image).astype(int)
        if picture.alone:
            inner = np.zeros((64, 64), bool)
            inner[17:47, 17:47] = True
            assert (pixels[~inner] == 255).all()
            assert (pixels[inner] < 255).any()
        words = picture.caption
        if "sky" in words and any(w in words for w in ("grass", "meadow")) and "oddess" not in words:
            kinds["meadow"] += 1
            sky, ground = pixels[:20].mean((0, 1)), pixels[44:].mean((0, 1))
            assert sky[2] > sky[1] + 50 > sky[0] + 50
            assert ground[1] > ground[0] + 20 > ground[2]
        for kind in ("moon", "star", "cloud"):
            kinds[kind] += kind in words and not picture.alone
        kinds["goddess"] += "lifts arm" in words
    assert min(kinds.values()) >= 3, kinds


def test_a_codec_gives_back_what_it_encodes():
    pixels = np.zeros((2, 64, 64, 3), np.uint8)
    pixels[0], pixels[1] = RED, NIGHT
    model = Codec(AutoencoderTiny.from_pretrained(WEIGHTS_FOLDER / "vae").float())
    latents = model.encode(pixels)
    assert latents.shape == (2, 4, 8, 8)
    assert abs(model.decode(latents).astype(int) - pixels).mean() < 8
