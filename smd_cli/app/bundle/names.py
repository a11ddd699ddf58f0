"""What the files of a bundle may be called: what every system takes, and nothing that leads elsewhere."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

_LONGEST = 200  # bytes of a name; a file system takes some 255
_LONGEST_PATH = 1000  # bytes of a whole path; systems take some 1024 or 4096, the folder's own with it
_UNFIT = re.compile(r'[\\:*?"<>|]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def why_unfit(name: str) -> str | None:
    """Return what keeps a path from being that of a file in a bundle; None: nothing.

    It is relative, with `/`; a folder's has none at its end.
    """
    steps = name.split("/")
    if name.startswith("/") or re.match(r"[a-zA-Z]:", name):
        return "is an absolute path"
    if "\\" in name:
        return "holds a backslash"
    if ".." in steps:
        return "leads out of the bundle"
    if "" in steps or "." in steps:
        return "has an empty step"
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name):
        return "holds control characters"
    if match := _UNFIT.search(name):
        return f"holds {match[0]}, which not every system takes"
    if any(step[-1] in ". " or _DEVICE.fullmatch(step) for step in steps):
        return "is a name that not every system takes"
    if max(len(step.encode()) for step in steps) > _LONGEST or len(name.encode()) > _LONGEST_PATH:
        return "is too long"
    return None


def folded(name: str) -> str:
    """Return a path by which systems that tell fewer characters apart know it too."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class TakenNames:
    """The paths that a bundle has so far: on no system are two files one, or is a file a folder."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: set[str] = set()

    def why_taken(self, name: str, *, is_folder: bool = False) -> str | None:
        """Return what keeps one more path from being a file or a folder; None: nothing."""
        key = folded(name)
        if other := self._files.get(key):
            return "is there twice" if other == name else f"is the same as {other} on some systems"
        if other := next((self._files[each] for each in _above(key) if each in self._files), None):
            return f"has {other}, a file, for a folder"
        return "is a folder as well" if key in self._folders and not is_folder else None

    def take(self, name: str, *, is_folder: bool = False) -> None:
        """Let a path be taken."""
        key = folded(name)
        self._folders.update(_above(key))
        if is_folder:
            self._folders.add(key)
        else:
            self._files[key] = name


def _above(key: str) -> list[str]:
    """Return the folders above a path."""
    return [str(folder) for folder in PurePosixPath(key).parents][:-1]
