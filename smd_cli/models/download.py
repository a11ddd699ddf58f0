"""Large files of the hub, each fetched so that a download which was cut off goes on where it ended.

The hub's own library begins every such file anew. What it keeps here it finds as if it had fetched it itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, BinaryIO, cast

from smd_cli.errors import AssetError
from smd_cli.models.files import in_bytes

HALF = ".incomplete"
"""The ending of what is there of a file that is not whole, as the hub's library calls it too."""

Fetched = Callable[[str, int, int], None]
"""Told how far a file is: its name, the bytes that are there, and all of them."""

_told: ContextVar[Fetched] = ContextVar("fetched", default=lambda name, done, total: None)


@contextmanager
def telling(fetched: Fetched) -> Iterator[None]:
    """Tell how far downloads are that happen meanwhile."""
    token = _told.set(fetched)
    try:
        yield
    finally:
        _told.reset(token)


def tell(name: str, done: int, total: int) -> None:
    """Tell how far a file is."""
    _told.get()(name, done, total)


@dataclass(frozen=True)
class LargeFile:
    """A file that the hub keeps by its digest.

    Attributes:
        url: where it is.
        name: in its repository.
        sha256: of its content.
        size: bytes.
    """

    url: str
    name: str
    sha256: str
    size: int

    def fetch(self, storage: Path, locks: Path) -> None:
        """Fetch it into the folder in which the hub's cache keeps a repository, unless it is there.

        Raises:
            AssetError: what came is not the file.
            Exception: whatever the hub's library raises of networks.
        """
        from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

        target = storage / "blobs" / self.sha256
        for folder in (target.parent, locks):
            folder.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(locks / f"{self.sha256}.lock"):
            if not target.exists():
                self._fetch(target)
        tell(self.name, self.size, self.size)

    def _fetch(self, target: Path) -> None:
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        half = target.with_name(self.sha256 + HALF)
        with half.open("ab") as file:
            if (done := file.tell()) > self.size:
                file.truncate(done := 0)
            # It counts what it writes itself: what was there before is part of what is expected.
            http_get(
                self.url,
                cast(BinaryIO, _Counting(file, self)),
                resume_size=done,
                headers=build_hf_headers(),
                expected_size=self.size,
            )
        if done:  # of two programs, perhaps, that wrote to it one after the other
            self._check(half)
        half.replace(target)

    def _check(self, half: Path) -> None:
        with half.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        if digest != self.sha256:
            half.unlink()
            raise AssetError(f"{self.name}: what was fetched of it is damaged, and removed; fetch it again")


class _Counting:
    """A file that tells how far a download into it is."""

    def __init__(self, file: BinaryIO, large: LargeFile) -> None:
        self._file, self._large = file, large

    def write(self, data: bytes) -> int:
        """Write, and tell how many bytes are there."""
        written = self._file.write(data)
        tell(self._large.name, self._file.tell(), self._large.size)
        return written

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of any file
        return getattr(self._file, name)


def check_room(size: int, cache: Path, reference: str) -> None:
    """Raise AssetError unless a disk has room for so many bytes more."""
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise AssetError(
            f"{reference}: takes {in_bytes(size)}, and the disk of {cache} has {in_bytes(free)} left; "
            "make room (smd models rm), or set HF_HOME to a folder on another disk"
        )
