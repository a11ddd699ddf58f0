"""Races: whose turn it is, and what the numbers mean."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from smd_cli.bench import scenes, speed
from smd_cli.bench.programs import Program
from smd_cli.bench.report import Speed
from smd_cli.bench.speed import Case, Rounds, difference, measure, pictures, race
from smd_cli.engine.layers import CanvasImages
from smd_cli.errors import UsageError
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.scene.loader import load, load_text
from smd_cli.scene.resolve import resolve

PLAN = resolve(load(scenes.PANORAMA).scene, "panorama", Path())


class PaintingTime:
    """Replaces the time module: seconds pass only while something is painted, as many as the test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


TIME = PaintingTime()


@pytest.fixture(autouse=True)
def exact_seconds(monkeypatch):
    monkeypatch.setattr(speed, "time", TIME)


def painter(name: str, grey: int, done: list[str], seconds: float = 0.001) -> Program:
    def paint(seed: int) -> Image.Image:
        assert seed == PLAN.seed
        done.append(name)
        TIME.now += seconds
        return Image.new("RGB", (2, 2), (grey, 0, 0))

    return Program(name, paint, evaluations=7)


def run(*programs: Program, told: list[int] | None = None):
    told = [] if told is None else told
    rounds = Rounds(3, torch.device("cpu"), torch.float32, 1, on_picture=lambda: told.append(1))
    return race(PLAN, programs, rounds)


def test_programs_take_turns_after_one_untimed_picture_each():
    done, told = [], []
    rows = run(painter("a", 9, done), painter("b", 9, done), told=told)
    assert done == ["a", "b"] * 4
    assert [len(row.seconds) for row in rows] == [3, 3]
    assert len(told) == len(done)


def test_pictures_are_counted_by_what_each_scene_is_painted_by():
    assets = locate(ModelSpec("flatland"), few_step=True)
    two = "smd: 1\ncanvas: {width: 64, height: 64}\nbackground: {prompt: grass}\n"
    two += "regions: [{name: sun, prompt: the sun, mask: rest}]\n"
    plan = resolve(load_text(two, "two").scene, "two", Path())
    whole = replace(plan, bootstrap=plan.bootstrap.model_copy(update={"steps": 5}))
    own = replace(assets, local_loras={"sun.safetensors": Path("sun.safetensors")})
    images = CanvasImages((Image.new("L", (64, 64), 255),))
    cases = [Case(PLAN, CanvasImages(()), assets, "diffusers"), Case(plan, images, assets)]
    assert [case.coupled is not None for case in cases] == [False, True]
    assert pictures(cases, rounds=3) == 4 * (2 + 3)
    assert Case(whole, images, assets).coupled is None
    assert Case(plan, images, own).coupled is None


def test_a_row_tells_time_and_picture_beside_the_first():
    first, second = run(painter("a", 100, []), painter("b", 140, [], seconds=0.01))
    assert (first.ratio, first.difference) == (1, 0)
    assert second.ratio == second.median / first.median > 1
    assert (second.difference, second.evaluations, second.scene) == (40, 7, "panorama")


@pytest.mark.parametrize(
    ("grey", "same", "wrong"), [(101, True, False), (102, True, True), (102, False, False)]
)
def test_only_a_picture_that_should_be_the_same_can_be_wrong(grey, same, wrong):
    other = replace(painter("b", grey, []), paints_the_same=same)
    assert run(painter("a", 100, []), other)[1].is_wrong is wrong


def test_difference_is_the_largest_of_any_pixel_and_channel():
    one, other = Image.new("RGB", (3, 2), (10, 20, 30)), Image.new("RGB", (3, 2), (12, 20, 30))
    other.putpixel((2, 1), (10, 20, 5))
    assert difference(one, other) == difference(other, one) == 25


def test_the_document_holds_every_round_and_the_median():
    rows = tuple(run(painter("a", 1, [])))
    document = json.loads(json.dumps(Speed({"device": "cpu"}, rows).to_dict()))
    assert document["machine"] == {"device": "cpu"}
    assert sorted(document["rows"][0]["seconds"])[1] == document["rows"][0]["median"]


def test_the_panorama_asks_for_nothing_that_diffusers_cannot_do():
    assert PLAN.sampler.kind == "ddim"
    assert PLAN.sampler.guidance == "none"
    assert PLAN.bootstrap.steps == 0
    assert PLAN.regions == ()
    assert PLAN.background.image is None


def test_a_model_that_diffusers_cannot_drive_is_told_before_it_is_loaded():
    assets = locate(ModelSpec("flatland"), few_step=True)
    other = replace(assets, facts=replace(assets.facts, family="sdxl"), components={})
    rounds = Rounds(1, torch.device("cpu"), torch.float32, 1)
    with pytest.raises(UsageError, match="not sdxl"):
        measure([Case(PLAN, CanvasImages(()), other, "diffusers")], rounds)


def test_the_ready_scenes_are_there_or_asked_for(tmp_path, monkeypatch):
    assert [path.stem for path in scenes.ready_scenes()] == ["valley", "times_square"]
    monkeypatch.setattr(scenes, "_PLACES", (tmp_path,))
    with pytest.raises(UsageError, match="give a scene file"):
        scenes.ready_scenes()
