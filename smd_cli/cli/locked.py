"""Options that hold a render to what has been recorded: by a lock, or by digests in the scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from smd_cli.app.lock.lockfile import Lock

LOCK = "smd.lock"
"""The lock that commands make and read, where no other is named, and a bundle has none."""

Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Stop before any work if a file differs from the scene's digest of it (see digests)."
    ),
]
IsLocked = Annotated[
    bool,
    typer.Option(
        "--locked",
        help=f"Stop before any work unless {LOCK} (where none is here, that of a bundle) holds the pictures, "
        "and nothing that they are made of has changed.",
    ),
]
LockFile = Annotated[
    Path | None,
    typer.Option("--lock", metavar="FILE", help=f"The same with another lock than {LOCK}."),
]


@dataclass(frozen=True)
class Locked:
    """Options that hold a render to what has been recorded."""

    strict: Strict = False
    locked: IsLocked = False
    lock: LockFile = None

    def read(self, scenes: Sequence[str]) -> Lock | None:
        """Return the lock, if one is asked for. Raises AssetError: it is missing or damaged."""
        from smd_cli.app.bundle.locks import lock_beside
        from smd_cli.app.lock.lockfile import read_lock

        if self.locked or self.lock:
            return read_lock(self.lock or lock_beside(scenes))
        return None
