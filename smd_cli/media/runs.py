"""Which run of the program writes a file, and whether that run is over.

A run holds a lock on what it writes (flock), which ends with it, whatever ends it, and which is seen in every
container of a machine. What the file system of several machines tells of locks cannot be relied on, so a file
of another machine counts as being written for a day after its last change.
"""

from __future__ import annotations

import os
import platform
import re
import time
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

LONGEST_SILENCE = 24 * 60 * 60
"""Seconds after which a file of another machine, which has not changed since, belongs to no run."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Machine:
    """Where a run takes place: the name of a machine, and one of its boots, as eight hexadecimal digits each.

    Containers of a machine share its boot, though not its name.
    """

    name: str
    boot: str

    @classmethod
    @cache
    def this(cls) -> Machine:
        """Return the machine that this run is on."""
        name = platform.node()
        try:
            boot = _BOOT_ID.read_text()
        except OSError:  # where containers are machines of their own
            boot = name
        return cls(_short(name), _short(boot))

    @classmethod
    def of(cls, tag: str) -> Machine | None:
        """Return the machine that a tag names; None: it is no tag."""
        match = re.fullmatch("([0-9a-f]{8})-([0-9a-f]{8})", tag)
        return cls(*match.groups()) if match else None

    @property
    def tag(self) -> str:
        """Return the machine as a part of a file's name."""
        return f"{self.name}-{self.boot}"


def lock(file: int) -> bool | None:
    """Lock an open file for as long as it is open.

    Return False where another run holds it, None where there are no such locks: on Windows, and on some file
    systems of other machines.
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_over(machine: Machine | None, locked: bool | None, changed: float) -> bool:
    """Tell whether the run that writes a file is over, as far as that can be told for sure.

    `machine` is where it ran, None: unknown; `locked` is what `lock` told of the file, which was last changed
    at the time `changed`, in s.
    """
    here = Machine.this()
    is_told = machine is None or machine.boot == here.boot  # of a lock, if it is held
    began_before = machine is not None and machine.name == here.name and changed < _booted()
    is_silent = time.time() - changed > LONGEST_SILENCE
    return locked is not False and ((bool(locked) and is_told) or began_before or is_silent)


def is_at(file: int, path: Path) -> bool:
    """Tell whether an open file is the one that lies at a path now."""
    try:
        return os.path.samestat(os.fstat(file), path.stat(follow_symlinks=False))
    except OSError:
        return False


@cache
def _booted() -> float:
    import psutil

    return psutil.boot_time()


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]
