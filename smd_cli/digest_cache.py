"""Digests of large files, kept in the user's cache folder: reading gigabytes at every start takes seconds.

A kept digest counts only for a file of the same path, device, inode, size and times to the nanosecond, of
which the time of change is one that programs cannot set. It is kept only of a file that had been left alone
for a while, so that no clock was too coarse to tell of a change. Everything that is not as it should be is
left aside, and the file read.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smd_cli.digests import Stamp

LARGE = 2**26
"""Bytes from which a file's digest is kept; smaller files are read in no time."""

LEFT_ALONE_NS = 60 * 10**9
"""How long a file has not been written when its digest is kept: clocks of servers may differ by seconds."""

_HAS_TIME_OF_CHANGE = os.name != "nt"  # there it is that of creation
_VERSION = 1


def cache_folder() -> Path:
    """Return the folder of kept digests, which need not exist."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"  # noqa: PTH117 - an empty text
    return base / "smd" / "digests"


def kept_digest(path: Path, stamp: Stamp) -> str | None:
    """Return the kept digest of a file with its present stamp; None: there is none that counts."""
    if not _is_kept(stamp):
        return None
    with suppress(OSError, ValueError, TypeError, LookupError, RuntimeError):  # whatever lies there
        entry = json.loads(_entry(path).read_text())
        if entry == _content(path, stamp, entry["sha256"]) and _is_digest(entry["sha256"]):
            return str(entry["sha256"])
    return None


def keep_digest(path: Path, stamp: Stamp, digest: str) -> None:
    """Keep the digest of a file that had that stamp before and after it was read, where it is worth it."""
    if not (_is_kept(stamp) and stamp.is_settled(LEFT_ALONE_NS)):
        return
    with suppress(OSError, RuntimeError):  # a cache that cannot be written to is none
        entry = _entry(path)
        entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = entry.with_suffix(f".{os.getpid()}")
        try:
            draft.write_text(json.dumps(_content(path, stamp, digest)))
            draft.replace(entry)
        finally:
            draft.unlink(missing_ok=True)


def _is_kept(stamp: Stamp) -> bool:
    return _HAS_TIME_OF_CHANGE and stamp.size >= LARGE


def _entry(path: Path) -> Path:
    """Return the file of a path's digest. Raises RuntimeError: there is no home folder."""
    return cache_folder() / f"{sha256(os.fsencode(path)).hexdigest()}.json"


def _content(path: Path, stamp: Stamp, digest: object) -> dict[str, object]:
    """Return what is kept of a file."""
    name = os.fsencode(path).decode("latin-1")  # of any bytes
    return {"version": _VERSION, "path": name, **stamp._asdict(), "sha256": digest}


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
