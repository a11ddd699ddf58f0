"""What files claim: pictures of themselves. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from smd_cli.app.verification.claim import Claim
from smd_cli.app.verification.pictures import picture_claim
from smd_cli.app.verification.verdict import Verdict
from smd_cli.errors import SmdError


def claims_of(path: Path) -> list[Claim]:
    """Return what a picture, a film or a folder of frames claims.

    Raises AssetError: it cannot be read, or claims nothing.
    """
    return [picture_claim(path)]


def gather_claims(paths: Iterable[Path]) -> list[Claim | Verdict]:
    """Return what files claim, in order, each file once; that one cannot be read is a verdict already."""
    found: list[Claim | Verdict] = []
    for path in dict.fromkeys(paths):
        try:
            found += claims_of(path)
        except SmdError as error:
            name, suite = str(path), str(path.parent)
            found.append(Verdict(name, suite, "failed", error.problems, exit_code=error.exit_code))
    return found
