"""Files on their way: hidden until they are whole, then moved to their paths, replacing nothing unasked."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from smd_cli.media.runs import Machine, is_at, is_over, lock

Admit = Callable[[], object]
"""Looks at a file that has appeared at a path to be written, and raises SmdError where it has to stay."""


def anything() -> None:
    """Let any file be replaced."""


_NAME = re.compile(r"\.smd-(?P<machine>[0-9a-f]{8}-[0-9a-f]{8})-[0-9]+-[0-9a-f]{8}\.part(\..*)?")
_LONGEST_SUFFIX = 16


class Draft:
    """A hidden file, `temporary`, beside the path that it will have once it is committed.

    It is locked as long as it is open, so that no other run takes it for one that a killed run has left.
    """

    def __init__(self, path: Path) -> None:
        self._target = path.resolve()
        self.temporary = self._name()
        self._file: int | None = None

    def create(self) -> None:
        """Create the file, and folders that are missing; remove what killed runs have left beside it."""
        folder = self._target.parent
        folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder)
        while self._file is None:
            file = os.open(self.temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            locked = lock(file)
            if locked is None:
                return os.close(file)  # an open file could not be moved on Windows
            if locked and is_at(file, self.temporary):
                self._file = file
            else:  # a run that looks for what others have left was faster
                os.close(file)
                self.temporary.unlink(missing_ok=True)
                self.temporary = self._name()
        return None

    def size(self) -> int:
        """Return how many bytes it has; 0 where it is gone."""
        try:
            return self.temporary.stat().st_size
        except OSError:
            return 0

    def commit(self, admit: Admit = anything) -> None:
        """Move the file to its path.

        Where a file lies there by now, `admit` looks at it. Without having looked, nothing is replaced: of
        two runs that commit at once, one finds the other's file.

        Raises OSError, and what `admit` raises.
        """
        try:
            _move_to_free(self.temporary, self._target)
        except FileExistsError:
            admit()
            self.temporary.replace(self._target)
        self._close()

    def discard(self) -> None:
        """Remove the file, unless it was committed."""
        with suppress(OSError):
            self.temporary.unlink()
        self._close()

    def _name(self) -> Path:
        name = f".smd-{Machine.this().tag}-{os.getpid()}-{secrets.token_hex(4)}.part"
        return self._target.with_name(name + self._target.suffix[:_LONGEST_SUFFIX])

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def remove_leftovers(folder: Path) -> None:
    """Remove drafts in a folder that killed runs have left; what cannot be removed stays."""
    drafts = []  # nor can files be listed in every folder that takes some
    with suppress(OSError), os.scandir(folder) as entries:
        drafts = [(Path(entry.path), match) for entry in entries if (match := _NAME.fullmatch(entry.name))]
    for path, match in drafts:
        with suppress(OSError):
            _clear(path, Machine.of(match["machine"]))


clear_leftovers = lru_cache(maxsize=256)(remove_leftovers)
"""The same, once a run."""


def _clear(path: Path, machine: Machine | None) -> None:
    """Remove a draft whose run is over. Raises OSError."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(file)
        is_left = stat.S_ISREG(status.st_mode) and is_over(machine, lock(file), status.st_mtime)
        if is_left and is_at(file, path):
            path.unlink()
    finally:
        os.close(file)


def _move_to_free(source: Path, target: Path) -> None:
    """Move a file to a path where nothing lies. Raises FileExistsError, and other OSErrors."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        if not target.samefile(source):  # as a server says that has been asked twice
            raise
    except OSError:  # memory cards and some disks of other machines have no hard links, and say so variously
        return _reserve_and_move(source, target)
    source.unlink()
    return None


def _reserve_and_move(source: Path, target: Path) -> None:
    """Do the same without hard links: an empty file holds the place for the moment in between."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        source.replace(target)
    except BaseException:
        target.unlink()
        raise
