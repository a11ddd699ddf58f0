"""What a value of a config may be: a test of it, and words that say it in an error. Knows no torch."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from smd_cli.errors import AssetError
from smd_cli.models.configs import Config

_SHOWN = 60  # characters of a value that an error shows


class Allowed(NamedTuple):
    """Values that a key may have: words for them, and what tells them from others."""

    words: str
    holds: Callable[[Any], bool]


def whole(least: int, most: int) -> Allowed:
    """Return whole numbers of a range, its ends included."""
    words = str(least) if least == most else f"a whole number from {least:,} to {most:,}"
    return Allowed(words, lambda value: type(value) is int and least <= value <= most)


def real(least: float, most: float) -> Allowed:
    """Return finite numbers of a range, its ends included."""
    words = f"{least:g}" if least == most else f"a number from {least:g} to {most:g}"
    return Allowed(words, lambda value: _is_real(value, least, most))


def above(least: float, most: float) -> Allowed:
    """Return finite numbers of a range, its lower end excluded."""
    return Allowed(
        f"a number above {least:g} and up to {most:g}",
        lambda value: _is_real(value, least, most) and value > least,
    )


def word(*words: str) -> Allowed:
    """Return some words."""
    return Allowed(" or ".join(words), lambda value: isinstance(value, str) and value in words)


def many(allowed: Allowed, least: int, most: int) -> Allowed:
    """Return lists of so many allowed values."""
    words = f"a list of {least if least == most else f'{least} to {most}'}, each {allowed.words}"
    return Allowed(
        words,
        lambda value: (
            isinstance(value, list) and least <= len(value) <= most and all(map(allowed.holds, value))
        ),
    )


def either(*allowed: Allowed) -> Allowed:
    """Return the values of all of some."""
    return Allowed(
        " or ".join(one.words for one in allowed), lambda value: any(one.holds(value) for one in allowed)
    )


NULL = Allowed("null", lambda value: value is None)
FLAG = Allowed("true or false", lambda value: isinstance(value, bool))
OFF = Allowed("false", lambda value: value is False)
WORD = Allowed("a word", lambda value: isinstance(value, str) and value.isidentifier())
FRACTION = real(0, 1)
SCALE = above(0, 1e6)

MOST_BLOCKS = 8
"""Blocks of a UNet or an autoencoder; each one after the first halves the picture."""

WIDTH = whole(1, 2**16)
WIDTHS = many(WIDTH, 1, MOST_BLOCKS)
WORDS = many(WORD, 1, MOST_BLOCKS)
HEADS = whole(1, 2**10)
LAYERS = whole(1, 256)
LAYERS_OF_EACH = many(LAYERS, 1, MOST_BLOCKS)
VOCABULARY_SIZE = whole(1, 2**20)
TOKEN = whole(0, 2**20)
ACTIVATION = word("silu", "swish", "mish", "gelu", "relu")
"""Sizes and functions of networks: of one layer, or of each block of a network."""

Rule = Callable[[Config], str]
"""Says in words what is wrong between several keys of a config; '' where nothing is."""


def divides(divisor: str, *others: str) -> Rule:
    """Return the rule that a number, or each of a list, divides those of other keys that are said too."""

    def problem(config: Config) -> str:
        small = config.get(divisor)
        for key in others:
            sizes = config.get(key)
            if small is None or sizes is None:
                continue
            sizes = sizes if isinstance(sizes, list) else [sizes]
            smalls = small if isinstance(small, list) else [small] * len(sizes)
            if any(size % part for part, size in zip(smalls, sizes, strict=False)):
                return f"{divisor} is {_shown(small)}, which does not divide {key}, {_shown(config[key])}"
        return ""

    return problem


def as_long(first: str, *others: str) -> Rule:
    """Return the rule that the lists of other keys are as long as that of the first, where both are said."""

    def problem(config: Config) -> str:
        for key in others:
            one, other = config.get(first), config.get(key)
            if isinstance(one, list) and isinstance(other, list) and len(one) != len(other):
                return f"{key} is a list of {len(other)}, but {first} of {len(one)}"
        return ""

    return problem


def unfilled_head(key: str, axes: Sequence[int], head: int) -> str:
    """Say what is wrong with the sizes of rotary axes, even parts of a head; '' where nothing is."""
    if sum(axes) == head and all(size % 2 == 0 for size in axes):
        return ""
    return f"{key} are {axes}, not even numbers whose sum is {head}, the size of a head"


def together(*keys: str, usual: int) -> Rule:
    """Return the rule that a config has all of these lists, unless those that it has are of the usual length.

    That is the length of what the library takes in place of a list that is left out.
    """

    def problem(config: Config) -> str:
        missing = [key for key in keys if key not in config]
        unusual = [key for key in keys if key in config and len(config[key]) != usual]
        return f"lacks {' and '.join(missing)} beside {unusual[0]}" if missing and unusual else ""

    return problem


@dataclass(frozen=True)
class KnownKeys:
    """The keys of a config that the program knows.

    Attributes:
        keys: what each one may be.
        rules: what holds between them.
        notes: keys that are no part of what is built, such as a library's version.
    """

    keys: Mapping[str, Allowed]
    rules: tuple[Rule, ...] = ()
    notes: frozenset[str] = field(default=frozenset())

    def reduce(self, config: Config, path: Path) -> Config:
        """Return what a config says under the known keys, checked; `path` is where it lies, for errors.

        Raises:
            AssetError: a value is none that is allowed.
        """
        known = {key: config[key] for key in self.keys if key in config}
        for key, value in known.items():
            if not self.keys[key].holds(value):
                raise AssetError(f"{path}: {key} is {_shown(value)}; allowed is {self.keys[key].words}")
        for rule in self.rules:
            if problem := rule(known):
                raise AssetError(f"{path}: {problem}")
        return known

    def unknown(self, config: Config) -> list[str]:
        """Return the keys that are neither known nor notes and ask for something."""
        return sorted(
            key
            for key, value in config.items()
            if value and key not in self.keys and key not in self.notes and not key.startswith("_")
        )


def _is_real(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
