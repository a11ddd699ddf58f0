"""The files that lie at a place, listed before any of them is fetched or read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from smd_cli.errors import AssetError

_LISTED = 8
"""How many files an error lists at most."""

Fetch = Callable[[Sequence[str]], Path]
"""Makes files, by their names, files of this disk, and returns the folder from which the names start."""


class Stored(NamedTuple):
    """What is known of one file.

    Attributes:
        size: bytes; None: not known.
        is_here: it lies on this disk, whole.
    """

    size: int | None
    is_here: bool


class NotHereError(AssetError):
    """A model of the hub is not in its cache: a run that may use the network fetches it."""


@dataclass(frozen=True)
class Files:
    """The files of a folder, of a repository, or of a folder in it; or one file alone.

    Attributes:
        reference: what the user wrote.
        names: of the files, relative, with '/'; of those beside one file too, where the hub has them.
        fetch: makes them files of this disk; raises AssetError.
        look: tells what is known of one of them, without fetching it.
        file: the one file that the reference names; '' where it names a folder.
        revision: the commit, for what came from the hub; '' otherwise.
        is_ours: they came with this package, so that nobody has to look whether they are whole.
    """

    reference: str
    names: tuple[str, ...]
    fetch: Fetch = field(repr=False, compare=False)
    look: Callable[[str], Stored] = field(repr=False, compare=False)
    file: str = ""
    revision: str = ""
    is_ours: bool = False

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def get(self, *names: str) -> tuple[Path, ...]:
        """Return files of this disk, fetched where they are not there yet. Raises AssetError."""
        root = self.fetch(names)
        return tuple(root / name for name in names)

    def has_folder(self, name: str) -> bool:
        """Tell whether the reference names a folder that has one of that name, with a file in it."""
        return not self.file and any(each.startswith(f"{name}/") for each in self.names)

    def folder(self, name: str) -> "Files":
        """Return the files of a folder among them."""
        start = f"{name}/"
        own = tuple(each.removeprefix(start) for each in self.names if each.startswith(start))
        return replace(
            self,
            reference=f"{self.reference}/{name}",
            names=own,
            fetch=lambda names: self.fetch([start + each for each in names]) / name,
            look=lambda each: self.look(start + each),
        )


def listed(names: Sequence[str]) -> str:
    """Return names for an error, no more than fit in it."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def in_bytes(size: int) -> str:
    """Write a size for people: `3.44 GB`, of 1000 MB each."""
    for unit, digits in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        if size >= 10**digits:
            return f"{size / 10**digits:.3g} {unit}"
    return f"{size} bytes"
