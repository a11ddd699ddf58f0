"""Problems of a scene, and how pydantic's errors become messages for someone who wrote YAML."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, get_args

from pydantic_core import ErrorDetails

from smd_cli.messages import Place
from smd_cli.prompt_text import LEARNED_WORD
from smd_cli.scene.mask_specs import HEX_COLOR, MASK_FORMS
from smd_cli.scene.schema import Scene
from smd_cli.scene.section import Section
from smd_cli.scene.seeds import NO_SEED
from smd_cli.scene.stream_section import TIME
from smd_cli.scene.tree import Loc, Node
from smd_cli.scene.values import NOT_BLANK, PLAIN_NAME, PRINTABLE, SHA256

_PATTERNS = {
    NOT_BLANK: "is blank",
    PLAIN_NAME: "is no name: begin with a letter, and leave out [ ] and =",
    LEARNED_WORD: "is no word: leave out spaces at its ends, and backslashes",
    HEX_COLOR: 'is no colour; a colour is written in quotes: "#f92f6c"',
    PRINTABLE: "holds control characters (in double quotes a backslash begins one; write folders with /)",
    SHA256: "is no SHA-256: 64 digits and letters from a to f",
    TIME: "is neither a frame nor a time; a time is written 1.5s",
}
_WORDS = {"true": ("yes", "on", "y", "1"), "false": ("no", "off", "n", "0")}  # of YAML 1.1 and of text
_TRUTHS = {word: truth for truth, words in _WORDS.items() for word in words}
_TAG = re.compile(r"<[a-z]+>")  # how the schema marks its choices; YAML's merge key << is a user's


@dataclass(frozen=True)
class Problem:
    """A problem of a scene.

    Attributes:
        loc: where.
        text: what.
        on_key: it is about the key rather than its value.
        meant: the place that a misspelt key is likely meant for; nothing else is told of what misses it.
    """

    loc: Loc
    text: str
    on_key: bool = False
    meant: Loc | None = None

    def place_at(self, node: Node) -> Place:
        """Return the place to tell of it, at the node where it is."""
        return (self.on_key and node.key_place) or node.place


def quoted(value: Any) -> str:  # noqa: ANN401 - what a file says, of any shape
    """Return a value as messages quote it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, tuple, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    end = "…'" if isinstance(value, str) else "…"
    return text if len(text) <= 40 else f"{text[:37]}{end}"


def nearest(word: object, known: Iterable[str]) -> str | None:
    """Return the known word that is most similar to a mistyped one, if any is."""
    return next(iter(difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.65)), None)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Suggest the most similar known word, or list all of them."""
    words = list(known)
    near = nearest(word, words)
    return f"did you mean {near}?" if near else f"known here: {', '.join(words) or 'none'}"


def explain(errors: Iterable[ErrorDetails], root: type[Section] = Scene) -> list[Problem]:
    """Turn pydantic's errors into problems, without those that only follow from another.

    `root` is what was validated.
    """
    found = list(errors)
    told = [
        (error, _explain_one(error, root))
        for error in found
        if not (
            error["type"] == "too_short" and any(_is_below(other["loc"], error["loc"]) for other in found)
        )
    ]
    meant = {problem.meant for _, problem in told}
    return [problem for error, problem in told if error["type"] != "missing" or place_of(error) not in meant]


def _is_below(loc: Loc, above: Loc) -> bool:
    return len(loc) > len(above) and loc[: len(above)] == above


def place_of(error: ErrorDetails) -> Loc:
    """Return the place of an error in the scene."""
    return tuple(key for key in error["loc"] if not (isinstance(key, str) and _TAG.fullmatch(key)))


def _explain_one(error: ErrorDetails, root: type[Section]) -> Problem:
    loc = place_of(error)
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return Problem(loc[:-1], _missing(str(loc[-1])))
    if kind == "extra_forbidden":
        known = _section_at(error["loc"][:-1], root).model_fields
        near = nearest(loc[-1], known)
        text = f"unknown key; {did_you_mean(loc[-1], known)}"
        return Problem(loc, text, on_key=True, meant=(*loc[:-1], near) if near else None)
    if value is None:
        return Problem(loc, "has no value (a # begins a comment, unless it is in quotes)")
    message = _MESSAGES.get(kind)
    return Problem(loc, message(value, error.get("ctx", {})) if message else error["msg"])


def _missing(key: str) -> str:
    hint = {"smd": " (the version of the scene language: `smd: 1`)", "mask": " (where the region lies)"}
    return f"{key} is missing{hint.get(key, '')}"


def _section_at(loc: Loc, root: type[Section]) -> type[Section]:
    """Return the class that describes the mapping at a place."""
    section = root
    for key in loc:
        if key in MASK_FORMS:
            section = MASK_FORMS[str(key)]
        elif isinstance(key, str):
            section = _section_in(section.model_fields[key].annotation) or section
    return section


def _section_in(annotation: Any) -> type[Section] | None:  # noqa: ANN401
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for found in map(_section_in, get_args(annotation)) if found), None)


def _bound(limit: float) -> str:
    return str(int(limit) if limit == int(limit) else limit)


def _text(value: Any, _: dict[str, Any]) -> str:  # noqa: ANN401
    if isinstance(value, (int, float)):
        return f"{quoted(value)} is not text; put it in quotes"
    begins = "{" if isinstance(value, dict) else "["
    return f"should be text, not {quoted(value)}; a text that begins with {begins} needs quotes"


def _truth(value: Any, _: dict[str, Any]) -> str:  # noqa: ANN401
    meant = _TRUTHS.get(value.lower()) if isinstance(value, str) else None
    return f"{quoted(value)} is not true or false" + (f"; write {meant}" if meant else "")


def _list(value: Any, _: dict[str, Any]) -> str:  # noqa: ANN401
    hint = "; each item begins with a dash" * isinstance(value, dict)
    return f"should be a list, not {quoted(value)}{hint}"


def _one_of(value: Any, context: dict[str, Any]) -> str:  # noqa: ANN401
    words = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
    near = nearest(value, words)
    return f"{quoted(value)} is not {'one of ' * (len(words) > 1)}{', '.join(words)}" + (
        f"; did you mean {near}?" if near else ""
    )


def _mask_form(value: Any, _: dict[str, Any]) -> str:  # noqa: ANN401
    forms = "a mask is a path, the word rest, or a mapping with image, box, ellipse or polygon"
    if not isinstance(value, dict) or not value:
        return f"{forms}, not {quoted(value)}"
    near = next(filter(None, (nearest(key, [tag[1:-1] for tag in MASK_FORMS]) for key in value)), None)
    return f"{forms}; did you mean {near}?" if near else forms


def _count(value: Any, context: dict[str, Any]) -> str:  # noqa: ANN401
    items = len(value) if isinstance(value, tuple) else context["actual_length"]
    limit = (
        f"at least {context['min_length']}" if "min_length" in context else f"at most {context['max_length']}"
    )
    return f"has {items} items; {limit} belong here"


_MESSAGES: dict[str, Callable[[Any, dict[str, Any]], str]] = {
    "greater_than": lambda value, context: f"{quoted(value)} is not above {_bound(context['gt'])}",
    "greater_than_equal": lambda value, context: f"{quoted(value)} is below {_bound(context['ge'])}",
    "less_than": lambda value, context: f"{quoted(value)} is not below {_bound(context['lt'])}",
    "less_than_equal": lambda value, context: f"{quoted(value)} is above {_bound(context['le'])}",
    "int_type": lambda value, _: f"{quoted(value)} is not a whole number",
    "float_type": lambda value, _: f"{quoted(value)} is not a number",
    "bool_type": _truth,
    "finite_number": lambda value, _: f"{quoted(value)} is not a finite number",
    "string_type": _text,
    "string_unicode": lambda *_: "is not UTF-8 text",
    "string_too_short": lambda *_: "is empty",
    "string_too_long": lambda value, context: (
        f"{len(value)} characters are more than {context['max_length']}"
    ),
    "string_pattern_mismatch": lambda value, context: f"{quoted(value)} {_PATTERNS[context['pattern']]}",
    "literal_error": _one_of,
    "mask_form": _mask_form,
    "no_seed": lambda _, context: f"{quoted(context['value'])} {NO_SEED}",
    "model_type": lambda value, _: f"should be a mapping (key: value), not {quoted(value)}",
    "dict_type": lambda value, _: f"should be a mapping (key: value), not {quoted(value)}",
    "tuple_type": _list,
    "too_short": _count,
    "too_long": _count,
}
