"""Notations of other programs: each is warned of once a scene, where it stands, with the way out."""

import pytest

from smd_cli.scene.loader import Asked, load_text
from smd_cli.scene.overrides import parse_override
from smd_cli.scene.prompt_syntax import SYNTAXES, Syntax, lint_prompts

HEAD = "smd: 1\ncanvas: {width: 256, height: 256}\n"

EXAMPLES = [(example, syntax) for syntax in SYNTAXES for example in syntax.examples]


def warnings(text: str, *sets: str) -> list[str]:
    loaded = load_text(HEAD + text, "s.yaml", asked=Asked(overrides=[parse_override(each) for each in sets]))
    return [str(message) for message in lint_prompts(loaded.scene, loaded.locate)]


def of_prompt(prompt: str) -> list[str]:
    return warnings(f"background:\n  prompt: |-\n    {prompt}\n")


@pytest.mark.parametrize(("example", "syntax"), EXAMPLES)
def test_a_notation_is_warned_of(example: str, syntax: Syntax) -> None:
    (said,) = of_prompt(f"grass, {example}, snow")
    assert said.startswith("s.yaml:4:11: background.prompt: ")
    assert said.endswith(f" of the background has no meaning here and is read as words: {syntax.instead}")


def test_what_to_write_instead_is_not_warned_of() -> None:
    assert of_prompt("(words:1.2), (words:1.05), (words:0.9)") == []


@pytest.mark.parametrize(
    "prompt",
    [
        "1girl, saber (fate), (red hat:1.2), ((a:1.2) b:0.5)",
        r"\(\(a\)\) \[b\|c\] \{d\} \_\_e\_\_ \<lora:f\> (12\:30)",
        "a cat BREAK a dog, BLACK AND WHITE",
        "score_9, score_8_up, rating_safe, a < b, 50 mm :D",
        "a cat (with a hat), (a dog), c++",
    ],
)
def test_ordinary_prompts_are_not(prompt: str) -> None:
    assert of_prompt(prompt) == []


def test_what_is_quoted_is_what_the_prompt_says() -> None:
    (said,) = of_prompt("grass, ((((a:4):4):4):4)")  # the inner one is a weight
    assert "'((a:4):4)' of the background" in said
    model = "model: {base: x, textual_inversions: [{path: t, token: mill}]}\n"
    (said,) = warnings(model + "background: {prompt: '[a mill, b]'}\n")
    assert "'[a mill, b]' of the background" in said


def test_thousands_of_brackets_are_searched_at_once() -> None:
    assert of_prompt("(" * 4000) == []
    (said,) = of_prompt("(" * 3998 + "))")
    assert said.endswith("to weigh words, write (words:1.2)")


def test_once_a_scene_at_the_first_place() -> None:
    text = """\
background: {prompt: grass}
negative_prefix: plain
regions:
  - {name: boy, prompt: a boy, negative_prompt: "((ugly))", mask: {box: [0, 0, 1, 1]}}
  - {name: girl, prompt: "((a girl)), {red|blue} hair", mask: rest}
stream: {frames: 9, timeline: [{at: 2, region: girl, prompt: "((a girl))"}]}
"""
    first, second = warnings(text)
    start = "s.yaml:7:26: regions[1].prompt: '{red|blue}' of region 'girl' has no meaning"
    assert first.startswith(start) or second.startswith(start)
    (twice,) = [line for line in (first, second) if "((" in line]
    assert twice.startswith(
        "s.yaml:6:49: regions[0].negative_prompt: '((ugly))' of region 'boy' (as in 2 more prompts) has"
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("negative_prefix: '[bad]'\nbackground: {prompt: x}", "s.yaml:3:18: negative_prefix"),
        ("background: {prompt: x, negative_prompt: '[bad]'}", "s.yaml:3:42: background.negative_prompt"),
        (
            "background: {prompt: x}\nstream: {timeline: [{at: 3, background: {prompt: '[a]'}}]}",
            "s.yaml:4:50: stream.timeline[0].background.prompt",
        ),
        (
            "regions: [{name: a, prompt: x, mask: rest}]\n"
            "stream: {timeline: [{at: 3, region: a, negative_prompt: '[a]'}]}",
            "s.yaml:4:57: stream.timeline[0].negative_prompt",
        ),
    ],
)
def test_every_prompt_is_looked_at(text: str, place: str) -> None:
    (said,) = warnings(text)
    assert said.startswith(f"{place}: ")


def test_learned_words_are_no_notations() -> None:
    model = "model: {textual_inversions: [{path: a.safetensors, token: 'embedding:bad'}]}"
    assert warnings(f"{model}\nbackground: {{prompt: 'a cat, embedding:bad'}}") == []
    (said,) = warnings(f"{model}\nbackground: {{prompt: 'a cat, embedding:worse'}}")
    assert "model.textual_inversions" in said


def test_prompts_of_options_are_too() -> None:
    (said,) = warnings("background: {prompt: x}", "background.prompt=__animal__")
    assert said.startswith("--set background.prompt=__animal__: '__animal__' of the background")


@pytest.mark.parametrize("row", ["{|", "{||", "[::", "[|:", "_", "__a", "(:", ")1"])
def test_a_long_row_of_signs_is_searched_in_one_go(row: str) -> None:
    """What looked at each rest of a row again would take hours here."""
    text = row[0] + row[1:] * 1_000_000
    assert not any(syntax.pattern.search(text) for syntax in SYNTAXES)
