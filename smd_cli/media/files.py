"""Writing files: whole or not at all, and only where the user wants them."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

from smd_cli.errors import SmdError, UsageError

_DRAFTS = itertools.count()  # several files of one folder can be in the making


class Existing(StrEnum):
    """What to do about a file that is already there."""

    REPLACE_OWN = "replace own"
    OVERWRITE = "overwrite"
    SKIP = "skip"
    FAIL = "fail"


def check_target(
    path: Path, existing: Existing = Existing.REPLACE_OWN, *, way_out: str = "give another name"
) -> bool:
    """Tell, before any work, whether a file is to be written (False: it exists and stays). Writes nothing.

    `way_out` is what a user can do about a file that must stay: commands differ in their options.

    Raises UsageError: it must not be replaced, it cannot be a file, or its folder cannot be written to.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{path}: is a directory; give a file name")
        if path.is_symlink() and not path.exists():
            raise UsageError(f"{path}: is a broken link to {path.readlink()}")
        if path.exists():
            if not path.is_file():
                raise UsageError(f"{path}: is no regular file")
            if existing is Existing.FAIL:
                raise UsageError(f"{path}: exists already; {way_out}")
            if existing is Existing.SKIP:
                return False
            if existing is Existing.REPLACE_OWN and not _is_own(path):
                raise UsageError(f"{path}: exists, and is no picture of smd's; {way_out}")
        folder = _nearest_folder(path)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    return True


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises SmdError: the system refuses, for want of space say."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a new file beside `path` to write, and move it there at the end; after any error, remove it.

    Creates missing folders; writes through a link. Raises SmdError: the system refuses.
    """
    draft = Draft(path)
    try:
        with refusals(path):
            draft.make_room()
            yield draft.temporary
            draft.keep()
    finally:
        draft.drop()


class Draft:
    """A file in the making: `temporary` lies beside `path`, hidden, until it is kept or dropped."""

    def __init__(self, path: Path) -> None:
        self._target = path.resolve()
        self.temporary = self._target.with_name(
            f".smd-{os.getpid()}-{next(_DRAFTS)}.part{self._target.suffix}"
        )

    def make_room(self) -> None:
        """Create missing folders."""
        self._target.parent.mkdir(parents=True, exist_ok=True)

    def keep(self) -> None:
        """Put the file in its place."""
        self.temporary.replace(self._target)

    def drop(self) -> None:
        """Remove what was not kept."""
        with suppress(OSError):
            self.temporary.unlink()


@contextmanager
def refusals(path: Path | str) -> Iterator[None]:
    """Turn the system's refusals to write into an SmdError that names the path."""
    try:
        yield
    except OSError as error:
        raise SmdError(f"{path}: cannot be written: {error.strerror or error}") from error


def _is_own(path: Path) -> bool:
    from smd_cli.media.texts import is_own  # and Pillow with it, which most commands start without

    return is_own(path)


def _nearest_folder(path: Path) -> Path:
    """The folder that will hold the file, or the one above it in which missing folders will be made."""
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise UsageError(f"{path}: {folder} is a file, not a folder")
    return folder
