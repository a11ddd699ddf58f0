"""Animation files, written one frame at a time: what was written so far plays, whatever ends the stream."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import Protocol

from PIL import Image, ImageChops

from smd_cli.errors import SmdError
from smd_cli.media.drafts import Admit, Draft
from smd_cli.media.files import report_write_errors
from smd_cli.scene.frame_times import FrameTimes

Patch = tuple[int, bytes]  # an offset in the file, in bytes, and what to write there


class Container(Protocol):
    """An animation format, which encodes a file one frame at a time; `tail` follows the last frame."""

    tail: bytes

    def start(self, image: Image.Image) -> bytes:
        """Return the header of the file and its first frame."""

    def frame(self, image: Image.Image) -> bytes:
        """Return one more frame."""

    def repeat(self) -> bytes:
        """Return a frame that shows the last one again."""

    def header_patches(self, frames: int, length: int) -> Sequence[Patch]:
        """Return what to change in the header once the file has so many frames and bytes, tail included."""


class Delays:
    """How long each frame is shown, in whole ticks of a format's clock, without adding up rounding errors.

    `longest` is how many seconds the format can hold.
    """

    def __init__(self, times: FrameTimes, ticks_per_second: int, longest: float) -> None:
        self._times = times
        self._ticks_per_second = ticks_per_second
        self._longest = longest
        self._frames = 0
        self._ticks = 0

    def next(self) -> int:
        """Return the ticks of one more frame. Raises SmdError: the format cannot hold them."""
        self._frames += 1
        end = self._times.start(self._frames)
        before, self._ticks = self._ticks, round(Fraction(end * self._ticks_per_second, self._times.clock))
        delay = self._ticks - before
        if (lasts := delay / self._ticks_per_second) > self._longest:
            raise SmdError(f"a frame of {lasts:,.0f} s does not fit: at most {self._longest:,.0f} s")
        return delay


class AnimationWriter:
    """A sink that writes an animation: each frame replaces the tail, then the header gets the new totals."""

    def __init__(self, path: Path, container: Container, admit: Admit) -> None:
        self._path = path
        self._admit = admit
        self._container = container
        self._draft = Draft(path)
        self._file: FileIO | None = None
        self._frames = 0
        self._end = 0  # of the last frame, in bytes

    def add(self, image: Image.Image) -> None:
        """Write a frame."""
        self._append(self._container.frame(image) if self._frames else self._container.start(image))

    def repeat(self) -> None:
        """Write a frame that shows the last one again."""
        self._append(self._container.repeat())

    def close(self) -> None:
        """Move the file to its path; without a frame, leave none.

        Raises SmdError: the system refuses; UsageError: a file has appeared there that must stay.
        """
        try:
            with report_write_errors(self._path):
                if self._file:
                    self._file.close()
                if self._frames:
                    self._draft.commit(self._admit)
        finally:
            self._draft.discard()

    def discard(self) -> None:
        """Remove what was written."""
        if self._file:
            self._file.close()
        self._draft.discard()

    def _append(self, data: bytes) -> None:
        tail = self._container.tail
        end = self._end + len(data)
        patches = self._container.header_patches(self._frames + 1, end + len(tail))
        with report_write_errors(self._path):
            file = self._file = self._file or self._open()
            try:
                _write(file, self._end, data + tail)
            except OSError:
                _write(file, self._end, tail)  # where the old tail was, so that a full disk has room for it
                file.truncate(self._end + len(tail))
                raise
            for offset, patch in patches:
                _write(file, offset, patch)
        self._frames, self._end = self._frames + 1, end

    def _open(self) -> FileIO:
        """Open the file without a buffer, so that a write that fails does so at once."""
        self._draft.create()
        return FileIO(self._draft.temporary, "w")


def changed_pixels(image: Image.Image, shown: Image.Image, tolerance: int) -> Image.Image:
    """Return the pixels, white in `L`, where two RGB images differ by more than `tolerance` in a channel."""
    red, green, blue = ImageChops.difference(image, shown).split()
    largest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return largest.point([255 * (level > tolerance) for level in range(256)])


def _write(file: FileIO, offset: int, data: bytes) -> None:
    file.seek(offset)
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
