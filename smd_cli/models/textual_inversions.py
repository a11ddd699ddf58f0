"""Textual inversions (2208.01618): learned words, their files and what those hold. Knows no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.models.choice import LEARNED_WORDS, only_weights
from smd_cli.models.configs import read_config
from smd_cli.models.family import Family
from smd_cli.models.files import listed
from smd_cli.models.kinds import INVERSION, place_of
from smd_cli.models.networks import Networks
from smd_cli.models.sources import open_files
from smd_cli.models.spec import asked_for
from smd_cli.models.weights import Shapes, check_real, read_shapes
from smd_cli.prompt_text import LEARNED_WORD, LONGEST_WORD

_NAMELESS = frozenset({"emb_params", "*"})
"""Names of the tensor in files of programs that call the word as the file is called."""

_ENCODERS = frozenset({"clip_l", "clip_g", "t5xxl"})
"""Names of tensors in files for several text encoders, which call the word as the file is called too."""


@dataclass(frozen=True)
class TextualInversion:
    """A learned word.

    Attributes:
        token: the word, as prompts write it.
        path: its file.
        tensors: the name of the tensor (n, d), or (d,), with its vectors for each text encoder, by component.
    """

    token: str
    path: Path
    tensors: Mapping[str, str]

    def count(self, component: str) -> int:
        """Return how many vectors it has for a text encoder. Raises AssetError."""
        shape = read_shapes(self.path)[self.tensors[component]]
        return shape[0] if len(shape) == 2 else 1


def find_file(reference: str, *, offline: bool) -> Path:
    """Find the file of a textual inversion, and fetch it where it is not there. Raises AssetError."""
    files = open_files(reference, offline=offline)
    (path,) = files.get(only_weights(files, "textual inversion", LEARNED_WORDS))
    return path


def token_of(path: Path, token: str | None) -> str:
    """Return the word that a user has given, else the one that the file has, else the file's name.

    Raises:
        AssetError: not readable, or no textual inversion; or its word is none that a prompt can have.
    """
    if token is not None:
        return token
    named = _vectors(path).keys() - _NAMELESS - _ENCODERS
    word = named.pop() if named else path.stem
    if len(word) > LONGEST_WORD or not re.fullmatch(LEARNED_WORD, word):
        raise AssetError(
            f"{path}: no prompt can have its word, {word[:LONGEST_WORD]!r}; "
            "give another, by model.textual_inversions[].token"
        )
    return word


def find_inversions(
    wanted: Iterable[tuple[str, str | None]], family: Family, networks: Networks, *, offline: bool
) -> tuple[TextualInversion, ...]:
    """Find textual inversions, of references and words, and check that they are for a model of that family.

    Raises:
        AssetError: one is not found, is none, is for other text encoders, or has the word of another.
    """
    found: dict[str, TextualInversion] = {}
    for index, (reference, token) in enumerate(wanted):
        with asked_for(reference, "textual_inversions", index):
            path = find_file(reference, offline=offline)
            each = TextualInversion(token_of(path, token), path, _tensors(path, family, networks))
            if each.token in found:
                raise AssetError(
                    f"{path}: its word {each.token} is that of {found[each.token].path} too; "
                    "give one of them another, by model.textual_inversions[].token"
                )
            found[each.token] = each
    return tuple(found.values())


def _vectors(path: Path) -> Shapes:
    """Return the shapes of a file's vectors: one tensor, or one for each text encoder that it names."""
    shapes = read_shapes(path)
    misfit = next((name for name, shape in shapes.items() if len(shape) not in (1, 2) or not shape[0]), None)
    if not shapes or misfit or not (len(shapes) == 1 or shapes.keys() <= _ENCODERS):
        held = f"not a textual inversion: it holds {listed(list(shapes)) or 'nothing'}"
        raise AssetError(f"{path}: {place_of(shapes, INVERSION) or held}")
    check_real(path, shapes)
    return shapes


def _tensors(path: Path, family: Family, networks: Networks) -> dict[str, str]:
    """Return the name of the tensor for each text encoder of a model, by component."""
    shapes = _vectors(path)
    encoders = {each.inversion: name for name, each in family.components.items() if each.inversion}
    if shapes.keys() <= _ENCODERS:
        tensors = {encoders[key]: key for key in shapes if key in encoders}
    else:
        tensors = dict(zip(encoders.values(), shapes, strict=False))
    if not encoders:
        raise AssetError(f"{path}: {family.name} models take no textual inversions")
    if len(tensors) != max(len(encoders), len(shapes)):
        raise AssetError(
            f"{path}: this textual inversion was made for another model: it has vectors "
            f"{listed(list(shapes))}; {family.name} models take {listed(list(encoders))}"
        )
    if len({prod(shapes[name][:-1]) for name in tensors.values()}) > 1:  # words stand at the same places
        counts = ", ".join(f"{name} {prod(shapes[name][:-1])}" for name in tensors.values())
        raise AssetError(f"{path}: damaged: not as many vectors for each text encoder ({counts})")
    for component, name in tensors.items():
        width = read_config(networks[component].config).get("hidden_size")
        if shapes[name][-1] != width:
            raise AssetError(
                f"{path}: this textual inversion was made for another model: it has vectors of "
                f"{shapes[name][-1]} numbers, and the model's {component} takes {width}"
            )
    return tensors
