"""YAML to a tree with places, and everything that may come in place of a scene."""

import pytest

from smd_cli.errors import SceneError
from smd_cli.scene.reader import MAX_DEPTH, parse
from smd_cli.scene.tree import dotted
from smd_cli.scene.yaml_types import dump


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(SceneError) as caught:
        parse(text, "s.yaml")
    return caught.value.problems


def test_core_types_of_yaml_1_2() -> None:
    tree = parse("a: [1, -2, 0x1f, 0o17, 010, 1.5, 1e3, .inf, true, False, ~, null, ]", "s.yaml")
    assert tree.plain() == {"a": (1, -2, 31, 15, 10, 1.5, 1000.0, float("inf"), True, False, None, None)}


@pytest.mark.parametrize(
    "word", ["no", "yes", "on", "off", "2024-01-01", "12:30", "1_000", "1boy", "'5'", "!!str 5"]
)
def test_what_yaml_1_1_would_take_for_something_else_is_text(word: str) -> None:
    assert isinstance(parse(f"a: {word}", "s.yaml").plain()["a"], str)


def test_places_are_those_of_the_values() -> None:
    tree = parse("smd: 1\nregions:\n  - name: boy\n    mask: {box: [0, 0.5]}\n", "s.yaml")
    assert str(tree.nearest(("regions", 0, "mask", "box", 1)).place) == "s.yaml:4:21"
    assert str(tree.nearest(("regions", 0, "mask")).key_place) == "s.yaml:4:5"
    assert str(tree.nearest(("regions", 0, "prompt")).place) == "s.yaml:3:5"


def test_dotted_escapes_what_is_no_word() -> None:
    assert dotted(("regions", 1, "mask", "box", 0)) == "regions[1].mask.box[0]"
    assert dotted(("a\x1b[2J",)) == "'a\\x1b[2J'"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "s.yaml", "empty"),
        ("# only a comment\n", "s.yaml", "empty"),
        ("a: 1\n---\nb: 2\n", "s.yaml:2:1", "second YAML document"),
        ("a: [1,\n", "s.yaml:2:1", "YAML syntax"),
        ("a: 'x\n", "s.yaml:1:4", "this quote is never closed"),
        ("a: b: c", "s.yaml:1:4", "needs quotes"),
        ("\ta: 1", "s.yaml:1:1", "a tab"),
        ("ab: 1\nb: \x07", "s.yaml:2:4", "control character"),
        ("a: *b", "s.yaml:1:4", "stands for nothing"),
        ("a: &x [*x]", "s.yaml:1:8", "stands for nothing"),
        ("a: !!python/object:os.system x", "s.yaml:1:4", "not allowed"),
        ("a: !foo x", "s.yaml:1:4", "not allowed"),
        ("a: !!int x", "s.yaml:1:4", "not readable as int"),
        ("? [1]\n: 2", "s.yaml:1:3", "a key must be a word"),
        ("a: " + "9" * 5000, "s.yaml:1:4", "not readable as int"),
        ("a: " + "[" * 900, f"s.yaml:1:{4 + MAX_DEPTH}", "levels deep"),
        ("a: " + "[" * 200_000, "s.yaml:1:", "levels deep"),
        ("a: " + "{b: " * 200_000, "s.yaml:1:", "levels deep"),
        ("a: [" + "1," * 100_000 + "]", "s.yaml:1:", "more than 20000 values"),
    ],
)
def test_unreadable_yaml_is_one_line_with_a_place(text: str, place: str, said: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(place)
    assert said in problem


@pytest.mark.parametrize("value", ["!foo {b: 1}", "!foo [1]", "!!set {b: 1}", "!!python/tuple [1]"])
def test_tags_of_mappings_and_lists_are_not_allowed_either(value: str) -> None:
    (problem,) = problems(f"a: {value}\n")
    assert problem.startswith("s.yaml:1:4: the tag ")
    assert problem.endswith("is not allowed in a scene")


def test_tags_that_say_what_is_plain_are() -> None:
    assert parse("a: !!map {b: !!seq [1]}\n", "s.yaml").plain() == {"a": {"b": (1,)}}


def test_several_problems_are_told_together() -> None:
    assert problems("a: 1\na: 2\nb: !foo x\n? [1]\n: 2\n") == (
        "s.yaml:2:1: 'a' is given twice, first at s.yaml:1:1",
        "s.yaml:3:4: the tag '!foo' is not allowed in a scene; a text that begins with ! needs quotes",
        "s.yaml:4:3: a key must be a word",
    )


def test_aliases_repeat_values_independently() -> None:
    tree = parse("a: &x {k: 1}\nb: *x\n", "s.yaml")
    tree.nearest(("b", "k")).value = 2
    assert tree.plain() == {"a": {"k": 1}, "b": {"k": 2}}


def test_an_alias_bomb_is_refused() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    (problem,) = problems(bomb)
    assert "aliases expanded" in problem


def test_aliases_cannot_nest_deeper_than_what_is_written_out() -> None:
    chain = "a0: &a0 x\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000))
    (problem,) = problems(chain)
    assert problem.startswith(f"s.yaml:{MAX_DEPTH + 1}:")
    assert "levels deep" in problem


@pytest.mark.parametrize(
    "text", ["<<", "1e3", "0o17", ".5", "-3", "true", "null", "~", "no", "a: b", "# x", "", "2024-01-01"]
)
def test_what_is_dumped_is_read_back_as_it_was(text: str) -> None:
    data = {"prompt": text, "number": 1.5, "list": [1, True, None, text], text: {"a": 1}}
    assert parse(dump(data), "x").plain() == {**data, "list": (1, True, None, text)}
