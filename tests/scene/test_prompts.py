"""Prompts: mixes of texts, and their joining."""

import pytest

from smd_cli.scene.prompts import PromptMix, join_prompts, mixed

SEA, SKY = PromptMix.of("the sea"), PromptMix.of("the sky")


def test_a_plain_prompt_is_one_text() -> None:
    assert SEA.weights == (("the sea", 1.0),)
    assert SEA.text == "the sea"
    assert len({SEA, SKY, PromptMix.of("the sea")}) == 2


def test_one_in_transition_has_the_text_that_it_changes_to() -> None:
    between = SEA.lerp(SKY, 0.25)
    assert between.weights == (("the sea", 0.75), ("the sky", 0.25))
    assert between.text == "the sky"
    assert (SEA.lerp(SKY, 0.0), SEA.lerp(SKY, 1.0)) == (SEA, SKY)


def test_there_is_a_prompt_where_any_of_its_texts_is_not_empty() -> None:
    empty = PromptMix.of("")
    assert [bool(prompt) for prompt in (SEA, empty, empty.lerp(SEA, 0.5), SEA.lerp(empty, 0.5))] == [
        True,
        False,
        True,
        True,
    ]


def test_weights_of_one_text_are_added_and_texts_without_weight_left_out() -> None:
    between = SEA.lerp(SKY, 0.25)
    assert mixed((between, 0.5), (SEA, 0.5)).weights == (("the sea", 0.875), ("the sky", 0.125))
    assert mixed((SKY, 0.0), (SEA, 1.0)) == SEA


def test_a_text_can_be_replaced_by_another() -> None:
    leaving = SEA.lerp(PromptMix.of(""), 0.25)
    assert leaving.replaced("", "white").weights == (("the sea", 0.75), ("white", 0.25))
    assert leaving.replaced("", "the sea") == SEA
    assert leaving.replaced("white", "black") == leaving


@pytest.mark.parametrize(
    ("prompts", "joined"),
    [
        (("a", "b"), "a, b"),
        ((" a, ", "b c ,"), "a, b c"),
        (("", "b"), "b"),
        ((" , ", ""), ""),
        (("a\nb",), "a\nb"),
    ],
)
def test_prompts_are_joined_by_commas(prompts: tuple[str, ...], joined: str) -> None:
    assert join_prompts(*prompts) == joined
    assert join_prompts(joined) == joined
