"""Video files by ffmpeg, which the extra `video` brings: mp4 is written, other kinds are read too."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO, Any, cast

from PIL import Image

from smd_cli.errors import AssetError, SmdError
from smd_cli.media.canvas import repeat_edges
from smd_cli.media.files import Draft, refusals
from smd_cli.media.texts import packed

# What a film may be: others, lists of films say, can lead to any file or address.
_KINDS = ("-format_whitelist", "mov,mp4,matroska,webm,avi", "-protocol_whitelist", "file,pipe")
_QUIET: Mapping[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
_EVENLY = ("-fps_mode", "cfr")  # frames at one rate, also of films that have none
_KEY_SECONDS = 2  # between frames that a player can start from; a file that was cut off ends at one
_COLORS = ("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709")


@dataclass(frozen=True)
class Film:
    """What the head of a video says: width and height in px, frames a second."""

    size: tuple[int, int]
    fps: float


def ffmpeg() -> ModuleType:
    """Return the library that brings ffmpeg. Raises AssetError: one of them is not installed."""
    try:
        library = import_module("imageio_ffmpeg")
        library.get_ffmpeg_exe()
    except ImportError:
        raise AssetError("video needs ffmpeg: pip install 'smd-cli[video]'") from None
    except RuntimeError:
        raise AssetError("video needs ffmpeg: install it and set IMAGEIO_FFMPEG_EXE to its path") from None
    return library


class Video:
    """A sink that writes an mp4 file through a running ffmpeg, in fragments that play once written.

    yuv420p, which every player shows, has colours for 2x2 px: an odd side is made even by repeating its edge.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], fps: float, texts: Mapping[str, str] | None
    ) -> None:
        self._path = path
        self._size = size[0] + size[0] % 2, size[1] + size[1] % 2
        self._frames = 0
        self._ended: str | None = None
        self._draft = Draft(path)
        with refusals(path):
            self._draft.make_room()
            self._folder = tempfile.TemporaryDirectory(prefix="smd-")
            self._complaints = Path(self._folder.name) / "complaints.txt"
            comment = Path(self._folder.name) / "comment.txt"
            comment.write_text(_metadata(packed(texts)), encoding="utf-8")
            with self._complaints.open("wb") as complaints:
                # A session of its own: Ctrl-C is for this program, which then closes the film.
                self._process = subprocess.Popen(  # noqa: S603 - the library's own program
                    self._command(fps, comment),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=complaints,
                    start_new_session=True,
                )
        self._pipe = cast(IO[bytes], self._process.stdin)

    def add(self, image: Image.Image) -> None:
        """Write a frame."""
        self._last = repeat_edges(image, (0, 0), self._size).tobytes()
        self.repeat()

    def repeat(self) -> None:
        """Write the last frame again."""
        try:
            self._pipe.write(self._last)
            self._pipe.flush()
        except OSError:
            raise self._failure(self._end()) from None
        self._frames += 1

    def close(self) -> None:
        """Let ffmpeg finish and put the file in its place; without a frame there is none."""
        told = self._ended is not None
        said = self._end()
        written = self._draft.temporary
        if self._frames and written.exists() and written.stat().st_size:
            with refusals(self._path):
                self._draft.keep()
        self._draft.drop()
        if self._frames and self._process.returncode and not told:
            raise self._failure(said)

    def discard(self) -> None:
        """Remove what was written."""
        self._process.kill()
        self._end()
        self._draft.drop()

    def _command(self, fps: float, comment: Path) -> list[str]:
        rate = str(Fraction(fps).limit_denominator(1001))  # of 23.976 and its like
        pixels = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "{}x{}".format(*self._size), "-r", rate]
        inputs = [*pixels, "-i", "pipe:", "-f", "ffmetadata", "-i", str(comment)]
        maps = ["-map", "0:v", "-map_metadata", "1"]
        picture = ["-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p", *_COLORS]
        codec = ["-c:v", "libx264", "-crf", "17", "-g", str(max(1, round(_KEY_SECONDS * fps)))]
        fragments = ["-movflags", "+frag_keyframe+empty_moov+default_base_moof"]
        program = [ffmpeg().get_ffmpeg_exe(), "-loglevel", "error", "-y"]
        return [*program, *inputs, *maps, *picture, *codec, *fragments, str(self._draft.temporary)]

    def _end(self) -> str:
        """Close the pipe and wait; what ffmpeg said last."""
        if self._ended is None:
            with suppress(OSError):  # what it still held for a program that is gone
                self._pipe.close()
            self._process.wait()
            self._ended = complaint(self._complaints.read_text(encoding="utf-8", errors="replace"))
            self._folder.cleanup()
        return self._ended

    def _failure(self, said: str) -> SmdError:
        return SmdError(f"{self._path}: cannot be written: {said}")


def complaint(text: str) -> str:
    """What of ffmpeg's messages tells a user most: that the disk is full, or the last one."""
    lines = [line.strip() for line in text.split("\n") if line.strip()] or ["ffmpeg ended"]
    full = os.strerror(errno.ENOSPC)
    if any(full in line for line in lines):
        return full
    return re.sub(r"^(\[[^]]*\] )+", "", lines[-1])


def film(path: Path) -> Film:
    """Read the head of a video and its first frame.

    Raises AssetError: there is none, or it cannot be read.
    """
    # A format whose head, one line of text, tells size and exact rate; ffmpeg's own messages change.
    command = [*_reading(path), "-frames:v", "1", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"]
    done = subprocess.run(command, **_QUIET, stdout=subprocess.PIPE, check=False)  # noqa: S603
    head, _, frame = done.stdout.partition(b"\n")
    facts = {field[:1]: field[1:].decode("ascii") for field in head.split()[1:]}
    if done.returncode or not facts:
        raise AssetError(f"{path}: is no readable video (mp4, mov, mkv, webm or avi)")
    if not frame:
        raise AssetError(f"{path}: is a video without frames")
    return Film((int(facts[b"W"]), int(facts[b"H"])), float(Fraction(facts[b"F"].replace(":", "/"))))


def film_frames(path: Path, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Yield the frames, of `size`, of a video as RGB, evenly spaced in time.

    Raises AssetError: it cannot be read further.
    """
    command = [*_reading(path), "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    length = 3 * size[0] * size[1]
    with subprocess.Popen(  # noqa: S603 - the library's own program
        command, **_QUIET, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        pixels = cast(IO[bytes], process.stdout)
        try:
            while len(frame := pixels.read(length)) == length:
                yield Image.frombytes("RGB", size, frame)
            if process.wait():
                raise AssetError(f"{path}: is damaged")
        finally:
            process.kill()  # where nobody wants the rest


def count_frames(path: Path) -> int:
    """Count the frames that `film_frames` yields, which means decoding them all.

    Raises AssetError: it cannot be read.
    """
    command = [*_reading(path), "-progress", "-", "-f", "null", "-"]
    done = subprocess.run(command, **_QUIET, stdout=subprocess.PIPE, check=False)  # noqa: S603
    counts = re.findall(rb"^frame=(\d+)", done.stdout, re.MULTILINE)
    if done.returncode or not counts:
        raise AssetError(f"{path}: is damaged")
    return int(counts[-1])


def _reading(path: Path) -> list[str]:
    """The beginning of a command that reads a video's picture."""
    source = [*_KINDS, "-i", str(path.absolute())]
    return [ffmpeg().get_ffmpeg_exe(), "-loglevel", "quiet", *source, "-map", "0:v:0", *_EVENLY]


def _metadata(comment: str) -> str:
    """The comment in ffmpeg's own format of metadata files."""
    return ";FFMETADATA1\ncomment=" + re.sub(r"([=;#\\\n])", r"\\\1", comment) + "\n"
