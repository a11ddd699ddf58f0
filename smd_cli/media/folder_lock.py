"""A folder of frames is written by one run at a time, which holds a lock on a file in it."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

from smd_cli.errors import UsageError
from smd_cli.media.runs import Machine, is_at, is_over, lock
from smd_cli.regular_files import is_there

LOCK = ".smd.lock"
_LONGEST = 400  # bytes of a lock file
_TRIES = 10  # in each, another run has to let go of the lock at the same moment
_CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class FolderLock:
    """The right to write a folder's frames, from `take` to `release`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LOCK
        self._file: int | None = None
        self._is_new = not is_there(folder)

    def take(self) -> None:
        """Take the lock, from a run that is over too; create the folder.

        Raises UsageError: another run has it; OSError.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for _ in range(_TRIES):
            if self._try_to_take():
                return
        raise UsageError(f"{self._folder}: other runs write frames there; give another folder")

    @property
    def is_taken(self) -> bool:
        """Tell whether this run has taken the lock."""
        return self._file is not None

    def is_held(self) -> bool:
        """Tell whether the folder is still the one that was locked, and show others that this run lives."""
        if self._file is None or not is_at(self._file, self._path):
            return False
        with suppress(OSError):  # some file systems keep times to themselves
            os.utime(self._path)
        return True

    def release(self) -> None:
        """Give the lock back, and remove the folder if it was created for nothing."""
        file, self._file = self._file, None
        if file is None:
            return
        is_ours = is_at(file, self._path)
        if os.name == "nt":  # where nothing can be removed that is open
            os.close(file)
        if is_ours:
            with suppress(OSError):
                self._path.unlink()
        if os.name != "nt":
            os.close(file)
        if is_ours and self._is_new:
            with suppress(OSError):
                self._folder.rmdir()

    def _try_to_take(self) -> bool:
        """Take the lock, unless its last owner removes it at the same moment. Raises as `take`."""
        try:
            file, is_new = self._open()
        except FileNotFoundError:
            if self._folder.is_dir():
                return False
            raise
        try:
            self._check_free(file, is_new=is_new)
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, f"{Machine.this().tag}\nprocess {os.getpid()} on {platform.node()}\n".encode())
            if is_at(file, self._path):
                self._file = file
        finally:
            if self._file is None:
                os.close(file)
        return self._file is not None

    def _open(self) -> tuple[int, bool]:
        """Open the lock's file, and tell whether it is new. Raises OSError."""
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            return os.open(self._path, os.O_RDWR | _CAREFULLY), False

    def _check_free(self, file: int, *, is_new: bool) -> None:
        """Raise UsageError where another run has the lock, or may have it."""
        locked = lock(file)
        tag, _, owner = os.read(file, _LONGEST).decode(errors="replace").partition("\n")
        if locked is not False and (is_new or is_over(Machine.of(tag), locked, os.fstat(file).st_mtime)):
            return
        who = f" ({owner.strip()})" if owner.strip() else ""
        way_out = "" if locked is False else f", or delete {self._path} if that run is over"
        raise UsageError(
            f"{self._folder}: another run{who} writes frames there; give another folder{way_out}"
        )
