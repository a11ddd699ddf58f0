"""What files claim: pictures of themselves. Knows no torch."""

from __future__ import annotations

from pathlib import Path

from smd_cli.app.verification.claim import Claim
from smd_cli.app.verification.pictures import picture_claim


def claims_of(path: Path) -> list[Claim]:
    """Return what a picture, a film or a folder of frames claims.

    Raises AssetError: it cannot be read, or claims nothing.
    """
    return [picture_claim(path)]
