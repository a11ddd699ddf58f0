"""Where frames go, as they come: an animation, a film, a folder of pictures, raw to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from PIL import Image

from smd_cli.errors import UsageError
from smd_cli.media.animation import Container, Reel
from smd_cli.media.apng import Apng
from smd_cli.media.files import Existing, check_target, refusals, write_bytes
from smd_cli.media.gif import Gif
from smd_cli.media.png import encode_png
from smd_cli.media.texts import is_own
from smd_cli.media.video import Video, ffmpeg
from smd_cli.media.webp import Webp

Kind = Literal["gif", "webp", "apng", "mp4", "folder", "raw"]
Output = Path | str | None

_KINDS: Mapping[str, Kind] = {
    ".gif": "gif",
    ".webp": "webp",
    ".apng": "apng",
    ".png": "apng",
    ".mp4": "mp4",
    "": "folder",
}
_CONTAINERS: Mapping[Kind, Callable[[float, int, Mapping[str, str] | None], Container]] = {
    "gif": Gif,
    "webp": Webp,
    "apng": Apng,
}

FIRST_FRAME = "000000.png"
"""The first of a stream's numbered pictures; all of them carry the recipe."""
_NUMBERS = "[0-9]" * 6 + ".png"


class Sink(Protocol):
    """Takes the frames of a stream, RGB and all of one size, and writes each at once."""

    def add(self, image: Image.Image) -> None:
        """Write a frame. Raises SmdError: the system refuses; what was written before can still be closed."""

    def repeat(self) -> None:
        """Write the last frame again, which costs little; it counts as a frame."""

    def close(self) -> None:
        """Finish: what was written plays and stands in its place. Without a frame nothing does."""

    def discard(self) -> None:
        """Leave nothing."""


def kind_of(path: Output) -> Kind:
    """Tell what is written to a path: by its suffix, a folder without one, raw frames for None and `-`.

    Raises UsageError: the suffix is unknown.
    """
    if path is None or str(path) == "-":
        return "raw"
    if str(path).endswith("/") or os.path.isdir(path):  # noqa: PTH112 - of a name too long, Path's raises
        return "folder"
    kind = _KINDS.get(Path(path).suffix.lower())
    if kind is None:
        known = ", ".join(suffix for suffix in _KINDS if suffix)
        raise UsageError(
            f"{path}: unknown suffix {Path(path).suffix!r}; give one of {known}, a folder (ending in /) or -"
        )
    return kind


def check_sink(
    path: Output, existing: Existing = Existing.REPLACE_OWN, *, way_out: str = "give another name"
) -> bool:
    """Tell, before any work, whether frames are to be written to a path (False: they exist and stay).

    In a folder, what counts as existing is each of its numbered pictures. `way_out` is as of `check_target`.

    Raises:
        UsageError: the suffix is unknown, or what is there must not be replaced, or nothing can be written.
        AssetError: the library for it is missing.
    """
    kind = kind_of(path)
    if path is None or kind == "raw":
        return True
    if kind == "mp4":
        ffmpeg()
    targets = [Path(path)]
    if kind == "folder":
        targets = sorted(Path(path).glob(_NUMBERS)) or [Path(path) / FIRST_FRAME]
    return all(check_target(target, existing, way_out=way_out) for target in targets)


def open_sink(
    path: Output, *, size: tuple[int, int], fps: float, loop: int, texts: Mapping[str, str] | None
) -> Sink:
    """Open a sink for frames of `size` (width, height in px), `fps` of them a second.

    `loop` is how often an animation plays, 0 without end. `texts` are what the file says of itself, by
    keyword; None leaves even the program's mark out.

    Raises UsageError and AssetError as `check_sink`; SmdError: the system refuses.
    """
    kind = kind_of(path)
    if path is None or kind == "raw":
        if sys.stdout is None:
            raise UsageError("standard output is closed; give a file name")
        return RawFrames()
    if kind == "folder":
        return Numbered(Path(path), texts)
    if kind == "mp4":
        return Video(Path(path), size, fps, texts)
    return Reel(Path(path), _CONTAINERS[kind](fps, loop, texts))


class Numbered:
    """A folder of pictures, 000000.png and so on; smd's own of an earlier, longer stream go."""

    def __init__(self, folder: Path, texts: Mapping[str, str] | None) -> None:
        self._folder = folder
        self._texts = texts
        self._frames = 0
        self._last = b""

    def add(self, image: Image.Image) -> None:
        """Write a picture."""
        self._last = encode_png(image, self._texts)
        self.repeat()

    def repeat(self) -> None:
        """Write the last picture again, under the next number."""
        write_bytes(self._folder / _picture(self._frames), self._last)
        self._frames += 1

    def close(self) -> None:
        """Remove the pictures that follow on the last one: they belong to an earlier, longer stream."""
        number = self._frames
        with refusals(self._folder):
            while number and is_own(left := self._folder / _picture(number)):
                left.unlink()
                number += 1

    def discard(self) -> None:
        """Remove what was written."""
        with refusals(self._folder):
            for number in range(self._frames):
                (self._folder / _picture(number)).unlink()


class RawFrames:
    """RGB bytes, row by row, frame by frame, on standard output."""

    def __init__(self) -> None:
        self._last = b""

    def add(self, image: Image.Image) -> None:
        """Write a frame."""
        self._last = image.tobytes()
        self.repeat()

    def repeat(self) -> None:
        """Write the last frame again."""
        with refusals("standard output"):
            sys.stdout.buffer.write(self._last)
            sys.stdout.buffer.flush()

    def close(self) -> None:
        """Do nothing: every frame has left already."""

    def discard(self) -> None:
        """Do nothing: what has left stays."""


def _picture(number: int) -> str:
    return f"{number:06}.png"
