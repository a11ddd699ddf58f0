"""Lessons of late steps: things cut out of white, laid over a ground, and shown on patches of white."""

import random
from typing import NamedTuple

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

from smd_cli.workshop.train.late import (
    DRAWN_TIMESTEPS,
    HARD_TIMESTEPS,
    PAINTED_TIMESTEPS,
    Counts,
    Lessons,
    hard_lessons,
)
from smd_cli.workshop.train.latents import Codec
from smd_cli.workshop.train.painted import (
    ROUNDS,
    Ground,
    PaintedThing,
    Painter,
    encode_lessons,
    random_move,
    random_prompt,
    random_region,
    timestep_of,
)
from smd_cli.workshop.train.unet import TRAIN_STEPS, alpha_sigma, alphas_cumprod
from smd_cli.workshop.train.visibility import BOOTSTRAPPED_TIMESTEPS
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
    begun = torch.where(region, 3.0, 1.0).expand(4, 32, 32)
    return PaintedThing("a red square", region, begun, picture, coverage(picture))


def test_a_moved_thing_takes_its_region_latents_and_pixels_along():
    thing = corner_thing()
    for seed in range(20):
        down, right = random_move(random.Random(seed), thing.region)
        moved = thing.moved(down, right)
        assert moved.region[14 + down : 18 + down, 14 + right : 18 + right].all()
        assert moved.region.sum() == 16
        assert torch.equal(moved.begun == 3, moved.region.expand(4, 32, 32))
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


def painter(color: tuple[int, int, int] = RED, seed: int = 0) -> Painter:
    def paints(z, timesteps, **_):
        """Predict the noise whose picture has a colour everywhere, and the time in a fourth channel."""
        alpha, sigma = alpha_sigma(timesteps, alphas_cumprod())
        plain = torch.tensor([*color, 0])[:, None, None] / 127.5 - 1
        plain = plain.repeat(len(z), 1, 1, 1)
        plain[:, 3] = timesteps[:, None, None] / TRAIN_STEPS
        return ((z - alpha * plain) / sigma,)

    def states(words):
        return torch.zeros(len(words), 77, 16)

    return Painter(paints, states, Mean(), random.Random(seed), torch.Generator().manual_seed(seed))


def test_the_student_paints_things_in_regions_on_white():
    things = painter().things(8)
    assert len(things) == 8
    for thing in things:
        inside = thing.region.numpy().repeat(8, 0).repeat(8, 1)
        assert (abs(thing.picture[inside].astype(int) - RED) < 6).all()
        assert (thing.picture[~inside] > 250).all()
        assert np.array_equal(thing.covered > 0.5, inside)
        (begun_at,) = (thing.begun[3, thing.region] * TRAIN_STEPS).round().unique().tolist()
        assert begun_at in (timestep_of(18), timestep_of(12)), "the third step of either way"
    assert painter(color=(255, 255, 255)).things(8) == [], "what stayed white is no thing"


def test_a_lesson_shows_patches_of_white_and_its_target_has_the_ground_there():
    thing, ground = corner_thing(), np.broadcast_to(np.uint8(NIGHT), (256, 256, 3))
    behind = Ground("a lake", torch.full((4, 32, 32), -2.0), ground)
    teacher = painter()
    lessons = [teacher.lesson([thing], [behind]) for _ in range(40)]
    own = [each for each in lessons if (each.shown == -2).any()]
    assert 8 < len(own) < 32, "others stand on drawn grounds"
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
    teacher = painter()
    things = teacher.things(32)
    grounds = [ground for _ in range(ROUNDS) for ground in teacher.grounds()]
    made = [teacher.lesson(things, grounds) for _ in range(12)]
    assert captions == [lesson.caption for lesson in made]
    assert {lesson.fade for lesson in made} > {1.0}
    for lesson, target, shown in zip(made, tensors["latents"], tensors["shown"], strict=True):
        assert target.dtype == shown.dtype == torch.float16
        wanted = teacher.codec.encode(lesson.picture[None])[0]
        torch.testing.assert_close(target.float(), wanted, atol=2e-3, rtol=2e-3)
        way = lesson.shown - wanted
        torch.testing.assert_close(shown.float() - wanted, lesson.fade * way, atol=4e-3, rtol=2e-3)


def test_hard_lessons_have_their_thing_in_its_region_or_are_whole_pictures():
    tensors, captions = hard_lessons(Mean(), 24, seed=3)
    assert len(captions) == 24
    assert tensors["latents"].shape == (24, 4, 32, 32)
    assert tensors["regions"].shape == (24, 1, 32, 32)
    sizes = []
    for latents, (region,) in zip(tensors["latents"], tensors["regions"], strict=True):
        drawn = (latents < 0.99).any(0)
        is_alone = not drawn[:2].any()
        assert is_alone == (not region.all())
        if is_alone:
            width, height, side = *extent(drawn), min(extent(region))
            assert max(width, height) <= side + 1
            sizes.append(max(width, height) / side)
    assert 6 < len(sizes) < 20
    assert max(sizes) - min(sizes) < 0.5, "as large as their regions allow"


def extent(cells: torch.Tensor) -> tuple[int, int]:
    """How many columns and rows have something of (h, w) truth values."""
    return int(cells.any(0).sum()), int(cells.any(1).sum())


def lessons() -> Lessons:
    def encoded(latents: float, shown: float, name: str) -> dict[str, torch.Tensor]:
        whole = torch.ones(5, 4, 32, 32)
        return {"latents": latents * whole, name: shown * whole, "ids": torch.full((5, 77), int(latents))}

    regions = torch.zeros(5, 1, 32, 32, dtype=torch.bool)
    regions[..., :16] = True
    is_complete = torch.tensor([True, False, True, False, True])
    drawn = encoded(6, 7, "bootstrapped") | {"caption_complete": is_complete}
    drawn["ids"] = torch.where(is_complete, 6, 16)[:, None].expand(5, 77)
    return Lessons(
        painted=encoded(4, 5, "shown"),
        drawn=drawn,
        hard=encoded(8, 8, "x") | {"regions": regions},
        before=sees_three,
        text=lambda ids: type("States", (), {"last_hidden_state": torch.zeros(len(ids), 77, 16)}),
        white=torch.full((1, 4, 1, 1), 9.0).expand(1, 4, 32, 32),
    )


class Seen(NamedTuple):
    """What a lesson shows in the halves of its picture and at its border, each give or take an error."""

    time: int
    left: float
    right: float
    border: float
    error: float
    ids: int


@pytest.fixture(scope="module")
def seen() -> dict[int, list[Seen]]:
    """What thirty batches show, by what they want."""
    alphas, found = alphas_cumprod(), {4: [], 6: [], 8: [], 3: []}
    for step in range(30):
        batch = lessons().batch(sees_three, Counts.of(16), torch.Generator().manual_seed(step))
        assert len(batch.z) == len(batch.ids) == 16
        for z, t, wanted, ids in zip(batch.z, batch.timesteps, batch.targets, batch.ids, strict=True):
            alpha, sigma = alphas[t].sqrt(), (1 - alphas[t]).sqrt()
            parts = z[..., :16], z[..., 16:], torch.cat([z[:, :4], z[:, 28:]])
            shown = (float(part.mean() / alpha) for part in parts)
            lesson = Seen(int(t), *shown, 5 * float(sigma / alpha) / 20, int(ids[0]))
            found[round(float(wanted.mean()))].append(lesson)
    return found


def test_a_batch_has_its_shares_of_each_kind_of_lesson(seen):
    assert [len(seen[target]) for target in (4, 6, 8, 3)] == [30 * n for n in (6, 4, 3, 3)]


def test_painted_lessons_show_patches_of_white_or_what_the_student_made_of_them(seen):
    further = [each for each in seen[4] if abs(each.left - 3) < each.error < abs(each.left - 5)]
    still = [each for each in seen[4] if abs(each.left - 5) < each.error < abs(each.left - 3)]
    assert len(further) >= 30
    assert len(still) >= 60
    for each in seen[4]:
        assert abs(each.left - 5) < each.error or abs(each.left - 3) < each.error
        assert each.time < PAINTED_TIMESTEPS[1]


def test_drawn_lessons_whose_captions_leave_something_out_are_earlier_too(seen):
    assert all(abs(each.left - 7) < each.error for each in seen[6])
    whole, partial = ([each.time for each in seen[6] if each.ids == ids] for ids in (6, 16))
    assert min(whole) >= BOOTSTRAPPED_TIMESTEPS[0] > min(partial)
    assert max(whole) > DRAWN_TIMESTEPS[1] > max(partial)


def test_hard_lessons_show_nothing_of_a_region_at_first(seen):
    for each in seen[8]:
        assert each.time >= HARD_TIMESTEPS[0]
        assert abs(each.right - 8) < each.error
        assert abs(each.left - (0 if each.time >= 960 else 8)) < each.error
    assert 0.3 < sum(each.time == 999 for each in seen[8]) / 90 < 0.5


def test_kept_lessons_are_points_of_the_former_student_on_its_grid_on_white_or_alone(seen):
    assert {each.time for each in seen[3]} <= {timestep_of(i) for i in (0, 4, 8, 12, 18, 20, 28, 35, 38)}
    assert min(each.time for each in seen[3]) == 239
    for each in seen[3]:
        alone = 0 if each.time == 999 else 3
        assert min(abs(each.border - 9), abs(each.border - alone)) < each.error
    later = [each.border > 6 for each in seen[3] if each.time < 999]
    assert 0.2 < np.mean(later) < 0.8, "regions on white, and prompts alone"


def test_timesteps_are_those_of_the_samplers_grid():
    assert [timestep_of(index) for index in (0, 18, 38)] == [999, 639, 239]


def test_regions_are_as_large_as_those_of_scenes_and_of_all_shapes():
    sides, filled = [], []
    for seed in range(60):
        region = random_region(random.Random(seed))
        width, height = extent(region)
        sides += [width * 8, height * 8]
        filled.append(float(region.sum()) / (width * height))
        assert 0.5 < width / height < 1.9
    assert min(sides) >= 56
    assert max(sides) <= 176
    assert max(sides) > 150
    assert 10 < sum(share == 1 for share in filled) < 30, "boxes"
    assert 10 < sum(0.7 < share < 0.9 for share in filled) < 50, "ellipses"


def test_nothing_pale_is_asked_for_on_white():
    words = {random_prompt(random.Random(seed)) for seed in range(400)}
    assert not any("white" in each for each in words)
    assert any("hair" in each for each in words)
    assert any("circle" in each or "disc" in each for each in words)


def test_hard_pictures_are_in_the_middle_and_a_meadow_has_a_deep_blue_sky():
    alone, goddesses = 0, []
    kinds = {"moon": 0, "goddess": 0, "star": 0, "cloud": 0, "meadow": 0}
    for seed in range(120):
        picture = draw_hard(random.Random(seed), 0.2, 64)
        pixels = np.asarray(picture.image).astype(int)
        alone += picture.alone
        if picture.alone:
            inner = np.zeros((64, 64), bool)
            inner[17:47, 17:47] = True
            assert (pixels[~inner] == 255).all()
            assert (pixels[inner] < 255).any()
        words = picture.caption
        if "sky" in words and any(w in words for w in ("grass", "meadow")) and "oddess" not in words:
            kinds["meadow"] += 1
            sky, ground = pixels[24:26].mean((0, 1)), pixels[37:].mean((0, 1))
            assert sky[2] > sky[1] + 50 > sky[0] + 50
            assert ground[1] > ground[0] + 20 > ground[2]
        for kind in ("moon", "star", "cloud"):
            kinds[kind] += kind in words and not picture.alone
        kinds["goddess"] += "lifts arm" in words
        goddesses += ["lifts arm" in words] * ("oddess" in words)
    assert 30 < alone < 80
    assert np.mean(goddesses) > 0.7
    assert min(kinds.values()) >= 3, kinds


def test_a_codec_gives_back_what_it_encodes():
    pixels = np.zeros((2, 64, 64, 3), np.uint8)
    pixels[0], pixels[1] = RED, NIGHT
    model = Codec(AutoencoderTiny.from_pretrained(WEIGHTS_FOLDER / "vae").float())
    latents = model.encode(pixels)
    assert latents.shape == (2, 4, 8, 8)
    assert abs(model.decode(latents).astype(int) - pixels).mean() < 8
