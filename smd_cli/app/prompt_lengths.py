"""Which prompts of a scene are read in pieces, in part, or not as they say. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from smd_cli.errors import AssetError
from smd_cli.messages import Locate, Message
from smd_cli.prompt_text import has_weights
from smd_cli.scene.prompts import join_prompts
from smd_cli.scene.resolve import Plan
from smd_cli.scene.schema import Scene
from smd_cli.scene.written_prompts import PREFIX, WrittenPrompt, written_prompts

if TYPE_CHECKING:
    from smd_cli.models.family import PromptReading

SURELY_SHORT = 75
"""Characters (UTF-8 bytes, without spaces) that are no more tokens than any text encoder reads at a time."""


def note_lengths(scene: Scene, plan: Plan, locate: Locate) -> Iterator[Message]:
    """Yield notes on the prompts that the model's text encoder does not read whole, at once and as they say.

    Nothing is said where the model is not on this machine: its tokenizer tells.
    """
    whole = [(prompt, _whole(prompt, scene)) for prompt in written_prompts(scene)]
    doubtful = [
        (prompt, text)
        for prompt, text in whole
        if plan.model.textual_inversions or has_weights(text) or not _is_short(text)
    ]
    reading = _reading(plan) if doubtful else None
    if reading is None:
        return
    for prompt, text in doubtful:
        for note in reading.notes(text, prompt.owner):
            yield locate(*prompt.loc).says(note)


def _is_short(text: str) -> bool:
    """Tell, without a tokenizer, whether a prompt of ordinary words surely fits one chunk."""
    return len("".join(text.split()).encode()) <= SURELY_SHORT


def _whole(prompt: WrittenPrompt, scene: Scene) -> str:
    """Return a prompt as it is encoded, the prefix as where nothing follows it."""
    if prompt.is_negative:
        return join_prompts(scene.negative_prefix, prompt.text)
    return join_prompts(prompt.text) if prompt.loc == PREFIX else prompt.text.strip()


def _reading(plan: Plan) -> PromptReading | None:
    """Return how a model's text encoder reads prompts, or None where the model is not to be had offline."""
    from smd_cli.app.model_spec import model_spec
    from smd_cli.models.assets import locate

    try:
        found = locate(replace(model_spec(plan), vae=None, loras=(), local_loras=()), offline=True)
        return found.family.reading(found)
    except AssetError:
        return None
