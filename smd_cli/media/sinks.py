"""Where frames are written: an animation, a video, a folder of pictures, or raw to standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from PIL import Image

from smd_cli.errors import SmdError, UsageError
from smd_cli.interrupts import last_words
from smd_cli.media import apng, gif, webp
from smd_cli.media.animation import AnimationWriter, Container
from smd_cli.media.apng import Apng
from smd_cli.media.files import Existing, check_target, drafting, report_write_errors
from smd_cli.media.folder_lock import FolderLock
from smd_cli.media.frame_files import FIRST_FRAME, NUMBERED, numbered
from smd_cli.media.gif import Gif
from smd_cli.media.png import encode_png
from smd_cli.media.texts import is_own
from smd_cli.media.video import Sound
from smd_cli.media.video_writer import VideoWriter, check_encoder
from smd_cli.media.webp import Webp
from smd_cli.regular_files import is_directory
from smd_cli.scene.frame_times import FrameTimes

SinkKind = Literal["gif", "webp", "apng", "mp4", "folder", "raw"]
Target = Path | str | None  # a file or folder; None or `-`: standard output
AdmitAt = Callable[[Path], object]  # an `Admit` of the path that it is given

_KINDS: Mapping[str, SinkKind] = {
    ".gif": "gif",
    ".webp": "webp",
    ".apng": "apng",
    ".png": "apng",
    ".mp4": "mp4",
}
_CONTAINERS: Mapping[SinkKind, Callable[[FrameTimes, int, Mapping[str, str] | None], Container]] = {
    "gif": Gif,
    "webp": Webp,
    "apng": Apng,
}

LONGEST_FRAME: Mapping[SinkKind, float] = {"gif": gif.LONGEST, "webp": webp.LONGEST, "apng": apng.LONGEST}
"""Seconds for which a format can show a frame; the others have no such limit."""


class Sink(Protocol):
    """Takes the frames of a stream, RGB and all of one size, and writes each at once."""

    def add(self, image: Image.Image) -> None:
        """Write a frame. Raises SmdError: the system refuses; what was written before can still be closed."""

    def repeat(self) -> None:
        """Write the last frame again, which costs little; it counts as a frame."""

    def close(self) -> None:
        """Finish the file, so that it plays, and move it to its path. Without a frame, leave none."""

    def discard(self) -> None:
        """Remove what was written."""


def sink_kind(target: Target) -> SinkKind:
    """Tell what is written to a target: by its suffix; a folder without one; raw frames for None and `-`.

    Raises UsageError: the suffix is unknown.
    """
    if target is None or str(target) == "-":
        return "raw"
    if is_folder(target):
        return "folder"
    kind = _KINDS.get(Path(target).suffix.lower())
    if kind is None:
        known = ", ".join(_KINDS)
        raise UsageError(
            f"{target}: unknown suffix {Path(target).suffix!r}; give one of {known}, a folder (ending in /) "
            "or -"
        )
    return kind


def check_sink(
    target: Target, existing: Existing = Existing.REPLACE_OWN, *, hint: str = "give another name"
) -> bool:
    """Tell, before any work, whether frames are to be written to a target (False: they exist and stay).

    In a folder, what counts as existing is each of its numbered pictures. `hint` is as in `check_target`.

    Raises:
        UsageError: the suffix is unknown, or what is there must not be replaced, or nothing can be written.
        AssetError: the library for it is missing.
    """
    kind = sink_kind(target)
    if target is None or kind == "raw":
        if sys.stdout is None:
            raise UsageError("standard output is closed; give a file name")
        return True
    if kind == "mp4":
        check_encoder()
    paths = files_at(target) or [Path(target) / FIRST_FRAME]
    return all(check_target(path, existing, hint=hint) for path in paths)


def is_folder(target: Path | str) -> bool:
    """Tell whether a target is a folder, for numbered pictures."""
    return is_directory(target) or str(target).endswith("/") or not Path(target).suffix


def files_at(target: Path | str) -> list[Path]:
    """Return the files that writing to a target may replace or remove; those of a file need not exist."""
    if not is_folder(target):
        return [Path(target)]
    return sorted(Path(target).glob(NUMBERED)) if is_directory(target) else []


def recipe_file(target: Target) -> Path | None:
    """Return the file with a stream's recipe: itself, or a folder's first picture; None: there is none."""
    kind = sink_kind(target)
    if target is None or kind == "raw":
        return None
    return Path(target) / FIRST_FRAME if kind == "folder" else Path(target)


@contextmanager
def reserved(target: Target, lock: FolderLock | None = None) -> Iterator[FolderLock | None]:
    """Keep a folder of frames for this run, before it has any; other targets need no such lock (None).

    `lock` is what has reserved it already, if anything has.

    Raises UsageError: another run writes there; SmdError: the system refuses.
    """
    if lock or target is None or sink_kind(target) != "folder":
        yield lock
        return
    lock = FolderLock(Path(target))
    with last_words(lambda _: lock.release()):  # a signal ends the process without coming back here
        with report_write_errors(target):
            lock.take()
        try:
            yield lock
        finally:
            lock.release()


def open_sink(
    target: Target,
    *,
    size: tuple[int, int],
    times: FrameTimes,
    loop: int,
    texts: Mapping[str, str] | None,
    sound: Sound | None = None,
    admit: AdmitAt = lambda _: None,
    lock: FolderLock | None = None,
) -> Sink:
    """Open a sink for frames of `size` (width, height in px), each shown at its time.

    `loop` is how often an animation plays, 0 for ever. `texts` are stored in the file by keyword, beside the
    program's mark; None leaves out even the mark. `sound` is copied into a film. `admit` looks at a
    file that has appeared at a path to be written. `lock` is a folder's, where that is reserved already.

    Raises UsageError and AssetError as `check_sink` does; SmdError: the system refuses.
    """
    kind = sink_kind(target)
    if target is None or kind == "raw":
        return RawWriter()
    if kind == "folder":
        return FolderWriter(Path(target), texts, admit, lock)
    if kind == "mp4":
        return VideoWriter(Path(target), size, times, texts, sound, partial(admit, Path(target)))
    return AnimationWriter(Path(target), _CONTAINERS[kind](times, loop, texts), partial(admit, Path(target)))


class FolderWriter:
    """A sink that writes numbered pictures, from 000000.png on, into a folder that no other run writes to.

    A folder that is removed or replaced meanwhile is an error: it would have some of the frames.
    """

    def __init__(
        self, folder: Path, texts: Mapping[str, str] | None, admit: AdmitAt, lock: FolderLock | None
    ) -> None:
        self._folder = folder
        self._texts = texts
        self._admit = admit
        self._lock = lock or FolderLock(folder)
        self._frames = 0
        self._last = b""

    def add(self, image: Image.Image) -> None:
        """Write a picture. Raises UsageError: another run writes to the folder; SmdError: it is gone."""
        self.add_encoded(encode_png(image, self._texts))

    def add_encoded(self, data: bytes) -> None:
        """Write a picture that is a PNG file already. Raises as `add`."""
        self._last = data
        self.repeat()

    def repeat(self) -> None:
        """Write the last picture again, under the next number."""
        if self._lock.is_taken:
            self._check_there()
        else:
            with report_write_errors(self._folder):
                self._lock.take()
        path = self._folder / numbered(self._frames)
        with drafting(path) as draft:
            draft.temporary.write_bytes(self._last)
            if not self._frames:
                self._remove_others()
            draft.commit(partial(self._admit, path))
        self._frames += 1

    def close(self) -> None:
        """Let go of the folder. Raises SmdError: it is gone."""
        try:
            if self._frames:
                self._check_there()
        finally:
            self._lock.release()

    def discard(self) -> None:
        """Remove what was written."""
        with report_write_errors(self._folder):
            for number in range(self._frames):
                (self._folder / numbered(number)).unlink()
        self._lock.release()

    def _check_there(self) -> None:
        if not self._lock.is_held():
            raise SmdError(f"{self._folder}: was removed or replaced while frames were written to it")

    def _remove_others(self) -> None:
        """Remove smd's own pictures of an earlier stream, but for the first, which is replaced.

        So the frames of two streams are never taken for one's, even if this one is killed.
        """
        others = [path for path in files_at(self._folder) if is_own(path)]
        for path in others:
            self._admit(path)
        with report_write_errors(self._folder):
            for path in others:
                if path.name != FIRST_FRAME:
                    path.unlink()


class RawWriter:
    """A sink that writes RGB bytes, row by row, frame by frame, to standard output."""

    def __init__(self) -> None:
        self._last = b""

    def add(self, image: Image.Image) -> None:
        """Write a frame."""
        self._last = image.tobytes()
        self.repeat()

    def repeat(self) -> None:
        """Write the last frame again."""
        with report_write_errors("standard output"):
            sys.stdout.buffer.write(self._last)
            sys.stdout.buffer.flush()

    def close(self) -> None:
        """Do nothing: every frame is flushed already."""

    def discard(self) -> None:
        """Do nothing: what was written cannot be taken back."""
