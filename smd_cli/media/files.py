"""Writing files: whole or not at all, and only where the user allows it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from smd_cli.errors import SmdError, UsageError
from smd_cli.interrupts import finishing
from smd_cli.media.drafts import Admit, Draft, anything


class Existing(StrEnum):
    """What to do about a file that exists already."""

    REPLACE_OWN = "replace own"
    OVERWRITE = "overwrite"
    SKIP = "skip"
    UPDATE = "update"  # the same picture stays, anything else is replaced
    FAIL = "fail"


def check_target(
    path: Path, existing: Existing = Existing.REPLACE_OWN, *, hint: str = "give another name"
) -> bool:
    """Tell, before any work, whether a file is to be written (False: it exists and stays). Write nothing.

    `hint` is what the user can do about a file that must stay; commands differ in their options.

    Raises UsageError: it must not be replaced, it cannot be a file, or its folder cannot be written to.
    """
    if str(path) == "-":
        raise UsageError("-: is standard output, which this is not written to; give a file name")
    try:
        _check_steps(path)
        if path.is_dir():
            raise UsageError(f"{path}: is a directory; give a file name")
        if path.is_symlink() and not path.exists():
            raise UsageError(f"{path}: is a broken link to {path.readlink()}")
        if path.exists():
            if not path.is_file():
                raise UsageError(f"{path}: is no regular file")
            if existing is Existing.FAIL:
                raise UsageError(f"{path}: exists already; {hint}")
            if existing is Existing.SKIP:
                return False
            if existing is Existing.REPLACE_OWN and (reason := _why_foreign(path)):
                raise UsageError(f"{path}: exists, and {reason}; {hint}")
        folder = _nearest_folder(path)
        _check_lengths(path, folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    return True


def check_plain_target(
    path: Path, existing: Existing = Existing.REPLACE_OWN, *, hint: str = "give another name"
) -> bool:
    """Tell the same of a file without a recipe: what was rendered is not replaced by it unasked.

    Raises UsageError: as `check_target`; or the file carries a recipe.
    """
    is_wanted = check_target(path, existing, hint=hint)
    if existing is Existing.REPLACE_OWN and path.exists():
        from smd_cli.media.recipe import carries_recipe  # imports Pillow

        if carries_recipe(path):
            raise UsageError(f"{path}: is a rendered picture; {hint}")
    return is_wanted


def write_bytes(path: Path, data: bytes, admit: Admit = anything) -> None:
    """Write a file whole or not at all.

    `admit` looks at a file that has appeared there (see `Draft.commit`).

    Raises SmdError: the system refuses, the disk is full for example; and what `admit` raises.
    """
    with drafting(path) as draft:
        draft.temporary.write_bytes(data)
        draft.commit(admit)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, and move it to `path` at the end; after any error, remove it.

    Create missing folders; write through a link. Raises SmdError: the system refuses.
    """
    with drafting(path) as draft:
        yield draft.temporary
        draft.commit()


@contextmanager
def drafting(path: Path) -> Iterator[Draft]:
    """Yield a draft to write and commit, and remove it otherwise. Raises SmdError: the system refuses."""
    draft = Draft(path)
    with finishing():
        try:
            with report_write_errors(path):
                draft.create()
                yield draft
        finally:
            draft.discard()


@contextmanager
def report_write_errors(path: Path | str) -> Iterator[None]:
    """Turn an OSError into an SmdError that names the path, but for that of a pipe whose reader has gone."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SmdError(f"{path}: cannot be written: {error.strerror or error}") from error


def _why_foreign(path: Path) -> str | None:
    from smd_cli.media.texts import why_foreign  # imports Pillow, which most commands start without

    return why_foreign(path)


def _check_steps(path: Path) -> None:
    """Raise UsageError where `..` follows a folder that is not there.

    Whether a file exists behind that, systems deny, while the resolved path may well lead to one.
    """
    steps = path.parts
    for count in (index for index, step in enumerate(steps) if step == os.pardir):
        folder = Path(*steps[:count])
        if not folder.is_dir():
            raise UsageError(f"{path}: {folder}: no such folder, so no {os.pardir} from there")


def _nearest_folder(path: Path) -> Path:
    """Return the folder of a file, or the nearest one above it that exists.

    Raises UsageError: that is a file.
    """
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        cause = NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        raise UsageError(f"{path}: {folder} is a file, not a folder") from cause
    return folder


def _check_lengths(path: Path, folder: Path) -> None:
    """Raise OSError where a path, or the hidden one before it, is too long for the file system of `folder`.

    In folders that are yet to be made, the system itself says so only when the work is done.
    """
    if not hasattr(os, "pathconf"):  # on Windows
        return
    longest, whole = (os.pathconf(folder, limit) for limit in ("PC_NAME_MAX", "PC_PATH_MAX"))
    for each in (path.absolute(), Draft(path).temporary):
        names = (len(os.fsencode(name)) for name in each.parts)
        if 0 < longest < max(names) or 0 < whole <= len(os.fsencode(each)):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
