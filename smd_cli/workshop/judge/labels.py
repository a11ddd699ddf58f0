"""The judge's questions and their possible answers, in the order of the network's outputs."""

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
"""The index for a question without an answer, such as the hair of a tree."""

Answers = dict[str, str]
"""Answers by question; questions without an answer are left out."""


def indices_of(answers: Answers) -> list[int]:
    """Return the answers' indices in the order of `QUESTIONS`; `UNASKED` where there is no answer."""
    return [
        options.index(answers[question]) if question in answers else UNASKED
        for question, options in QUESTIONS.items()
    ]
