"""A picture that is made again: what rounding depends on is recorded, and told where pixels differ."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from smd_cli import Renderer, load_scene
from smd_cli.engine.events import Event, Noted, Warned
from smd_cli.media.png import encode_png
from smd_cli.media.recipe import Recipe, read_recipe

SCENE = """
smd: 1
canvas: {width: 64, height: 64}
seed: 5
sampler: {indices: [0, 25]}
background: {prompt: sunset}
"""
STREAM = "task: stream\nstream: {frames: 2}\n"


@pytest.fixture(scope="module")
def renderer():
    with Renderer(batch=3, listener=lambda event: heard.append(event)) as one:
        yield one


heard: list[Event] = []


def told(kind: type[Warned] | type[Noted]) -> list[str]:
    return [str(event.text) for event in heard if isinstance(event, kind)]


def made_again(renderer: Renderer, path: Path, **overrides: object) -> Recipe:
    heard.clear()
    recipe = renderer.render(load_scene(path, overrides=overrides)).recipe
    assert recipe
    return recipe


@pytest.fixture
def picture(renderer, tmp_path):
    """A picture, and how to give it another recipe."""
    rendered = renderer.render(load_scene(SCENE))
    path = tmp_path / "sunset.png"

    def write(**changes: object) -> Path:
        path.write_bytes(encode_png(rendered.image, replace(rendered.recipe, **changes).texts()))
        return path

    return write


def test_a_recipe_records_what_rounding_depends_on(picture):
    recipe = read_recipe(picture())
    assert recipe.computation.pop("device").startswith("cpu (")
    assert recipe.computation == {
        "dtype": "float32",
        "batch": 3,
        "threads": torch.get_num_threads(),
        "deterministic": False,
        "memory": "high",
        "weights": "full",
    }
    assert "torch" in recipe.versions


def test_a_deterministic_picture_records_neither_batch_nor_threads_of_the_machine(tmp_path):
    recipes = []
    for batch in (2, 5):
        with Renderer(batch=batch, deterministic=True) as renderer:
            recipes.append(renderer.render(load_scene(SCENE)).recipe)
    assert recipes[0] == recipes[1]
    computation = recipes[0].computation
    assert (computation["batch"], computation["threads"], computation["deterministic"]) == (1, 1, True)


def test_the_same_pixels_are_worth_no_word(renderer, picture):
    computation = {"device": "cpu (elsewhere)", "threads": 999}
    made_again(renderer, picture(computation=computation))
    assert told(Warned) == []


def test_other_pixels_are_told_with_what_differs(renderer, picture):
    before = read_recipe(picture())
    computation = before.computation | {"threads": 999}
    path = picture(pixels="0" * 64, computation=computation)
    made_again(renderer, path)
    now = before.computation["threads"]
    assert told(Warned) == [
        f"{path}: its pixels are not made again to the bit; what differs: threads 999, now {now}"
    ]
    made_again(renderer, picture(pixels="0" * 64))
    assert told(Warned) == [
        f"{path}: its pixels are not made again to the bit; what differs: nothing that recipes record"
    ]


def test_of_a_picture_that_was_changed_nothing_is_told(renderer, picture):
    made_again(renderer, picture(pixels="0" * 64), seed=6)
    assert told(Warned) == []


def test_a_recipe_of_before_records_less(renderer, picture):
    made_again(renderer, picture(pixels="0" * 64, computation={}))
    assert told(Warned)[0].endswith("nothing that recipes record")


def test_of_a_stream_it_is_noted_what_may_differ(renderer, tmp_path):
    stream = renderer.stream(load_scene(SCENE + STREAM))
    recipe = replace(stream.recipe, computation=stream.recipe.computation | {"threads": 999})
    path = tmp_path / "again.png"
    path.write_bytes(encode_png(Image.new("RGB", (64, 64)), recipe.texts()))
    heard.clear()
    renderer.stream(load_scene(path)).close()
    assert told(Noted) == [
        f"{path}: its pixels may not be made again to the bit: threads 999, now {torch.get_num_threads()}"
    ]
