"""Animated files that grow by a frame and are whole after each, so that they play whatever ends them."""

from __future__ import annotations

from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Protocol

from PIL import Image, ImageChops

from smd_cli.media.files import Draft, refusals

Patch = tuple[int, bytes]  # where in the file, and what stands there


class Container(Protocol):
    """A file format of animations: what stands in the file, a frame at a time."""

    tail: bytes

    def start(self, image: Image.Image) -> bytes:
        """Return the head of the file and its first frame."""

    def frame(self, image: Image.Image) -> bytes:
        """Return one more frame."""

    def again(self) -> bytes:
        """Return a frame that shows what the last one did."""

    def totals(self, frames: int, length: int) -> Sequence[Patch]:
        """Return what the head says of a file of so many frames, and bytes with the tail."""


class Delays:
    """How long each frame is shown, in whole ticks of a format's clock; rounding errors are carried on."""

    def __init__(self, fps: float, ticks_per_second: int) -> None:
        self._ticks_per_frame = ticks_per_second / fps
        self._frames = 0
        self._ticks = 0

    def next(self) -> int:
        """Return the ticks of one more frame."""
        self._frames += 1
        before, self._ticks = self._ticks, round(self._frames * self._ticks_per_frame)
        return self._ticks - before


class Reel:
    """A sink that writes a container: each frame goes before the tail, the head is told the new totals."""

    def __init__(self, path: Path, container: Container) -> None:
        self._path = path
        self._container = container
        self._draft = Draft(path)
        self._file: FileIO | None = None
        self._frames = 0
        self._end = 0  # of the last frame, in bytes

    def add(self, image: Image.Image) -> None:
        """Write a frame."""
        self._append(self._container.frame(image) if self._frames else self._container.start(image))

    def repeat(self) -> None:
        """Write a frame that shows what the last one did."""
        self._append(self._container.again())

    def close(self) -> None:
        """Put the file in its place; without a frame there is none."""
        if self._file:
            self._file.close()
        if not self._frames:
            return self._draft.drop()
        with refusals(self._path):
            return self._draft.keep()

    def discard(self) -> None:
        """Remove what was written."""
        if self._file:
            self._file.close()
        self._draft.drop()

    def _append(self, data: bytes) -> None:
        tail = self._container.tail
        end = self._end + len(data)
        totals = self._container.totals(self._frames + 1, end + len(tail))
        with refusals(self._path):
            file = self._file = self._file or self._open()
            try:
                _write(file, self._end, data + tail)
            except OSError:
                _write(file, self._end, tail)  # over what stood there, so that a full disk has room for it
                file.truncate(self._end + len(tail))
                raise
            for place, total in totals:
                _write(file, place, total)
        self._frames, self._end = self._frames + 1, end

    def _open(self) -> FileIO:
        """The file, without a buffer: what is written has room, or the system says so at once."""
        self._draft.make_room()
        return FileIO(self._draft.temporary, "w")


def changed(image: Image.Image, shown: Image.Image, tolerance: int) -> Image.Image:
    """The pixels, white in `L`, of an RGB image that differ in a channel by more than `tolerance` levels."""
    red, green, blue = ImageChops.difference(image, shown).split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return most.point([255 * (level > tolerance) for level in range(256)])


def _write(file: FileIO, place: int, data: bytes) -> None:
    file.seek(place)
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
