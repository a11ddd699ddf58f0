"""What other programs read in prompts and this one does not: warnings, with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from smd_cli.messages import Locate, Message
from smd_cli.prompt_text import MOST, read_prompt, whole_words
from smd_cli.scene.explain import quoted
from smd_cli.scene.schema import Scene
from smd_cli.scene.written_prompts import WrittenPrompt, written_prompts


@dataclass(frozen=True)
class Syntax:
    """A notation of other programs: how it looks, examples, and what to write instead of it."""

    pattern: re.Pattern[str]
    examples: tuple[str, ...]
    instead: str


def _syntax(pattern: str, *examples: str, instead: str) -> Syntax:
    return Syntax(re.compile(pattern, re.DOTALL), examples, instead)


_ONE_OF_SEVERAL = "write one of its words; others can be given with --set, such as --set regions[0].prompt=…"
_A_REGION_EACH = "a scene has regions for what is to be in different places, each with its prompt and mask"
_WEIGH = "to weigh words, write (words:1.2)"

SYNTAXES = (
    _syntax(
        r"<(lora|lyco):[^<>]*>",
        "<lora:name:0.8>",
        instead="give LoRAs in model.loras, such as [{path: …, weight: 0.8}]",
    ),
    _syntax(r"<hypernet:[^<>]*>", "<hypernet:name:1>", instead="hypernetworks are not supported"),
    _syntax(
        r"\bembedding:[\w./-]+",
        "embedding:name.pt",
        instead="give its file in model.textual_inversions, and write its word alone",
    ),
    _syntax(r"__[\w./*-]+?__", "__colour__", instead=_ONE_OF_SEVERAL),
    _syntax(r"\{[^{}|]*\|[^{}]*\}", "{red|blue}", "{2$$red|blue|green}", instead=_ONE_OF_SEVERAL),
    _syntax(r"\{[^{}|]+\}", "{words}", "{{words}}", instead="to weigh words, write (words:1.05)"),
    _syntax(r"\[[^\[\]|]*\|[^\[\]]*\]", "[cat|dog]", instead=f"name one of them; {_A_REGION_EACH}"),
    _syntax(
        r"\[[^\[\]:]*:[^\[\]]*\]",
        "[cat:dog:0.5]",
        "[cat::4]",
        instead="name one of them; in a stream, keyframes change prompts, eased or at once",
    ),
    _syntax(r"\[[^\[\]|:]+\]", "[words]", instead="to weigh words, write (words:0.9)"),
    # ++: whole runs of brackets alone, or a prompt of thousands of them would take hours
    _syntax(r"(?<!\()\({2,}+.*?\){2,}", "((words))", "(((some, words)))", instead=_WEIGH),
    _syntax(r"\)([0-9]*\.[0-9]+|\++|-+)(?=[\s,)]|$)", "(words)1.2", "(words)++", "(words)-", instead=_WEIGH),
    _syntax(
        r"\([^()]*:\s*[-+]?[0-9.]+\s*\)",
        "(words:-1)",
        "(12:30)",
        instead=f"weights are numbers from 0 to {MOST:g}, nested ones multiplied; "
        "plain brackets are \\( and \\)",
    ),
    _syntax(
        r"\b(AND|ADDCOMM|ADDBASE|ADDCOL|ADDROW)\b(?! [A-Z]{2})",
        "a cat AND a dog",
        "a cat ADDCOMM a dog",
        instead=_A_REGION_EACH,
    ),
)


def lint_prompts(scene: Scene, locate: Locate) -> Iterator[Message]:
    """Yield a warning for each notation that a scene's prompts use in vain, at the first place of it."""
    learned = whole_words(each.token for each in scene.model.textual_inversions if each.token)
    prompts = [
        (prompt, learned.sub(_blank, read_prompt(prompt.text).unread)) for prompt in written_prompts(scene)
    ]
    for syntax in SYNTAXES:
        matches = ((prompt, syntax.pattern.search(text)) for prompt, text in prompts)
        found = [(prompt, prompt.text[match.start() : match.end()]) for prompt, match in matches if match]
        if found:
            yield _warning(*found[0], syntax, len(found) - 1, locate)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _warning(prompt: WrittenPrompt, words: str, syntax: Syntax, others: int, locate: Locate) -> Message:
    more = f" (as in {others} more prompt{'s' * (others > 1)})" * (others > 0)
    return locate(*prompt.loc).says(
        f"{quoted(words)} of {prompt.owner}{more} has no meaning here and is read as words: {syntax.instead}"
    )
