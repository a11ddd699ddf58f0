"""What a YAML error means to someone who wrote a scene: the place of the mistake, and the way out.

A YAML parser notices a mistake where it can go no further, which is often a line or two behind it. Each rule
here looks for one mistake around that point; the first one that finds it says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import yaml

from smd_cli.scene.mapping import ODD_SPACE
from smd_cli.scene.schema import KEYS

Spot = tuple[int, int, str]  # line and column, from 0, and what to say
_KEY = re.compile(r"(?P<start>\s*(?:-\s+)*)(?P<key>[\w-]+):(?P<space>\s+|$)(?P<text>.*)")
_NO_SPACE = re.compile(r"(?P<start>\s*(?:-\s+)*)(?P<key>[A-Za-z_][\w-]*):(?=[^\s/:])")
_HIDING = re.compile(r"(?:^|\s)(?P<sign>#)(?=[^\s#])(?P<color>[0-9a-fA-F]{6}\b)?")
_ENDS = re.compile(r"[,}\]]")
_FLOW_KEY = re.compile(r"[{,]\s*(?P<key>[\w-]+):\s+(?P<text>[^{},]*)")
_WORD = re.compile(r"[\w-]*")
_DASH = re.compile(r"\s*-\s")
_COLLECTION = {"mapping": "{", "sequence": "["}
_LINES_BACK = 20


@dataclass(frozen=True)
class _Trouble:
    """Where a parser could go no further, what it said of that, and where it was in; all counted from 0."""

    lines: Sequence[str]
    line: int
    column: int
    problem: str
    context: str
    begin: tuple[int, int]

    @property
    def text(self) -> str:
        """The line that the parser stopped in."""
        return self.at(self.line)

    @property
    def char(self) -> str:
        """The character that the parser stopped at; empty at the end."""
        return self.text[self.column : self.column + 1]

    @property
    def is_flow(self) -> bool:
        """Tell whether the parser was between { } or [ ]."""
        return "flow" in self.context

    @property
    def before(self) -> int:
        """The last line above that says something; -1: there is none."""
        above = range(self.line - 1, -1, -1)
        return next((line for line in above if self.at(line).split("#")[0].strip()), -1)

    def at(self, line: int) -> str:
        """Return a line; the one behind the last is empty."""
        return self.lines[line] if 0 <= line < len(self.lines) else ""


def explain_syntax(error: yaml.MarkedYAMLError, at: tuple[int, int], lines: Sequence[str]) -> Spot:
    """Return the place of the mistake that a YAML error follows from, and a line about it.

    `at` is the line and column where the parser gave up; places are counted from 0.
    """
    mark = error.context_mark
    trouble = _Trouble(
        lines=lines,
        line=at[0],
        column=at[1],
        problem=error.problem or "",
        context=error.context or "",
        begin=(mark.line, mark.column) if mark else at,
    )
    for rule in _RULES:
        if spot := rule(trouble):
            return spot
    said = ", ".join(filter(None, (error.context, error.problem)))
    return *at, f"YAML syntax: {said}"


def _tab(trouble: _Trouble) -> Spot | None:
    indentation = re.match(r"\s*", trouble.text)
    column = indentation[0].find("\t") if indentation else -1
    if column < 0:
        return None
    return trouble.line, column, "a tab; lines of a scene are indented by spaces"


def _odd_space(trouble: _Trouble) -> Spot | None:
    for line in (trouble.line, trouble.before):
        if found := ODD_SPACE.search(trouble.at(line)):
            return line, found.start(), "a space of another kind (no-break, say); type a plain one"
    return None


def _escape(trouble: _Trouble) -> Spot | None:
    if "escape" not in trouble.problem:
        return None
    hint = "write folders with /, or use single quotes"
    return trouble.line, trouble.column, f"a backslash in double quotes begins an escape; {hint}"


def _open_quote(trouble: _Trouble) -> Spot | None:
    if "quoted scalar" in trouble.context and "end of stream" in trouble.problem:
        return (*trouble.begin, "this quote is never closed")
    return None


def _hidden_end(trouble: _Trouble) -> Spot | None:
    """Find a # between { } that hides the rest of its line."""
    if not trouble.is_flow:
        return None
    for line in range(trouble.line, max(-1, trouble.line - _LINES_BACK), -1):
        text = trouble.at(line)
        found = _HIDING.search(text)
        if found is None or not _ENDS.search(text, found.start("sign") + 2):
            continue
        before = text[: found.start("sign")]
        if before.count('"') % 2 or before.count("'") % 2:
            continue
        quotes = f': "#{found["color"]}"' if found["color"] else " around the text"
        said = f"a # begins a comment, which hides the rest of the line; it needs quotes{quotes}"
        return line, found.start("sign"), said
    return None


def _missing_space(trouble: _Trouble) -> Spot | None:
    for line in (trouble.line, trouble.before):
        if found := _NO_SPACE.match(trouble.at(line)):
            return line, found.start("key"), f"a space is missing after {found['key']}:"
    return None


def _special_beginning(trouble: _Trouble) -> Spot | None:
    """Find a text that begins with a character that means something else to YAML."""
    if "cannot start any token" in trouble.problem:
        said = f"a text cannot begin with {trouble.char}; put it in quotes"
        return trouble.line, trouble.column, said
    found = _KEY.match(trouble.text)
    if found and found["text"][:1] in tuple("*&!|>?-,") and trouble.column >= found.start("text"):
        said = f"a text that begins with {found['text'][0]} needs quotes"
        return trouble.line, found.start("text"), said
    return None


def _colon_in_text(trouble: _Trouble) -> Spot | None:
    """Find a text that holds a colon and a space, which begin a value."""
    found = _KEY.match(trouble.text)
    is_value = found is not None and found["text"] and trouble.column >= found.start("text")
    if found is None or not is_value or "mapping values are not allowed" not in trouble.problem:
        return None
    return trouble.line, found.start("text"), _in_quotes(found["key"], found["text"])


def _colon_in_flow(trouble: _Trouble) -> Spot | None:
    """Find the same between { }, or a key there before which a comma is missing."""
    before = trouble.text[: trouble.column]
    found = _FLOW_KEY.fullmatch(before, max(before.rfind("{"), before.rfind(","), 0))
    if found is None or not trouble.is_flow or trouble.char != ":":
        return None
    text = found["text"].rstrip()
    last = _last_word(text)
    if last in KEYS:
        column = found.start("text") + len(text) - len(last)
        return trouble.line, column, f"a comma is missing before {last}:"
    rest = re.match(r"[^,}\]]*", trouble.text[found.start("text") :])
    return trouble.line, found.start("text"), _in_quotes(found["key"], rest[0] if rest else "")


def _last_word(text: str) -> str:
    found = _WORD.match(text[::-1])  # a search for the end of a text would begin at each of its letters
    return found[0][::-1] if found else ""


def _in_quotes(key: str, text: str) -> str:
    shown = f'{key}: "{text.strip()}"'
    shown = shown if len(shown) <= 80 else f'{shown[:78]}…"'
    return f"a text with a colon and a space in it needs quotes: {shown}"


def _text_behind(trouble: _Trouble) -> Spot | None:
    """Find a text of which quotes or brackets enclose a part only."""
    last = trouble.text[: trouble.column].rstrip()[-1:]
    if trouble.is_flow or not trouble.char or "did not find expected" not in trouble.problem:
        return None
    if trouble.char in "}]":
        return trouble.line, trouble.column, f"this {trouble.char} closes nothing"
    if last in ("'", '"'):
        said = "the quotes end before this; they enclose a whole text, and a ' in single quotes is written ''"
        return trouble.line, trouble.column, said
    if last in ("}", "]"):
        begins = "{" if last == "}" else "["
        said = f"nothing follows a {last}; a text that begins with {begins} needs quotes"
        return trouble.line, trouble.column, said
    return None


def _no_key(trouble: _Trouble) -> Spot | None:
    if "could not find expected ':'" not in trouble.problem:
        return None
    line, column = trouble.begin
    said = "no key: value; a text that goes on in another line is indented more than its key"
    return line, column, said


def _indentation(trouble: _Trouble) -> Spot | None:
    """Find a line that begins in a column where nothing above it begins."""
    column = len(trouble.text) - len(trouble.text.lstrip())
    if trouble.is_flow or not trouble.text.strip():
        return None
    if "mapping values are not allowed" in trouble.problem:
        said = "indented more than the line above, whose text it would continue"
        return trouble.line, column, said
    if trouble.column != column or not trouble.problem.startswith("did not find expected"):
        return None
    is_item = _DASH.match(trouble.text) is not None
    what = "dash" if is_item else "key"
    for line in range(trouble.line - 1, -1, -1):
        found = _DASH.match(trouble.at(line)) if is_item else _KEY.match(trouble.at(line))
        if found:
            above = len(found[0]) - len(found[0].lstrip()) if is_item else found.start("key")
            said = f"this {what} is in column {column + 1}, the one above it in column {above + 1}"
            return trouble.line, column, f"indentation: {said}"
    return None


def _open_bracket(trouble: _Trouble) -> Spot | None:
    """Find a { or [ that is not closed."""
    found = re.fullmatch(r"while parsing a flow (mapping|sequence)", trouble.context)
    if found is None or "did not find expected" not in trouble.problem:
        return None
    bracket = _COLLECTION[found[1]]
    if trouble.char and trouble.char in "}]":
        return (*trouble.begin, f"this {bracket} is not closed before a {trouble.char}")
    if trouble.line > trouble.begin[0]:
        return (*trouble.begin, f"this {bracket} is not closed")
    return trouble.line, trouble.column, f"a comma or the end of the {bracket} is missing before this"


_RULES: tuple[Callable[[_Trouble], Spot | None], ...] = (
    _tab,
    _odd_space,
    _escape,
    _open_quote,
    _hidden_end,
    _colon_in_text,
    _colon_in_flow,
    _special_beginning,
    _missing_space,
    _text_behind,
    _no_key,
    _indentation,
    _open_bracket,
)
