"""Seeds as people write them: numbers, ranges, lists and chance."""

import re

import pytest

from smd_cli.errors import SceneError
from smd_cli.scene.loader import Asked, load_text
from smd_cli.scene.reference import json_schema
from smd_cli.scene.seeds import LAST_SEED, MAX_SEEDS, NoSeed, has_random, parse_seeds

SCENE = "smd: 1\ncanvas: {width: 64, height: 64}\nbackground: {prompt: x}\nseed: "


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        (7, (7,)),
        ("7", (7,)),
        ("1-4,9", (1, 2, 3, 4, 9)),
        (" 9 , 1 - 3 ", (9, 1, 2, 3)),
        ("5-5", (5,)),
        ([1, 2, 5], (1, 2, 5)),
        (("1-2", 9, "4,3"), (1, 2, 9, 4, 3)),
        (f"{LAST_SEED - 1}-{LAST_SEED}", (LAST_SEED - 1, LAST_SEED)),
        ("007", (7,)),
    ],
)
def test_what_names_seeds(given, seeds):
    assert parse_seeds(given) == seeds


@pytest.mark.parametrize(
    "given", ["x", "", "1,", "1;2", "1--2", "1.5", 1.5, True, None, {"a": 1}, ["1", None]]
)
def test_what_is_no_seed(given):
    with pytest.raises(NoSeed, match="is no seed: give a number, several such as 1-4,9, or random"):
        parse_seeds(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("4-1", "4-1 runs backwards; write 1-4"),
        ("1,2,1", "1 is given twice"),
        (["1-4", 3], "3 is given twice"),
        (-1, f"-1 is not between 0 and {LAST_SEED}"),
        ("-1", f"-1 is not between 0 and {LAST_SEED}"),
        (LAST_SEED + 1, f"{LAST_SEED + 1} is not between 0 and {LAST_SEED}"),
        ([], "names no seed"),
        (f"1-{MAX_SEEDS + 1}", "more than 10,000 seeds are too many for one run"),
        (["random"] * (MAX_SEEDS + 1), "more than 10,000 seeds are too many for one run"),
        (f"0-{LAST_SEED}", "more than 10,000 seeds are too many for one run"),
    ],
)
def test_seeds_that_cannot_be(given, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        parse_seeds(given)


def test_chance_draws_seeds_that_are_not_there_yet(monkeypatch):
    draws = iter([3, 8, 8, 5])
    monkeypatch.setattr("smd_cli.scene.seeds.SystemRandom.randrange", lambda *_: next(draws))
    assert parse_seeds("random,3,random") == (8, 3, 5)


def test_chance_is_told_from_numbers():
    assert has_random("random")
    assert has_random(["1", "2,random"])
    assert not has_random(["1", 2])
    assert not has_random(3)


def test_a_scene_s_random_seed_stays_the_same_for_another_task():
    loaded = load_text(SCENE + "random\n", "s.yaml")
    assert 0 <= loaded.scene.seed[0] < 2**32
    assert loaded.with_task("stream").scene.seed == loaded.scene.seed
    assert load_text(SCENE + "random\n", "s.yaml").scene.seed != loaded.scene.seed


def test_a_stream_has_one_seed():
    with pytest.raises(SceneError) as caught:
        load_text(SCENE + "1-3\n", "s.yaml", asked=Asked(task="stream"))
    assert caught.value.problems == ("s.yaml:4:7: seed: a stream has one seed, and these are 3",)
    assert load_text(SCENE + "[4]\n", "s.yaml", asked=Asked(task="stream")).scene.seed == (4,)


def test_editors_know_the_same_texts():
    text = json_schema()["properties"]["seed"]["anyOf"][1]["pattern"]
    for good in ("7", "1-4,9", "random", "random, 3-5"):
        assert re.search(text, good)
    for bad in ("x", "1,", "1.5", "random-4", ""):
        assert not re.search(text, bad)
