"""SHA-256 digests of files, as `sha256sum` prints them. A digest that is kept is never one of other bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import NamedTuple

from smd_cli.regular_files import open_regular

SETTLED_NS = 2 * 10**9
"""How long a file has to be left alone until its times tell of every change: clocks of disks are coarse."""

_MOST = 4096


class Stamp(NamedTuple):
    """What tells that a file is the same one, and has not been written since."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file's status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def is_settled(self, for_ns: int) -> bool:
        """Tell whether the file has been left alone for so long that a change would give another stamp."""
        return max(self.modified_ns, self.changed_ns) + for_ns < time.time_ns()


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of the file that a path leads to. Raises OSError."""
    return Stamp.of(path.stat())


def digest_of(files: Iterable[Path]) -> str:
    """Return the SHA-256 of files: a single file's own, of several that of their digests in order.

    Raises OSError: a file cannot be read.
    """
    digests = [_digest(path) for path in files]
    return digests[0] if len(digests) == 1 else digest_of_list(digests)


def digest_of_list(digests: Sequence[str]) -> str:
    """Return the digest of several files in order by their own."""
    return sha256("".join(digests).encode()).hexdigest()


def digest_of_named(files: Mapping[str, Path]) -> str:
    """Return the SHA-256 of what `sha256sum` prints of files under their names, sorted by name.

    Raises OSError: a file cannot be read.
    """
    lines = (f"{_digest(path)}  {name}\n" for name, path in sorted(files.items()))
    return sha256("".join(lines).encode()).hexdigest()


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file. The hub's cache names large files by it, which saves reading them."""
    link = path
    while link.is_symlink():  # a blob can be a link itself, to what repositories share under another name
        link = link.parent / link.readlink()
        if link.parent.name == "blobs" and len(link.name) == 64:
            return link.name
    return _read(path.resolve())


_known: dict[Path, tuple[Stamp, str]] = {}


def _read(path: Path) -> str:
    """Return the digest of a file, which is read unless it has been before; batches ask for it often."""
    there = stamp_of(path)
    known = _known.get(path)
    if known and known[0] == there:
        return known[1]
    from smd_cli.digest_cache import keep_digest, kept_digest  # most runs read small files alone

    if kept := kept_digest(path, there):
        return kept
    with open_regular(path) as file:
        before = Stamp.of(os.fstat(file.fileno()))
        digest = file_digest(file, "sha256").hexdigest()
        after = Stamp.of(os.fstat(file.fileno()))
    if before == after and before.is_settled(SETTLED_NS):
        if len(_known) >= _MOST:
            _known.clear()
        _known[path] = before, digest
        keep_digest(path, before, digest)
    return digest
