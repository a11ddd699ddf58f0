"""What a shell completes option values with. Called while a user types, so it imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from smd_cli.placement import MEMORIES, WEIGHTS

DEVICES = ("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps")
DTYPES = ("auto", "float32", "bfloat16", "float16")


_PLAIN = re.compile(r"[\w.@%+=,~-]+")
"""Names that shells read as they are. Others are left to be typed: bash and fish put what is offered into the
line as it is, and zsh evaluates it twice, so that a folder's name could be a command."""


def complete_device(incomplete: str) -> list[str]:
    """Return the devices that a word can become."""
    return [name for name in DEVICES if name.startswith(incomplete)]


def complete_dtype(incomplete: str) -> list[str]:
    """Return the dtypes that a word can become."""
    return [name for name in DTYPES if name.startswith(incomplete)]


def complete_memory(incomplete: str) -> list[str]:
    """Return the placements that a word can become."""
    return [name for name in MEMORIES if name.startswith(incomplete)]


def complete_weights(incomplete: str) -> list[str]:
    """Return the kinds of weights that a word can become."""
    return [name for name in WEIGHTS if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Return the models that a word can become: embedded, in the hub's cache, files and folders."""
    from smd_cli.models.sources import EMBEDDED

    names = [*EMBEDDED, *_cached()]
    return [*(name for name in names if name.startswith(incomplete)), *_paths(incomplete)]


def _cached() -> Iterator[str]:
    """Yield the ids of the models in the hub's cache."""
    from smd_cli.models.hub import cache_folder

    names = (folder.name for folder in cache_folder().glob("models--*--*"))
    yield from sorted("/".join(name.split("--")[1:]) for name in names if _PLAIN.fullmatch(name))


def _paths(incomplete: str) -> Iterator[str]:
    """Yield the folders, ending in /, and the checkpoints that a path can become."""
    typed, slash, start = incomplete.rpartition("/")
    folder = Path(f"{typed}{slash}").expanduser()
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        is_folder = path.is_dir()
        is_shown = path.name.startswith(start) and (start or not path.name.startswith("."))
        if is_shown and _PLAIN.fullmatch(path.name) and (is_folder or path.suffix == ".safetensors"):
            yield f"{typed}{slash}{path.name}{'/' * is_folder}"
