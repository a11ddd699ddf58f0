"""Which prompts of a scene are longer than the text encoder reads at a time. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from smd_cli.errors import AssetError
from smd_cli.messages import Locate, Message
from smd_cli.prompt_text import read_prompt
from smd_cli.scene.prompts import join_prompts
from smd_cli.scene.resolve import ModelPlan
from smd_cli.scene.schema import Scene
from smd_cli.scene.written_prompts import PREFIX, WrittenPrompt, written_prompts

if TYPE_CHECKING:
    from smd_cli.models.chunks import Splitter

SURELY_SHORT = 75
"""Characters (UTF-8 bytes, without spaces) that are no more tokens than any text encoder reads at a time."""


def note_lengths(scene: Scene, model: ModelPlan, locate: Locate) -> Iterator[Message]:
    """Yield a note for each prompt that takes more chunks than its text has parts.

    Nothing is said where the model is not on this machine: its tokenizer tells.
    """
    whole = [(prompt, _whole(prompt, scene)) for prompt in written_prompts(scene)]
    long = [(prompt, text) for prompt, text in whole if model.textual_inversions or not _is_short(text)]
    splitter = _splitter(model) if long else None
    if splitter is None:
        return
    for prompt, text in long:
        chunks = splitter(text)
        if len(chunks) > len(read_prompt(text).parts):
            tokens = sum(len(chunk.tokens) for chunk in chunks)
            yield locate(*prompt.loc).says(
                f"{tokens} tokens of {prompt.owner}, read in {len(chunks)} chunks of at most {splitter.room}"
            )


def _is_short(text: str) -> bool:
    """Tell, without a tokenizer, whether a prompt of ordinary words surely fits one chunk."""
    return len("".join(text.split()).encode()) <= SURELY_SHORT


def _whole(prompt: WrittenPrompt, scene: Scene) -> str:
    """Return a prompt as it is encoded, the prefix as where nothing follows it."""
    if prompt.is_negative:
        return join_prompts(scene.negative_prefix, prompt.text)
    return join_prompts(prompt.text) if prompt.loc == PREFIX else prompt.text.strip()


def _splitter(model: ModelPlan) -> Splitter | None:
    """Return what splits prompts for a model, or None where the model is not to be had offline."""
    from smd_cli.app.model_spec import model_spec
    from smd_cli.models.assets import locate

    try:
        found = locate(replace(model_spec(model), vae=None, loras=()), offline=True)
        return found.family.splitter(found)
    except AssetError:
        return None
