"""The private folder that a bundle is unpacked into, which is gone when the process is."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from smd_cli.interrupts import forget, remember
from smd_cli.media.runs import Machine, is_at, is_over, lock
from smd_cli.messages import call_folder

_NAME = re.compile(r"smd-bundle-(?P<machine>[0-9a-f]{8}-[0-9a-f]{8})-[0-9a-f]{8}")


class PrivateFolder:
    """A folder that nobody else can look into; messages call it `name`.

    It goes with the last one who holds this object, at the latest with the process, whatever ends that: what
    a killed one leaves, the next one clears. A copy, in another process, holds nothing, but messages there
    call the folder so too.
    """

    def __init__(self, name: str) -> None:
        """Make the folder. Raises OSError."""
        above = Path(tempfile.gettempdir()).resolve()
        _clear_leftovers(above)
        self.path, held = _make(above)
        self.name = name
        remove = partial(_remove, self.path, held, os.getpid())
        say = _said(remove)
        remember(say)
        self.remove = weakref.finalize(self, _let_go, remove, say)
        call_folder(self.path, name)

    def __getstate__(self) -> tuple[Path, str]:
        return self.path, self.name

    def __setstate__(self, state: tuple[Path, str]) -> None:
        self.path, self.name = state
        call_folder(*state)


def _make(above: Path) -> tuple[Path, int | None]:
    """Make a folder, and lock it as long as it is wanted."""
    while True:
        path = above / f"smd-bundle-{Machine.this().tag}-{secrets.token_hex(4)}"
        path.mkdir(mode=0o700)
        if not hasattr(os, "O_DIRECTORY"):  # on Windows, where folders cannot be opened
            return path, None
        held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        if lock(held) is not False and is_at(held, path):
            return path, held
        os.close(held)  # a run that looks for what others have left was faster


def _said(remove: Callable[[], object]) -> Callable[[str], object]:
    return lambda _: remove()


def _let_go(remove: Callable[[], object], say: Callable[[str], object]) -> None:
    remove()
    forget(say)


def _remove(path: Path, held: int | None, owner: int) -> None:
    """Remove a folder that this process has made; a process that was forked off it leaves it alone."""
    if os.getpid() != owner:
        return
    shutil.rmtree(path, ignore_errors=True)
    if held is not None:
        with suppress(OSError):
            os.close(held)


def _clear_leftovers(above: Path) -> None:
    """Remove folders that killed runs of this user have left; what cannot be removed stays."""
    found = []
    with suppress(OSError), os.scandir(above) as entries:
        found = [(Path(entry.path), match) for entry in entries if (match := _NAME.fullmatch(entry.name))]
    for path, match in found:
        with suppress(OSError):
            _clear(path, Machine.of(match["machine"]))


def _clear(path: Path, machine: Machine | None) -> None:
    """Remove a folder whose run is over. Raises OSError."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_DIRECTORY", 0))
    try:
        status = os.fstat(file)
        is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if is_own and is_over(machine, lock(file), status.st_mtime) and is_at(file, path):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(file)
