"""SHA-256 digests of files, as `sha256sum` prints them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path

from smd_cli.regular_files import open_regular


def digest_of(files: Iterable[Path]) -> str:
    """Return the SHA-256 of files: a single file's own, of several that of their digests in order.

    Raises OSError: a file cannot be read.
    """
    digests = [_digest(path) for path in files]
    return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file. The hub's cache names large files by it, which saves reading them."""
    link = path
    while link.is_symlink():  # a blob can be a link itself, to what repositories share under another name
        link = link.parent / link.readlink()
        if link.parent.name == "blobs" and len(link.name) == 64:
            return link.name
    blob = path.resolve()
    status = blob.stat()
    return _read(blob, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1024)
def _read(path: Path, changed_ns: int, size: int) -> str:
    """Return the digest of a file that has been read; every picture of a batch asks for it."""
    with open_regular(path) as file:
        return file_digest(file, "sha256").hexdigest()
