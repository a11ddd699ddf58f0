"""What the judge can name: for each question, the answers in the order of the network's outputs."""

from smd_cli.workshop.world import people
from smd_cli.workshop.world.backgrounds import BACKGROUNDS
from smd_cli.workshop.world.palette import HAIR_COLORS, SHIRT_COLORS
from smd_cli.workshop.world.picture import PEOPLE, PLAIN, SHAPES

NOTHING = "nothing"
ROBE = "robe"

QUESTIONS: dict[str, tuple[str, ...]] = {
    "kind": (*SHAPES, "house", "flower", *PLAIN, *PEOPLE, NOTHING),
    "color": tuple(SHIRT_COLORS),
    "hair": tuple(HAIR_COLORS),
    "clothes": (*people.TOPS, ROBE),
    "background": tuple(BACKGROUNDS),
    "whole": ("cut", "whole"),
}

UNASKED = -1
"""The answer's number where a question has none: a tree has no hair."""

Answers = dict[str, str]
"""Answers in words by question; questions without an answer are left out."""


def numbers(answers: Answers) -> list[int]:
    """Return the answers' numbers in the order of `QUESTIONS`."""
    return [
        options.index(answers[question]) if question in answers else UNASKED
        for question, options in QUESTIONS.items()
    ]
