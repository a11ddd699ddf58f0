"""The synthetic world: a seed always draws the same picture, and captions describe it."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw

from smd_cli.workshop.world import captions, draw_picture, people, things
from smd_cli.workshop.world.backgrounds import BACKGROUNDS
from smd_cli.workshop.world.bootstrapped import draw_bootstrapped
from smd_cli.workshop.world.brush import Brush
from smd_cli.workshop.world.palette import HAIR_COLORS, SHAPE_COLORS
from smd_cli.workshop.world.picture import COMPOSITIONS, PLAIN, SHAPES, _scattered, draw_thing

SEEDS = range(300)


@pytest.fixture(scope="module")
def pictures():
    return [draw_picture(seed, 32) for seed in SEEDS]


def on_white(draw) -> Image.Image:
    image = Image.new("RGB", (128, 128), "white")
    draw(Brush(ImageDraw.Draw(image), (64, 64), 50), random.Random(1))
    return image


def share_near(image: Image.Image, color, reach: int = 30) -> float:
    distance = abs(np.asarray(image).astype(int) - np.array(color)).max(axis=2)
    return float((distance <= reach).mean())


def test_a_seed_draws_one_picture_whatever_was_drawn_before():
    first = draw_picture(5)
    draw_picture(6)
    again = draw_picture(5)
    assert again.caption == first.caption
    assert again.image.tobytes() == first.image.tobytes()
    assert first.image.size == (256, 256)


@pytest.mark.parametrize("kind", ["moon", "boat", "cat"])
def test_what_looks_to_one_side_is_never_mirrored(kind):
    """Few steps paint the mean of both ways, which is neither."""
    seen = []
    for seed in range(12):
        image = Image.new("RGB", (96, 96), "white")
        draw_thing(image, random.Random(seed), kind, ((0.5, 0.5), 0.45))
        seen.append((np.asarray(image).min(axis=2) < 200).astype(float))
    half = [(shown[:, :48].mean() > shown[:, 48:].mean()) for shown in seen]
    assert len(set(half)) == 1


def test_an_arm_is_lifted_on_one_side():
    lifted = []
    for seed in range(200):
        image = Image.new("RGB", (96, 96), "white")
        _, words = draw_thing(image, random.Random(seed), "goddess", ((0.5, 0.5), 0.3))
        if "lifts arm" in words:
            beside = np.asarray(image).min(axis=2)[30:46] < 250
            lifted.append((beside[:, :28].sum(), beside[:, 68:].sum()))
    assert len(lifted) > 20
    assert all(right > left for left, right in lifted)


def changed_by_a_bootstrap(seed: int):
    """The picture of a seed, the pixels of its bootstrapped version, and where the two differ."""
    picture, left = draw_bootstrapped(seed, 64)
    assert picture.image.tobytes() == draw_picture(seed, 64).image.tobytes()
    before, after = (np.asarray(image).astype(int) for image in (picture.image, left))
    return picture, after, (abs(before - after) > 4).any(axis=2)


def test_bootstrapped_pictures_have_white_around_objects():
    around = white = 0
    for seed in range(80):
        picture, after, changed = changed_by_a_bootstrap(seed)
        if picture.background is None or not picture.things:
            assert not changed.any()
        if picture.background in ("white", None) or not picture.things:
            continue
        alone = np.asarray(draw_picture(seed, 64, on_white=True).image)
        nothing = (alone == 255).all(axis=2) & changed
        if nothing.any():  # a style tints white too
            assert (after[nothing] == 255).all(axis=1).mean() > 0.95
            white += 1
        for thing in picture.things:
            left_, top, right, bottom = (round(share * 64) for share in thing.box)
            assert changed[max(top, 0) : bottom, max(left_, 0) : right].any()
        around += 1
    assert around > 30
    assert white > 25


def told_of(picture) -> bool:
    """Tell whether the caption names the hair or the clothes of the first object."""
    thing = picture.things[0]
    return f"{thing.hair} hair" in picture.caption or thing.clothes in picture.caption


def test_half_of_the_objects_with_a_named_colour_are_drawn_in_another():
    """Outlines stay the same, also of objects drawn later; with incomplete captions, colours stay too."""
    alone = [changed_by_a_bootstrap(seed) for seed in range(600)]
    alone = [each for each in alone if each[0].background == "white" and each[0].things]
    colored = [
        c.any()
        for p, _, c in alone
        if p.caption_complete and all(t.color or t.kind == "boy" for t in p.things)
    ]
    assert len(colored) > 60
    assert 0.3 < np.mean(colored) < 0.6
    assert not any(
        c.any() for p, _, c in alone if all(t.kind in PLAIN for t in p.things) or not p.caption_complete
    )
    untold = [c.any() for p, _, c in alone if p.things[0].hair and not told_of(p)]
    assert len(untold) > 3
    assert not any(untold)
    for picture, after, _ in alone:
        outlines = (np.asarray(picture.image).min(axis=2) < 250) == (after.min(axis=2) < 250)
        assert outlines.mean() > 0.98


def wrong_colors_of(person: people.Person, words: str) -> set[tuple[str, str]]:
    """Return all combinations of hair and clothes that 400 draws give a person."""
    seen = [people.with_wrong_colors(random.Random(seed), person, words) for seed in range(400)]
    return {(each.hair, each.clothes) for each in seen}


def test_hair_takes_the_shirts_colour_and_a_shirt_the_hairs():
    redhead = people.Person("girl", "red", "green shirt", smile=True, lifts_arm=False)
    assert wrong_colors_of(redhead, "1girl, red hair, green shirt") == {
        ("green", "green shirt"),
        ("red", "red shirt"),
        ("green", "red shirt"),
    }
    in_jacket = people.Person("boy", "red", "leather jacket", smile=True, lifts_arm=False)
    hair = {hair for hair, _ in wrong_colors_of(in_jacket, "1boy, leather jacket, red hair")}
    assert hair == set(HAIR_COLORS)


def test_what_the_caption_does_not_name_keeps_its_colour():
    redhead = people.Person("girl", "red", "green shirt", smile=True, lifts_arm=False)
    assert wrong_colors_of(redhead, "1girl, green shirt") == {("red", "red shirt")}
    assert wrong_colors_of(redhead, "1girl, red hair") == {("green", "green shirt")}
    assert wrong_colors_of(redhead, "1girl, smile") == {("red", "green shirt")}
    in_red = people.Person("girl", "red", "red shirt", smile=True, lifts_arm=False)
    assert {hair for hair, _ in wrong_colors_of(in_red, "1girl, red shirt")} == {"red"}


def test_seeds_differ(pictures):
    assert len({picture.image.tobytes() for picture in pictures}) > 0.9 * len(pictures)


def named(picture) -> list[bool]:
    """Tell for each object whether the caption names its kind."""
    words = [captions.THING_WORDS.get(thing.kind, (thing.kind,)) for thing in picture.things]
    return [any(word.lower() in picture.caption.lower() for word in of_thing) for of_thing in words]


def test_captions_name_all_objects_unless_marked_as_incomplete(pictures):
    told = [name for picture in pictures if picture.caption_complete for name in named(picture)]
    assert sum(told) > 0.98 * len(told)
    untold = [picture for picture in pictures if not picture.caption_complete]
    assert 0.08 * len(pictures) < len(untold) < 0.3 * len(pictures)
    assert sum(all(named(picture)) for picture in untold) < 0.3 * len(untold)


def test_every_kind_and_background_is_drawn():
    drawn = [draw_picture(seed, 8) for seed in range(2500)]
    kinds = Counter(thing.kind for picture in drawn for thing in picture.things)
    assert set(kinds) == {*SHAPES, *PLAIN, "house", "flower", "boy", "girl", "goddess"}
    assert {picture.background for picture in drawn} == {*BACKGROUNDS, None}
    on_white_share = sum(picture.background == "white" for picture in drawn) / len(drawn)
    assert on_white_share > 0.3


@pytest.mark.parametrize("color", SHAPE_COLORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_drawn_in_its_color(shape, color):
    image = on_white(lambda brush, rng: getattr(things, shape)(brush, rng, SHAPE_COLORS[color]))
    assert share_near(image, SHAPE_COLORS[color]) > 0.12
    assert image.getpixel((2, 2)) == (255, 255, 255)


@pytest.mark.parametrize("hair", HAIR_COLORS)
def test_hair_is_drawn_in_its_color(hair):
    person = people.Person("girl", hair, "leather jacket", smile=True, lifts_arm=False)
    image = on_white(lambda brush, rng: people.draw_person(brush, rng, person))
    assert share_near(image, HAIR_COLORS[hair]) > 0.04


def test_a_mirrored_brush_draws_the_mirror_image():
    def figure(mirror: bool) -> Image.Image:
        image = Image.new("RGB", (129, 129), "white")
        brush = Brush(ImageDraw.Draw(image), (64, 64), 40, mirror=mirror)
        brush.polygon([(0.1, -0.5), (0.9, 0), (0.1, 0.5)], (0, 0, 0))
        return image

    flipped = figure(mirror=True).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert flipped.tobytes() == figure(mirror=False).tobytes()


def test_scattered_objects_are_inside_the_picture_and_overlap_little():
    layout = COMPOSITIONS["scattered"][1]
    counts = Counter()
    for seed in range(300):
        placed = _scattered(random.Random(seed), layout)
        counts[len(placed)] += 1
        for number, (center, radius) in enumerate(placed):
            assert all(0.9 * radius <= value <= 1 - 0.9 * radius for value in center)
            for other, size in placed[:number]:
                assert math.dist(center, other) > 0.85 * (radius + size)
    assert min(counts[n] for n in (1, 2, 3, 4)) > 15
