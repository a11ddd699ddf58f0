"""From what a user writes for a model to the files that it names."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

import smd_cli
from smd_cli.errors import AssetError
from smd_cli.models.files import Files, Stored
from smd_cli.models.hub import open_repository
from smd_cli.references import WEIGHTS, is_hub_id, is_link, is_path

EMBEDDED = {"flatland": "flatland/weights"}
"""Names of the models that come with the package, and their folders in it."""

_DEPTH = 2
"""How deep files of a model lie in a folder: each of its networks has a folder of its own."""


def open_files(reference: str, *, offline: bool) -> Files:
    """List the files that a reference names; none is read, and none fetched.

    Args:
        reference: an embedded model's name, a path that is absolute or can be nothing else, or what
            `open_repository` takes.
        offline: of the hub, look into its cache alone.

    Raises:
        AssetError: nothing is there; says what was looked for and how to get it. NotHereError: see there.
    """
    if reference in EMBEDDED:
        folder = Path(smd_cli.__file__).parent / EMBEDDED[reference]
        return _here(reference, folder, is_ours=True)
    path = Path(reference).expanduser()
    if path.is_absolute() or is_path(reference):
        if path.exists():
            return _here(reference, path)
        if path.suffix in WEIGHTS:
            raise AssetError(f"{reference}: no such file")
    elif is_link(reference) or is_hub_id(reference):
        return open_repository(reference, offline=offline)
    raise AssetError(
        f"{reference}: no such model; give an embedded one ({', '.join(EMBEDDED)}), a diffusers folder, "
        "a .safetensors file or a Hugging Face id (owner/name)"
    )


def check_cached(reference: str) -> None:
    """Raise AssetError unless a reference can be to something in the hub's cache."""
    if reference in EMBEDDED:
        raise AssetError(f"{reference}: comes with the program, and stays")
    if not (is_link(reference) or is_hub_id(reference)):
        raise AssetError(f"{reference}: no model of the hub (owner/name), whose cache alone is looked at")


def local_files(reference: str) -> list[Path]:
    """Return the files of this disk that a path names, one or those of a folder; none for other names."""
    path = Path(reference).expanduser()
    if not path.is_absolute() and not is_path(reference):
        return []
    with suppress(OSError):  # which finding the model reports
        return [path / name for name in _names(path, _DEPTH)] if path.is_dir() else [path]
    return []


def _here(reference: str, path: Path, *, is_ours: bool = False) -> Files:
    """List the files of a folder of this disk, or one file."""
    if not path.is_dir():
        return Files(reference, (path.name,), lambda _: path.parent, partial(_stored, path.parent), path.name)
    names = tuple(sorted(_names(path, _DEPTH)))
    return Files(reference, names, lambda _: path, partial(_stored, path), is_ours=is_ours)


def _stored(folder: Path, name: str) -> Stored:
    try:
        return Stored((folder / name).stat().st_size, is_here=True)
    except OSError:  # a link that leads nowhere, or what is gone meanwhile
        return Stored(None, is_here=False)


def _names(folder: Path, depth: int) -> list[str]:
    """Return the names of the files of a folder, and of those in it as deep as `depth` says."""
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir():
                names.append(entry.name)
            elif depth > 1 and not entry.name.startswith("."):
                names += [f"{entry.name}/{name}" for name in _names(folder / entry.name, depth - 1)]
    return names
