"""Files that users name, read only where they are regular files, and only as far as makes sense.

A pipe, a device or a socket may wait for ever, never end, or do something when it is opened. Whoever opens a
file that a user names does it here; a library that opens files by itself is given one that was checked here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

MAX_CONFIG = 2**22
"""Bytes of a config; long ones, the indices of shards, have a tenth of it."""

MAX_VOCABULARY = 2**26
"""Bytes of a tokenizer's file; long ones, of many languages, have a third of it."""

_NEVER_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_KINDS: dict[Callable[[int], bool], str] = {
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


class UnfitFileError(OSError):
    """A file that is not read: no regular file, or larger than makes sense. `strerror` says which."""


def check_regular(path: Path) -> None:
    """Check that a path leads to a regular file, without opening it.

    Raises:
        UnfitFileError: it is a pipe, a device or a socket.
        OSError: it is a folder, or not there, or its folder cannot be searched.
    """
    _check(path.stat().st_mode, path)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read its bytes. Raises as `check_regular`, and OSError: it cannot be opened."""
    check_regular(path)  # opening a pipe would already let its writer go on
    file = os.open(path, os.O_RDONLY | _NEVER_WAIT)
    try:
        _check(os.fstat(file).st_mode, path)  # whatever has taken its place meanwhile
        return os.fdopen(file, "rb")
    except BaseException:
        os.close(file)
        raise


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the bytes of a regular file. Raises as `open_regular`, and UnfitFileError: more than `limit`."""
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise UnfitFileError(errno.EFBIG, f"larger than {_size(limit)}", str(path))
    return content


def read_text(path: Path, limit: int) -> str:
    """Return the UTF-8 text of a regular file. Raises as `read_bytes`, and ValueError: no such text."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}") from None


def why_unread(error: OSError) -> str:
    """Return in words why a file could not be opened or read, to follow its path."""
    match error:
        case FileNotFoundError():
            return "no such file"
        case PermissionError():
            return "permission denied"
        case UnfitFileError():
            return f"is {error.strerror}"
    return f"cannot be read: {error.strerror or error}"


def _check(mode: int, path: Path) -> None:
    """Raise OSError unless a file's mode is that of a regular one."""
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = next((name for test, name in _KINDS.items() if test(mode)), "something else")
    raise UnfitFileError(errno.EINVAL, f"{kind}, not a regular file", str(path))


def _size(limit: int) -> str:
    return f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit // 2**10} KiB"


def is_there(path: Path | str) -> bool:
    """Tell whether something lies at a path. It never raises: at a name too long there is none."""
    return os.path.exists(path)  # noqa: PTH110


def is_directory(path: Path | str) -> bool:
    """Tell whether a directory lies at a path. It never raises either."""
    return os.path.isdir(path)  # noqa: PTH112
