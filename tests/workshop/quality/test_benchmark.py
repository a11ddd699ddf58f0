"""The quality benchmark: its scenes, scores and methods, and a small run."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smd_cli.app.scenes import load_scene
from smd_cli.core.noise import SeededNoise
from smd_cli.core.regions import arrange_regions
from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec
from smd_cli.models.configs import DEFAULTS
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from smd_cli.workshop.judge.jury import load_jury
from smd_cli.workshop.judge.network import judge_crops, load_judge
from smd_cli.workshop.quality import methods, run
from smd_cli.workshop.quality.drawn import draw_as_asked
from smd_cli.workshop.quality.gallery import HEIGHT, LABEL, write_gallery
from smd_cli.workshop.quality.methods import (
    FULL,
    VARIANTS,
    AveragedNoise,
    Variant,
    load_variant,
    prepare_variant,
    uncentered,
)
from smd_cli.workshop.quality.picture_cache import PictureCost, TimedPicture, cached_picture
from smd_cli.workshop.quality.random_scenes import ExpectedRegion, RandomScene, draw_scene
from smd_cli.workshop.quality.report import Interval
from smd_cli.workshop.quality.run import Benchmark, measure_quality
from smd_cli.workshop.quality.score import (
    FIGURES,
    SceneScore,
    frechet,
    intervals,
    is_right,
    leaks,
    paired_differences,
    preference,
    score_scene,
    seam_score,
)
from smd_cli.workshop.sheet import paint_prompt
from smd_cli.workshop.world.backgrounds import BACKGROUNDS
from tests import embedded
from tests.cli.program import FLATLAND

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(seed) for seed in range(200)]


def test_random_scenes_are_scenes_and_as_varied_as_they_should_be(scenes):
    for scene in scenes:
        plan = resolve(load_text(json.dumps(scene.document), "scene").scene, "scene", Path())
        prompts = [region.prompt.text for region in plan.regions]
        assert prompts == [r["prompt"] for r in scene.document["regions"]]
        width, height = plan.canvas.width, plan.canvas.height
        for left, top, right, bottom in (region.box for region in scene.regions):
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
        kinds = [region.answers["kind"] for region in scene.regions]
        assert len(set(kinds)) == len(kinds)
        for attribute in ("color", "hair"):
            given = [r.answers[attribute] for r in scene.regions if attribute in r.answers]
            assert len(set(given)) == len(given)
    assert {len(scene.regions) for scene in scenes} == {1, 2, 3, 4, 5}
    assert {next(iter(r["mask"])) for scene in scenes for r in scene.document["regions"]} == {
        "box",
        "ellipse",
        "polygon",
    }
    assert {scene.background for scene in scenes} == set(BACKGROUNDS)


def test_a_seed_is_a_scene():
    assert draw_scene(5) == draw_scene(5)
    assert draw_scene(5).document != draw_scene(6).document


def region(name: str, **answers: str) -> ExpectedRegion:
    return ExpectedRegion(name, answers, (0, 0, 64, 64))


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
def test_right_is_the_prompted_object_and_leaked_one_of_a_neighbour(found, right, leaked):
    circle, house = region("a", kind="circle", color="red"), region("b", kind="house", color="blue")
    girl = region("c", kind="girl", hair="pink")
    assert is_right(found, circle.answers) == right
    assert leaks(found, circle, [circle, house, girl]) == leaked


def test_only_people_can_have_leaked_hair():
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
    rows = [([[hits, 4]] * len(FIGURES), hits) for hits in right]
    return [SceneScore(np.array(counts, dtype=float), np.zeros((1, 2)), appeal) for counts, appeal in rows]


def test_intervals_hold_the_share_and_shrink_with_more_scenes():
    few, many = (intervals(scores_of([1, 2, 3, 4] * n))["regions"] for n in (5, 100))
    assert few.value == many.value == pytest.approx(10 / 16)
    assert few.low < few.value < few.high
    assert many.high - many.low < 0.4 * (few.high - few.low)
    sure = intervals(scores_of([4] * 10))["regions"]
    assert (sure.low, sure.high) == (1, 1)


def test_differences_are_paired_by_scene():
    """Scenes differ much and methods little, so only paired differences have narrow intervals."""
    worse = [0, 1, 2, 3] * 10
    effect = paired_differences(scores_of([hits + 1 for hits in worse]), scores_of(worse))["regions"]
    assert (effect.low, effect.value, effect.high) == pytest.approx((0.25, 0.25, 0.25))


def test_the_preferred_are_counted_scene_by_scene_and_equal_ones_are_halves():
    share = preference(scores_of([3, 1, 2, 2] * 10), scores_of([1, 3, 2, 1] * 10))
    assert share.value == pytest.approx((1 + 0 + 0.5 + 1) / 4)
    assert share.low < share.value < share.high
    assert preference(scores_of([1, 2]), scores_of([1, 2])) == Interval(0.5, 0.5, 0.5)
    assert preference(scores_of([2, 3]), scores_of([1, 2])) == Interval(1, 1, 1)


def test_noise_averaged_over_views_is_weaker_where_views_overlap():
    regions = arrange_regions(torch.ones(1, 2, 1, 32, 48), 32, overlap=0.5)
    noise = AveragedNoise(SeededNoise(3), regions)
    drawn = torch.cat([noise("renoise", 1, (1, 400, 32, 48))])[0]
    middle, edge = drawn[:, :, 24].std().item(), drawn[:, :, 2].std().item()
    assert edge == pytest.approx(1, abs=0.05)
    assert middle == pytest.approx(0.5**0.5, abs=0.05)
    plain = SeededNoise(3)
    assert torch.equal(noise("init", 0, (1, 4, 32, 48)), plain("init", 0, (1, 4, 32, 48)))


def test_variants_have_unique_keys():
    assert len({variant.key for variant in VARIANTS}) == len(VARIANTS)
    assert FULL in VARIANTS


def test_drawings_of_what_was_asked_for_score_high_and_swapped_ones_leak(scenes):
    jury = load_jury()
    asked_for = [(scene, draw_as_asked(scene)) for scene in scenes[:40]]
    drawn = [score_scene(jury, scene, image, ()) for scene, image in asked_for]
    figures = intervals(drawn)
    assert figures["regions"].value > 0.93
    assert figures["leaked"].value < 0.03
    assert figures["whole"].value > 0.9
    assert figures["halos"].value < 0.05
    assert figures["drawn"].value == 0.5, "the same drawings"
    swapped = []
    for scene, image in asked_for:
        if len(scene.regions) > 1:
            turned = [r.answers for r in scene.regions[1:]] + [scene.regions[0].answers]
            regions = tuple(
                ExpectedRegion(r.name, answers, r.box)
                for r, answers in zip(scene.regions, turned, strict=True)
            )
            asked = type(scene)(scene.seed, scene.document, scene.background, regions)
            swapped.append(score_scene(jury, asked, image, ()))
    figures = intervals(swapped)
    assert figures["regions"].value < 0.05
    assert figures["leaked"].value > 0.9


def test_drawings_have_later_things_in_front_and_a_ground_that_goes_on_beside_itself():
    document = {"canvas": {"width": 512, "height": 256}}
    boxes = {"red": (20, 20, 220, 220), "blue": (120, 20, 320, 220)}
    regions = tuple(
        ExpectedRegion(color, {"kind": "square", "color": color}, box) for color, box in boxes.items()
    )
    scene = RandomScene(3, document, "lake", regions)
    drawn = np.asarray(draw_as_asked(scene)).astype(int)
    assert drawn.shape == (256, 512, 3)
    red, blue = drawn[120, 70], drawn[120, 170]
    assert red[0] > red[2] + 60
    assert blue[2] > blue[0] + 60, "where both are"
    swapped = np.asarray(draw_as_asked(replace(scene, regions=regions[::-1]))).astype(int)
    assert swapped[120, 170, 0] > swapped[120, 170, 2] + 60
    ground = np.asarray(draw_as_asked(replace(scene, regions=())))
    assert np.array_equal(ground[:, 256:], ground[:, 255::-1])


@pytest.fixture(scope="module")
def backbone():
    return embedded.backbone()


def test_the_defaults_are_those_of_a_scene_that_the_program_opens(scenes):
    scene = next(each for each in scenes if len(each.regions) > 1)
    opened = load_scene({**scene.document, "model": "flatland"})
    row = load_variant(methods.DEFAULTS, scene, "flatland")
    assert row.scene.model_dump() == opened.loaded.scene.model_dump()
    assert row.filled.values(), "flatland recommends something"
    published = load_variant(replace(methods.DEFAULTS, advised=False), scene, "flatland")
    assert published.scene.model_dump() != row.scene.model_dump()
    assert not load_variant(FULL, scene, "flatland").filled.values(), "other rows say what they are"


def test_a_model_that_recommends_what_no_scene_can_have_is_told_before_any_picture(tmp_path):
    """With the first row that asks for it, it would be after hours of the others."""
    folder = tmp_path / "model"
    shutil.copytree(FLATLAND, folder, copy_function=os.symlink, ignore=shutil.ignore_patterns(DEFAULTS))
    (folder / DEFAULTS).write_text("smd: 1\nmasks: {std: soft}\n")
    bench = Benchmark(ModelSpec(str(folder)), CPU, torch.float32, scenes=2, offline=True)
    run.check_models(bench, [FULL], singles=True)
    with pytest.raises(AssetError, match=r"masks\.std: 'soft' is not a number"):
        run.check_models(bench, [FULL, methods.DEFAULTS], singles=True)


def test_a_variant_that_does_not_centre_paints_regions_where_their_masks_are(backbone, scenes):
    scene = next(each for each in scenes if len(each.regions) > 1)
    stage = prepare_variant(FULL, scene, backbone, 8)
    rolls = {view.roll for views in stage.regions.views for view in views}
    assert rolls != {(0, 0)}
    assert {view.roll for views in uncentered(stage).regions.views for view in views} == {(0, 0)}


def test_a_cached_picture_is_painted_again_only_under_other_conditions_or_if_damaged(tmp_path):
    kept_at, painted = tmp_path / "row" / "1.png", []

    def paint() -> TimedPicture:
        painted.append(Image.new("RGB", (4, 4), (len(painted), 0, 0)))
        return TimedPicture(painted[-1], PictureCost(0.5, 7, (32, 64)))

    first = cached_picture(kept_at, {"scene": (1, 2), "dtype": "float32"}, paint)
    again = cached_picture(kept_at, {"scene": (1, 2), "dtype": "float32"}, paint)
    assert len(painted) == 1
    assert again.cost == first.cost
    assert again.image.getpixel((0, 0)) == (0, 0, 0)
    assert cached_picture(kept_at, {"scene": (1, 2), "dtype": "bfloat16"}, paint).image.getpixel((0, 0)) == (
        1,
        0,
        0,
    )
    kept_at.write_bytes(kept_at.read_bytes()[:40])
    cached_picture(kept_at, {"scene": (1, 2), "dtype": "bfloat16"}, paint)
    painted[0].save(kept_at)
    cached_picture(kept_at, {"scene": (1, 2), "dtype": "bfloat16"}, paint)
    assert len(painted) == 4


def test_single_prompts_are_painted_as_on_the_contact_sheet_and_cached(backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "SINGLE_SEEDS", 1)
    monkeypatch.setattr(run, "PROMPTS", {"a red circle": {"kind": "circle", "color": "red"}})
    bench = Benchmark(ModelSpec("flatland"), CPU, torch.float32, 2, 8, tmp_path)
    shares = run.measure_singles(bench, load_judge())
    with Image.open(tmp_path / "alone" / "00-00.png") as kept:
        assert kept.convert("RGB").tobytes() == paint_prompt("a red circle", 0, backbone).tobytes()
        found = judge_crops(load_judge(), [kept.convert("RGB")]).answers[0]
    right = (found["kind"], found["color"]) == ("circle", "red")
    assert shares == {"a red circle": float(right)}
    monkeypatch.setattr(run, "_paint", lambda *_: pytest.fail("painted again, not read"))
    assert run.measure_singles(bench, load_judge()) == shares


def test_the_sources_that_determine_a_cached_picture_exist():
    assert all(run._files(run.PACKAGE / part, "*.py") for part in run.PAINTING)
    assert Path(methods.__file__) in {run.PACKAGE / part for part in run.PAINTING}


SMALL = 60_018
"""The first of two scenes that are cheap to paint: one with a single tile, one with several."""


@pytest.mark.slow
def test_a_small_run_measures_every_row(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "FIRST_SEED", SMALL)
    monkeypatch.setattr(run, "REFERENCES", 60)
    told = []
    bench = Benchmark(ModelSpec("flatland"), CPU, torch.float32, 2, 8, tmp_path, lambda: told.append(1))
    stream = replace(next(variant for variant in VARIANTS if variant.frames), frames=2)
    few = Variant("few", "few steps of DDIM", {"sampler.kind": "ddim", "sampler.steps": 3})
    rows = measure_quality(bench, load_jury(), (few, FULL, stream))
    assert [row.name for row in rows] == [few.name, FULL.name, stream.name]
    assert len(told) == 6
    assert len(list(tmp_path.glob("*/*.png"))) == 6
    assert measure_quality(bench, load_jury(), (few, FULL, stream)) == rows, "seconds too are those kept"
    with Image.open(write_gallery(tmp_path, (few, FULL, stream), [SMALL, SMALL + 1])) as sheet:
        assert sheet.height > 3 * 128
        assert len(set(sheet.convert("L").tobytes())) > 50
        first_row = sheet.crop((0, LABEL, sheet.width, LABEL + HEIGHT))
        assert len(set(first_row.convert("L").tobytes())) > 50
    full = rows[1]
    assert all(effect.value == 0 for effect in full.against_full.values())
    assert full.preferred == Interval(0.5, 0.5, 0.5)
    assert rows[0].evaluations < full.evaluations == rows[2].evaluations
    one, frame = (sorted((tmp_path / v.key).glob("*.png")) for v in (FULL, stream))
    for a, b in zip(one, frame, strict=True):
        assert np.abs(np.asarray(Image.open(a)).astype(int) - np.asarray(Image.open(b))).max() <= 2
