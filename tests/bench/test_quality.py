"""The quality benchmark: its scenes, its scores, its ways of painting, and a small run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smd_cli.bench.quality import run
from smd_cli.bench.quality.gallery import write_gallery
from smd_cli.bench.quality.kept import Painted, Took, keeping
from smd_cli.bench.quality.layouts import Expected, draw_layout
from smd_cli.bench.quality.methods import FULL, VARIANTS, AveragedNoise, Variant, stage_of, uncentered
from smd_cli.bench.quality.run import FIRST_SEED, Bench, measure_quality
from smd_cli.bench.quality.score import (
    FIGURES,
    SceneScore,
    effects,
    frechet,
    intervals,
    is_right,
    leaks,
    score_scene,
    seam_score,
)
from smd_cli.core.noise import SeededNoise
from smd_cli.core.regions import arrange_regions
from smd_cli.flatland.judge.network import judge_crops, load_judge
from smd_cli.flatland.sheet import picture
from smd_cli.flatland.world.backgrounds import BACKGROUNDS
from smd_cli.flatland.world.brush import Brush
from smd_cli.flatland.world.picture import COLORED, PEOPLE, SHAPES
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def layouts():
    return [draw_layout(seed) for seed in range(200)]


def test_random_scenes_are_scenes_and_as_varied_as_they_should_be(layouts):
    for layout in layouts:
        plan = resolve(load_text(json.dumps(layout.scene), "scene").scene, "scene", Path())
        prompts = [region.prompt.text for region in plan.regions]
        assert prompts == [r["prompt"] for r in layout.scene["regions"]]
        width, height = plan.canvas.width, plan.canvas.height
        for left, top, right, bottom in (region.box for region in layout.regions):
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
        kinds = [region.answers["kind"] for region in layout.regions]
        assert len(set(kinds)) == len(kinds)
        for attribute in ("color", "hair"):
            given = [r.answers[attribute] for r in layout.regions if attribute in r.answers]
            assert len(set(given)) == len(given)
    assert {len(layout.regions) for layout in layouts} == {1, 2, 3, 4, 5}
    assert {next(iter(r["mask"])) for layout in layouts for r in layout.scene["regions"]} == {
        "box",
        "ellipse",
        "polygon",
    }
    assert {layout.background for layout in layouts} == set(BACKGROUNDS)


def test_a_seed_is_a_scene():
    assert draw_layout(5) == draw_layout(5)
    assert draw_layout(5).scene != draw_layout(6).scene


def region(name: str, **answers: str) -> Expected:
    return Expected(name, answers, (0, 0, 64, 64))


@pytest.mark.parametrize(
    ("found", "right", "leaked"),
    [
        ({"kind": "circle", "color": "red", "hair": "pink"}, True, False),
        ({"kind": "circle", "color": "green", "hair": "pink"}, False, False),
        ({"kind": "circle", "color": "blue", "hair": "pink"}, False, True),
        ({"kind": "house", "color": "red", "hair": "pink"}, False, True),
        ({"kind": "flower", "color": "blue", "hair": "pink"}, False, True),
        ({"kind": "owl", "color": "blue", "hair": "pink"}, False, False),
        ({"kind": "nothing", "color": "blue", "hair": "pink"}, False, False),
    ],
)
def test_right_is_the_prompted_thing_and_leaked_is_a_neighbours(found, right, leaked):
    circle, house = region("a", kind="circle", color="red"), region("b", kind="house", color="blue")
    girl = region("c", kind="girl", hair="pink")
    assert is_right(found, circle.answers) == right
    assert leaks(found, circle, [circle, house, girl]) == leaked


def test_hair_leaks_to_people_alone():
    girl, boy = region("a", kind="girl", hair="pink"), region("b", kind="boy", hair="brown")
    assert leaks({"kind": "girl", "color": "red", "hair": "brown"}, girl, [girl, boy])
    assert not leaks({"kind": "cat", "color": "red", "hair": "brown"}, girl, [girl, boy])


def test_a_background_alone_is_right_by_its_background():
    wanted = {"kind": "nothing", "background": "sunset"}
    assert is_right({"kind": "sun", "background": "sunset"}, wanted)
    assert not is_right({"kind": "nothing", "background": "lake"}, wanted)


def test_a_seam_scores_above_other_columns():
    ramp = np.tile(np.arange(0, 128, dtype=np.uint8), (16, 1))
    smooth = Image.fromarray(np.stack([ramp] * 3, axis=2))
    assert seam_score(smooth, (64,)) == pytest.approx(1)
    ramp = ramp.copy()
    ramp[:, 64:] += 20
    assert seam_score(Image.fromarray(np.stack([ramp] * 3, axis=2)), (64,)) == pytest.approx(
        21 / (1 + 20 / 127)
    )
    assert seam_score(smooth, ()) is None


def test_the_frechet_distance_is_that_of_normal_distributions():
    rng = np.random.default_rng(0)
    one = rng.normal(0, [1.0, 2.0, 0.5], (200_000, 3))
    other = rng.normal([3, 0, 0], [1.0, 1.0, 0.5], (200_000, 3))
    assert frechet(one, one) == pytest.approx(0, abs=1e-6)
    assert frechet(one, other) == pytest.approx(9 + (2 - 1) ** 2, rel=0.02)


def scores_of(right: list[int]) -> list[SceneScore]:
    rows = [[[hits, 4]] * len(FIGURES) for hits in right]
    return [SceneScore(np.array(counts, dtype=float), np.zeros((1, 2))) for counts in rows]


def test_intervals_hold_the_share_and_shrink_with_more_scenes():
    few, many = (intervals(scores_of([1, 2, 3, 4] * n))["regions"] for n in (5, 100))
    assert few.value == many.value == pytest.approx(10 / 16)
    assert few.low < few.value < few.high
    assert many.high - many.low < 0.4 * (few.high - few.low)
    sure = intervals(scores_of([4] * 10))["regions"]
    assert (sure.low, sure.high) == (1, 1)


def test_effects_compare_the_same_scenes():
    """Scenes differ much and the ways little: only on the same scenes is the difference certain."""
    worse = [0, 1, 2, 3] * 10
    effect = effects(scores_of([hits + 1 for hits in worse]), scores_of(worse))["regions"]
    assert (effect.low, effect.value, effect.high) == pytest.approx((0.25, 0.25, 0.25))


def test_noise_averaged_over_views_is_weaker_where_views_overlap():
    regions = arrange_regions(torch.ones(1, 2, 1, 32, 48), 32, overlap=0.5)
    noise = AveragedNoise(SeededNoise(3), regions)
    drawn = torch.cat([noise("renoise", 1, (1, 400, 32, 48))])[0]
    middle, edge = drawn[:, :, 24].std().item(), drawn[:, :, 2].std().item()
    assert edge == pytest.approx(1, abs=0.05)
    assert middle == pytest.approx(0.5**0.5, abs=0.05)
    plain = SeededNoise(3)
    assert torch.equal(noise("init", 0, (1, 4, 32, 48)), plain("init", 0, (1, 4, 32, 48)))


def test_rows_have_names_of_their_own():
    assert len({variant.key for variant in VARIANTS}) == len(VARIANTS)
    assert FULL in VARIANTS


def draw_as_asked(layout) -> Image.Image:
    """What a perfect model would paint: the world's own drawings in the middle of the boxes."""
    import random

    from PIL import ImageDraw

    from smd_cli.flatland.world import people, things
    from smd_cli.flatland.world.palette import SHAPE_COLORS, SHIRT_COLORS

    rng = random.Random(layout.seed)
    width, height = (layout.scene["canvas"][side] for side in ("width", "height"))
    square = Image.new("RGB", (width, width))
    BACKGROUNDS[layout.background](square, rng)
    image = square.resize((width, height))
    for left, top, right, bottom in (r.box for r in layout.regions):
        assert right - left > 40
        assert bottom - top > 40
    for expected in layout.regions:
        left, top, right, bottom = expected.box
        radius = 0.45 * min(right - left, bottom - top)
        brush = Brush(ImageDraw.Draw(image), ((left + right) / 2, (top + bottom) / 2), radius)
        answers, kind = expected.answers, expected.answers["kind"]
        if kind in PEOPLE:
            person = people.Person(kind, answers["hair"], answers["clothes"], smile=True, lifts_arm=False)
            people.draw_person(brush, rng, person)
        elif kind in COLORED:
            colors = SHAPE_COLORS if kind in SHAPES else SHIRT_COLORS
            getattr(things, kind)(brush, rng, colors[answers["color"]])
        else:
            getattr(things, kind)(brush, rng)
    return image


def test_drawings_of_what_was_asked_for_score_high_and_swapped_ones_leak(layouts):
    judge = load_judge()
    drawn = [score_scene(judge, layout, draw_as_asked(layout), ()) for layout in layouts[:60]]
    figures = intervals(drawn)
    assert figures["regions"].value > 0.93
    assert figures["leaked"].value < 0.03
    assert figures["whole"].value > 0.9
    swapped = []
    for layout in layouts[:60]:
        if len(layout.regions) > 1:
            image = draw_as_asked(layout)
            turned = [r.answers for r in layout.regions[1:]] + [layout.regions[0].answers]
            regions = tuple(
                Expected(r.name, answers, r.box) for r, answers in zip(layout.regions, turned, strict=True)
            )
            asked = type(layout)(layout.seed, layout.scene, layout.background, regions)
            swapped.append(score_scene(judge, asked, image, ()))
    figures = intervals(swapped)
    assert figures["regions"].value < 0.05
    assert figures["leaked"].value > 0.9


@pytest.fixture(scope="module")
def backbone():
    return load(locate(ModelSpec("flatland"), few_step=True), CPU, torch.float32)


def test_a_variant_that_does_not_centre_paints_regions_where_their_masks_are(backbone, layouts):
    layout = next(each for each in layouts if len(each.regions) > 1)
    stage = stage_of(FULL, layout, backbone, 8)
    rolls = {view.roll for views in stage.regions.views for view in views}
    assert rolls != {(0, 0)}
    assert {view.roll for views in uncentered(stage).regions.views for view in views} == {(0, 0)}


def test_a_picture_is_painted_again_only_where_something_it_follows_from_has_changed(tmp_path):
    kept_at, painted = tmp_path / "row" / "1.png", []

    def paint() -> Painted:
        painted.append(Image.new("RGB", (4, 4), (len(painted), 0, 0)))
        return Painted(painted[-1], Took(0.5, 7, (32, 64)))

    first = keeping(kept_at, {"scene": (1, 2), "dtype": "float32"}, paint)
    again = keeping(kept_at, {"scene": (1, 2), "dtype": "float32"}, paint)
    assert len(painted) == 1
    assert again.took == first.took
    assert again.image.getpixel((0, 0)) == (0, 0, 0)
    assert keeping(kept_at, {"scene": (1, 2), "dtype": "bfloat16"}, paint).image.getpixel((0, 0)) == (1, 0, 0)
    kept_at.write_bytes(kept_at.read_bytes()[:40])
    keeping(kept_at, {"scene": (1, 2), "dtype": "bfloat16"}, paint)
    painted[0].save(kept_at)
    keeping(kept_at, {"scene": (1, 2), "dtype": "bfloat16"}, paint)
    assert len(painted) == 4


def test_lone_prompts_are_painted_as_the_sheet_paints_them_and_kept(backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "SINGLE_SEEDS", 1)
    monkeypatch.setattr(run, "PROMPTS", {"a red circle": {"kind": "circle", "color": "red"}})
    bench = Bench(ModelSpec("flatland"), CPU, torch.float32, 2, 8, tmp_path)
    shares = run.measure_singles(bench, load_judge())
    with Image.open(tmp_path / "alone" / "00-00.png") as kept:
        assert kept.convert("RGB").tobytes() == picture("a red circle", 0, backbone).tobytes()
        found = judge_crops(load_judge(), [kept.convert("RGB")]).answers[0]
    right = (found["kind"], found["color"]) == ("circle", "red")
    assert shares == {"a red circle": float(right)}
    monkeypatch.setattr(run, "_paint", lambda *_: pytest.fail("painted again, not read"))
    assert run.measure_singles(bench, load_judge()) == shares


@pytest.mark.slow
def test_a_small_run_measures_every_row(tmp_path):
    told = []
    bench = Bench(ModelSpec("flatland"), CPU, torch.float32, 2, 8, tmp_path, lambda: told.append(1))
    stream = next(variant for variant in VARIANTS if variant.frames)
    few = Variant("few", "few steps of DDIM", {"sampler.kind": "ddim", "sampler.steps": 3})
    rows = measure_quality(bench, load_judge(), (few, FULL, stream))
    assert [row.name for row in rows] == [few.name, FULL.name, stream.name]
    assert len(told) == 6
    assert len(list(tmp_path.glob("*/*.png"))) == 6
    assert measure_quality(bench, load_judge(), (few, FULL, stream)) == rows, "seconds too are those kept"
    with Image.open(write_gallery(tmp_path, (few, FULL, stream), [FIRST_SEED, FIRST_SEED + 1])) as sheet:
        assert sheet.height > 3 * 128
        assert len(set(sheet.convert("L").tobytes())) > 50
    full = rows[1]
    assert all(effect.value == 0 for effect in full.against_full.values())
    assert rows[0].evaluations < full.evaluations == rows[2].evaluations
    one, frame = (sorted((tmp_path / v.key).glob("*.png")) for v in (FULL, stream))
    for a, b in zip(one, frame, strict=True):
        assert np.abs(np.asarray(Image.open(a)).astype(int) - np.asarray(Image.open(b))).max() <= 2
