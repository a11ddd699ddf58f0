"""Warnings about how texts are written: what YAML leaves out of them, or does not read as quotes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from smd_cli.messages import Message
from smd_cli.scene.schema import ASIDE
from smd_cli.scene.tree import Loc, Node, dotted
from smd_cli.scene.written_prompts import PREFIX, PROMPTS

_PROMPTS = (*PROMPTS, *PREFIX)
_CURLY_QUOTES = (("“", "”"), ("„", "“"), ("”", "”"), ("«", "»"))


def lint_texts(tree: Node) -> list[Message]:
    """Return a warning for every prompt that is likely written in another way than it was meant."""
    found: dict[Message, None] = {}
    for loc, node in _values(tree, ()):
        for text in _doubts(node) if loc[-1] in _PROMPTS else ():
            found[replace(node.place, key=dotted(loc)).says(text)] = None
    return list(found)


def _values(node: Node, loc: Loc) -> Iterator[tuple[Loc, Node]]:
    """Yield every text with its place, but those that the scene keeps aside."""
    if isinstance(node.value, dict):
        for key, below in node.value.items():
            if loc or not key.startswith(ASIDE):
                yield from _values(below, (*loc, key))
    elif isinstance(node.value, list):
        for index, below in enumerate(node.value):
            yield from _values(below, (*loc, index))
    elif isinstance(node.value, str) and loc:
        yield loc, node


def _doubts(node: Node) -> Iterator[str]:
    text = str(node.value).strip()
    if node.comment:
        yield f"{node.comment!r} is a comment and not painted; put the prompt in quotes if it belongs to it"
    if not node.is_quoted and any(
        text.startswith(first) and text.endswith(last) for first, last in _CURLY_QUOTES
    ):
        yield 'the curly quotes are part of the prompt; straight ones (") are not'
