"""Textual inversions whose words no prompt has. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from smd_cli.errors import AssetError
from smd_cli.messages import Locate, Message
from smd_cli.prompt_text import read_prompt, whole_words
from smd_cli.scene.explain import quoted
from smd_cli.scene.model_section import TextualInversion
from smd_cli.scene.resolve import ModelPlan
from smd_cli.scene.schema import Scene
from smd_cli.scene.written_prompts import written_prompts


def lint_words(scene: Scene, model: ModelPlan, locate: Locate) -> Iterator[Message]:
    """Yield a warning for each textual inversion whose word no prompt has.

    Nothing is said of one whose word its file tells, where the file is not on this machine.
    """
    if not model.textual_inversions:
        return
    parts = (part for prompt in written_prompts(scene) for part in read_prompt(prompt.text).parts)
    texts = [span.text for part in parts for span in part]
    for index, inversion in enumerate(model.textual_inversions):
        word = _word(inversion)
        if word is None:
            continue
        pattern = whole_words([word])
        if not any(pattern.search(text) for text in texts):
            in_any_case = re.compile(pattern.pattern, re.IGNORECASE)
            found = next((match[0] for text in texts if (match := in_any_case.search(text))), None)
            hint = f"; {quoted(found)} is another, for upper and lower case count" if found else ""
            yield locate("model", "textual_inversions", index).says(
                f"no prompt has its word, {quoted(word)}{hint}"
            )


def _word(inversion: TextualInversion) -> str | None:
    """Return the word of a textual inversion, or None where only its file can tell and is not there."""
    if inversion.token is not None:
        return inversion.token
    from smd_cli.models.textual_inversions import find_file, token_of

    try:
        return token_of(find_file(inversion.path.source, offline=True), None)
    except (AssetError, OSError):
        return None
