"""Prompts: texts, and weighted mixes of texts."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WITHOUT_END = re.compile(r".*[^\s,]", re.DOTALL)  # a prompt up to the spaces and commas at its end


@dataclass(frozen=True)
class PromptMix:
    """A prompt as a weighted mix of texts, each of which is encoded by itself.

    Most prompts are a single text of weight 1. One in transition between two keyframes is a mix of both.

    Attributes:
        weights: the texts, each once, and their weights above 0, which sum to 1.
    """

    weights: tuple[tuple[str, float], ...]

    @staticmethod
    def of(text: str) -> PromptMix:
        """Return the prompt that is one text."""
        return PromptMix(((text, 1.0),))

    @property
    def text(self) -> str:
        """Return the text of a plain prompt; of one in transition, the text that it changes to."""
        return self.weights[-1][0]

    def __bool__(self) -> bool:
        """Tell whether there is a prompt: whether any of its texts is not empty."""
        return any(text for text, _ in self.weights)

    def lerp(self, target: PromptMix, share: float) -> PromptMix:
        """Return the mix between this prompt (share 0) and a target (share 1)."""
        return mixed((self, 1 - share), (target, share))

    def replaced(self, text: str, replacement: str) -> PromptMix:
        """Return this prompt with another text in place of `text`."""
        return mixed(
            *((PromptMix.of(replacement if each == text else each), weight) for each, weight in self.weights)
        )


def mixed(*prompts: tuple[PromptMix, float]) -> PromptMix:
    """Mix prompts by weights that sum to 1; texts without weight are left out."""
    total: dict[str, float] = {}
    for prompt, weight in prompts:
        for text, share in prompt.weights:
            total[text] = total.get(text, 0.0) + weight * share
    return PromptMix(tuple((text, share) for text, share in total.items() if share))


def join_prompts(*prompts: str) -> str:
    """Join prompts by commas, without the spaces and commas at their ends; joining twice changes nothing."""
    stripped = (_WITHOUT_END.match(prompt) for prompt in prompts)
    return ", ".join(match[0].lstrip() for match in stripped if match)
