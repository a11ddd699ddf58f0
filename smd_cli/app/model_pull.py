"""Fetching a model, or a part of one, by its reference alone: what a render needs of it. Knows no torch."""

from __future__ import annotations

from smd_cli.errors import AssetError
from smd_cli.models.assets import locate
from smd_cli.models.choice import is_model_folder, wanted_names
from smd_cli.models.download import check_room
from smd_cli.models.files import Files
from smd_cli.models.hub import cache_folder, pinned
from smd_cli.models.sources import open_files
from smd_cli.models.spec import ModelSpec
from smd_cli.models.survey import survey


def pull(reference: str, *, offline: bool) -> str:
    """Fetch what a render needs of a reference, and check it; return the reference with its commit.

    Configs come first: they tell whether weights are worth fetching. What lies on this machine has no commit,
    and is returned as it is.

    Raises AssetError: it is not to be had, of no use here, damaged, or the disk has no room.
    """
    files = open_files(reference, offline=offline)
    names = wanted_names(files)
    check_room(_missing(files, names), cache_folder(), reference)
    if is_model_folder(files):
        locate(ModelSpec(reference), offline=offline)
    else:
        files.get(*names)
        found = survey(files, offline=offline)
        if found.problem:
            raise AssetError(f"{reference}: {found.problem.removeprefix(f'{reference}: ')}")
        if found.sort == "other":
            raise AssetError(f"{reference}: nothing that a scene can name: neither a model nor a part of one")
    return pinned(files) if files.revision else reference


def _missing(files: Files, names: list[str]) -> int:
    stored = (files.look(name) for name in names)
    return sum(each.size or 0 for each in stored if not each.is_here)
