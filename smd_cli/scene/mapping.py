"""The entries of one YAML mapping, as they come: what is given twice, merged, or has lost its quotes."""

from __future__ import annotations

import re
from itertools import groupby

from smd_cli.messages import Message
from smd_cli.scene.schema import KEYS
from smd_cli.scene.tree import Node

ODD_SPACE = re.compile("[\u00a0\u2000-\u200b\u202f\u3000\ufeff]")
"""Spaces that look like plain ones."""

_NO_SPACE = re.compile(r"([a-z_]+):(\S.*)", re.DOTALL)
_CURLY = "“”„‟«»"
_SHOWN = 60  # characters of a text


class Entries:
    """Collects the keys of a mapping and their values; `problems` is whole once it is closed."""

    def __init__(self) -> None:
        self.problems: list[Message] = []
        self._nodes: dict[str, Node] = {}
        self._twice: list[tuple[str, Node]] = []
        self._words: list[tuple[str | None, str, Node]] = []  # the key before a word, the word, its place
        self._merged: list[Node] = []
        self._merge_key: Node | None = None

    def add(self, word: str, key: Node, value: Node) -> None:
        """Add a key and its value."""
        if ODD_SPACE.search(word):
            self.problems.append(key.place.says(f"{word!r} holds a space of another kind; type a plain one"))
        elif word in self._nodes:
            self._twice.append((word, key))
        else:
            value.key_place = key.place
            self._nodes[word] = value

    def add_word(self, word: str, key: Node) -> None:
        """Add what stands between two commas and is no `key: value`."""
        self._words.append((next(reversed(self._nodes), None), word, key))

    def merge(self, key: Node, value: Node) -> None:
        """Take the keys of a mapping, or of a list of them, that are not given here; the first one wins."""
        if self._merge_key is not None:
            self.problems.append(key.place.says("'<<' is given twice; it takes a list: <<: [*a, *b]"))
            return
        self._merge_key = key
        lenders = value.value if isinstance(value.value, list) else [value]
        for lender in lenders:
            if isinstance(lender.value, dict):
                self._merged.append(lender)
            else:
                said = "<< takes a mapping, or a list of them, that is named above: <<: *name"
                self.problems.append(lender.place.says(said))

    def close(self) -> dict[str, Node]:
        """Return the values by their keys, merged ones last."""
        self._tell_twice()
        for before, group in groupby(self._words, lambda entry: entry[0]):
            self._tell_words(before, [(word, key) for _, word, key in group])
        for lender in self._merged:
            for word, node in lender.value.items() if isinstance(lender.value, dict) else ():
                self._nodes.setdefault(word, node)
        return self._nodes

    def _tell_twice(self) -> None:
        """Add one problem for all keys that are given twice: several are one item that lacks its dash."""
        if not self._twice:
            return
        (word, key), *others = self._twice
        said = f"{word!r} is given twice, first at {self._nodes[word].key_place}"
        if others:
            more = ", ".join(dict.fromkeys(repr(other) for other, _ in others))
            said += f", and so are {more}; an item of a list begins with a dash"
        self.problems.append(key.place.says(said))

    def _tell_words(self, before: str | None, words: list[tuple[str, Node]]) -> None:
        """Add a problem for words in a row that are no `key: value`; `before` is the key before them."""
        texts = []
        for word, key in words:
            if (match := _NO_SPACE.fullmatch(word)) and match[1] in KEYS:
                self.problems.append(key.place.says(f"a space is missing: {match[1]}: {match[2]}"))
            else:
                texts.append((word, key))
        if not texts:
            return
        node = self._nodes[before] if before else None
        if node is None or not isinstance(node.value, str) or node.is_quoted:
            word, key = texts[0]
            said = f"{word!r} has no value; write key: value, and quotes around a text with {{ or a comma"
            self.problems.append(key.place.says(said))
            return
        whole = ", ".join([node.value, *(word for word, _ in texts)])
        curly = "curly quotes quote nothing, and " * (whole[0] in _CURLY)
        shown = whole.strip(_CURLY) if curly else whole
        shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
        said = f'{curly}a comma ends a text inside {{ }}; put it in quotes: {before}: "{shown}"'
        self.problems.append(node.place.says(said))
