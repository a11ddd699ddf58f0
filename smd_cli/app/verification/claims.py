"""What files claim: pictures of themselves, locks of what they hold, also in bundles. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from smd_cli.app.bundle.layout import LOCK
from smd_cli.app.bundle.place import bundle_at
from smd_cli.app.lock.lockfile import looks_like_lock
from smd_cli.app.verification.claim import Claim
from smd_cli.app.verification.locks import lock_claims
from smd_cli.app.verification.pictures import picture_claim
from smd_cli.app.verification.verdict import Verdict
from smd_cli.errors import SmdError


def claims_of(path: Path, *, base_dir: Path | None = None, offline: bool = False) -> list[Claim]:
    """Return what a picture, film, folder of frames, lock or bundle claims; `offline`, without the network.

    What pictures name is looked for in `base_dir`, by default in the folder of each.

    Raises AssetError, SceneError: it cannot be read, or claims nothing.
    """
    if at := bundle_at(path):
        return lock_claims(at[0] / (at[1] or LOCK), offline=offline)
    with suppress(OSError):  # which reading it as a picture tells
        if looks_like_lock(path):
            return lock_claims(path, offline=offline)
    return [picture_claim(path, base_dir)]


def gather_claims(
    paths: Iterable[Path], *, base_dir: Path | None = None, offline: bool = False
) -> list[Claim | Verdict]:
    """Return what files claim, in order, each file once; that one cannot be read is a verdict already."""
    found: list[Claim | Verdict] = []
    for path in dict.fromkeys(paths):
        try:
            found += claims_of(path, base_dir=base_dir, offline=offline)
        except SmdError as error:
            name, suite = str(path), str(path.parent)
            found.append(Verdict(name, suite, "failed", error.problems, exit_code=error.exit_code))
    return found
