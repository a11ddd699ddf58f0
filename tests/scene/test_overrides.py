"""Values from the command line in place of a scene's."""

import pytest

from smd_cli.errors import SceneError, UsageError
from smd_cli.scene.loader import Asked, load_text
from smd_cli.scene.overrides import override, parse_override
from smd_cli.scene.schema import Scene
from tests.scene.test_loader import GOOD


def load(*sets: str) -> Scene:
    return load_text(GOOD, "s.yaml", asked=Asked(overrides=[parse_override(text) for text in sets])).scene


def problems(kind: type[SceneError] | type[UsageError], *sets: str) -> tuple[str, ...]:
    with pytest.raises(kind) as caught:
        load(*sets)
    return caught.value.problems


def test_by_index_by_name_and_by_new_mapping() -> None:
    scene = load(
        "regions[0].prompt=1girl, smile",
        "regions[girl].mask_std=4",
        "sampler.indices=[0, 12]",
        "bootstrap.steps=0",
    )
    assert scene.regions[0].prompt == "1girl, smile"
    assert scene.regions[1].mask_std == 4
    assert scene.sampler.indices == (0, 12)
    assert scene.bootstrap.steps == 0


def test_whole_parts_and_empty_text() -> None:
    scene = load("regions[boy]={name: cat, prompt: a cat, mask: rest}", "background.prompt=")
    assert scene.regions[0].name == "cat"
    assert scene.background.prompt == ""


def test_a_later_one_wins() -> None:
    assert load("seed=1", "seed=2").seed == (2,)


def test_a_key_below_a_shorthand_keeps_its_text() -> None:
    scene = load("regions[boy].mask.invert=true", "model=some/model", "model.family=sdxl")
    assert scene.regions[0].mask.model_dump() == {"image": "boy.png", "channel": "auto", "invert": True}
    assert (scene.model.base.text, scene.model.family) == ("some/model", "sdxl")


def test_the_same_override_serves_several_scenes() -> None:
    twice = [parse_override("stream={frames: 9}"), parse_override("stream.fps=5")]
    for _ in range(2):
        assert load_text(GOOD, "s.yaml", asked=Asked(overrides=twice)).scene.stream.fps == 5
    assert "fps" not in twice[0].value.plain()


def test_errors_name_the_option_instead_of_a_line() -> None:
    assert problems(
        SceneError, "regions[0].prompt_strength=1.4", "regions[girl].promt=x", "sampler.x.y=1"
    ) == (
        "--set regions[0].prompt_strength=1.4: 1.4 is above 1",
        "--set regions[girl].promt=x: regions[1].promt: unknown key; did you mean prompt?",
        "--set sampler.x.y=1: unknown key; known here: kind, steps, indices, spacing, gamma, "
        "guidance_scale, guidance, delta, guidance_rescale, late, tile, overlap",
    )


def test_other_options_become_overrides() -> None:
    changes = [override("--width 500", ("canvas", "width"), 500)]
    with pytest.raises(SceneError, match=r"--width 500: canvas\.width: 500 is not a multiple of 8"):
        load_text(GOOD, "s.yaml", asked=Asked(overrides=changes))


def test_every_place_that_is_not_there_is_told() -> None:
    assert problems(UsageError, "regions[bo].prompt=x", "regions[2]=x", "regions[9].prompt=x") == (
        "--set regions[bo].prompt=x: there is no [bo]; did you mean boy?",
        "--set regions[2]=x: there is no [2]; known here: 0, 1, boy, girl",
        "--set regions[9].prompt=x: there is no [9]; known here: 0, 1, boy, girl",
    )


@pytest.mark.parametrize(
    "text", ["", "seed", "=4", "a..b=1", "regions[0]prompt=1", "regions[=1", ".seed=1", "a b=1"]
)
def test_what_is_no_override(text: str) -> None:
    with pytest.raises(UsageError, match="write it as key=value"):
        parse_override(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed=\udcff", "is not UTF-8 text"),
        ("background.prompt=a\x1b[2J", "YAML syntax: a control character"),
        ("background.prompt=\xe9\x9b2J", "YAML syntax: a control character"),
    ],
)
def test_what_is_no_text(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_override(text)
    assert caught.value.problems == (f"--set {text}: {said}",)


@pytest.mark.parametrize(
    "prompt", ["\u732b\u3000\u72ac", "a\xa0b", "\U0001f468\u200d\U0001f469", "\u0645\u06cc\u200c\u062e"]
)
def test_texts_of_any_script_can_be_given(prompt: str) -> None:
    assert parse_override(f"background.prompt={prompt}").value.plain() == prompt


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("masks.x=#f92f6c", 'a # begins a comment; it needs quotes of its own: "#…"'),
        ("background.prompt= ", "has no value"),
    ],
)
def test_a_value_that_is_nothing_to_yaml(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_override(text)
    assert caught.value.problems == (f"--set {text}: {said}",)


def test_a_value_that_is_no_yaml() -> None:
    with pytest.raises(UsageError, match=r"^--set seed=\[1: this \[ is not closed"):
        parse_override("seed=[1")
