"""Pictures of differences, in a folder: what a file shows, what was rendered now, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from smd_cli.app.verification.claim import Claim
from smd_cli.app.verification.frames import Compared
from smd_cli.errors import UsageError
from smd_cli.media.difference_picture import draw_difference
from smd_cli.media.files import Existing, check_plain_target, check_target, write_bytes
from smd_cli.media.png import encode_png
from smd_cli.messages import Place
from smd_cli.visible import visible

_UNSAFE = str.maketrans(dict.fromkeys('/\\:*?"<>|', "_"))
_LONGEST = 50  # characters of a name, of up to 4 bytes


@dataclass
class DifferenceFolder:
    """Writes a PNG file for each claim that does not hold; those of an earlier run are replaced.

    Attributes:
        folder: where to; it is created with the first one.
    """

    folder: Path
    _taken: set[str] = field(default_factory=set)

    def check(self) -> None:
        """Raise UsageError, before any work, where nothing can be written there."""
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(Place.of_option(f"--diff {self.folder}").says("is no folder"))
        check_target(self.folder / "difference.png", Existing.OVERWRITE)

    def draw(self, claim: Claim, compared: Compared) -> str:
        """Draw where a picture, or a film's worst frame, differs; return the path.

        Raises UsageError: a file of another program lies there; SmdError: the system refuses.
        """
        worst, frame = compared.worst, f", frame {compared.worst.number}" if compared.frames > 1 else ""
        titles = (f"its file{frame}", f"now{frame}")
        path = self.folder / self._free_name(claim)
        picture = draw_difference(worst.before, worst.now, titles)
        write_bytes(path, encode_png(picture, {}), partial(check_plain_target, path))
        return str(path)

    def _free_name(self, claim: Claim) -> str:
        """Return a name like the claim's that no other one of this run has."""
        stem = claim.shown.name if claim.shown else claim.name
        stem = visible(stem).translate(_UNSAFE).strip(". ")[:_LONGEST] or "_"
        names = (f"{stem}{number}.diff.png" for number in ("", *(f"_{count}" for count in range(2, 10**6))))
        name = next(name for name in names if name.casefold() not in self._taken)
        self._taken.add(name.casefold())
        return name
