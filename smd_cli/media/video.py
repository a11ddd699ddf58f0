"""Video files through ffmpeg, which the extra `video` installs: writes mp4, reads other formats too."""

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
from smd_cli.media.files import Draft, report_write_errors
from smd_cli.media.texts import pack_texts

# Other formats, such as playlists, can make ffmpeg read any file or address.
_ALLOWED = ("-format_whitelist", "mov,mp4,matroska,webm,avi", "-protocol_whitelist", "file,pipe")
_QUIET: Mapping[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
_CONSTANT_RATE = ("-fps_mode", "cfr")  # also of videos with a variable rate
_KEY_SECONDS = 2  # between key frames; a file whose end is missing plays up to the last one
_COLORS = ("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709")


@dataclass(frozen=True)
class VideoInfo:
    """What the header of a video says: width and height in px, frames a second."""

    size: tuple[int, int]
    fps: float


def ffmpeg() -> ModuleType:
    """Return the library that installs ffmpeg. Raises AssetError: the library or ffmpeg is missing."""
    try:
        library = import_module("imageio_ffmpeg")
        library.get_ffmpeg_exe()
    except ImportError:
        raise AssetError("video needs ffmpeg: pip install 'smd-cli[video]'") from None
    except RuntimeError:
        raise AssetError("video needs ffmpeg: install it and set IMAGEIO_FFMPEG_EXE to its path") from None
    return library


class VideoWriter:
    """A sink that writes an mp4 file through a running ffmpeg, in fragments that play once they are written.

    yuv420p, which every player shows, stores colours for 2x2 px: an odd side is extended by one edge pixel.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], fps: float, texts: Mapping[str, str] | None
    ) -> None:
        self._path = path
        self._size = size[0] + size[0] % 2, size[1] + size[1] % 2
        self._frames = 0
        self._error: str | None = None  # what ffmpeg said, once it has ended
        self._draft = Draft(path)
        with report_write_errors(path):
            self._draft.make_folders()
            self._folder = tempfile.TemporaryDirectory(prefix="smd-")
            self._errors = Path(self._folder.name) / "errors.txt"
            comment = Path(self._folder.name) / "comment.txt"
            comment.write_text(_metadata(pack_texts(texts)), encoding="utf-8")
            with self._errors.open("wb") as errors:
                # In a session of its own, so that Ctrl-C only reaches this program, which closes the video.
                self._process = subprocess.Popen(  # noqa: S603 - the library's own program
                    self._command(fps, comment),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
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
        """Let ffmpeg finish and move the file to its path; without a frame, leave none.

        Raises SmdError: ffmpeg failed, and no earlier call has raised that.
        """
        reported = self._error is not None
        error = self._end()
        written = self._draft.temporary
        if self._frames and written.exists() and written.stat().st_size:
            with report_write_errors(self._path):
                self._draft.commit()
        self._draft.discard()
        if self._frames and self._process.returncode and not reported:
            raise self._failure(error)

    def discard(self) -> None:
        """Remove what was written."""
        self._process.kill()
        self._end()
        self._draft.discard()

    def _command(self, fps: float, comment: Path) -> list[str]:
        rate = str(Fraction(fps).limit_denominator(1001))  # exact for 23.976 and other NTSC rates
        pixels = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "{}x{}".format(*self._size), "-r", rate]
        inputs = [*pixels, "-i", "pipe:", "-f", "ffmetadata", "-i", str(comment)]
        maps = ["-map", "0:v", "-map_metadata", "1"]
        picture = ["-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p", *_COLORS]
        codec = ["-c:v", "libx264", "-crf", "17", "-g", str(max(1, round(_KEY_SECONDS * fps)))]
        fragments = ["-movflags", "+frag_keyframe+empty_moov+default_base_moof"]
        program = [ffmpeg().get_ffmpeg_exe(), "-loglevel", "error", "-y"]
        return [*program, *inputs, *maps, *picture, *codec, *fragments, str(self._draft.temporary)]

    def _end(self) -> str:
        """Close the pipe, wait for ffmpeg, and return its main error message."""
        if self._error is None:
            with suppress(OSError):  # raised when buffered bytes meet a closed ffmpeg
                self._pipe.close()
            self._process.wait()
            self._error = main_message(self._errors.read_text(encoding="utf-8", errors="replace"))
            self._folder.cleanup()
        return self._error

    def _failure(self, error: str) -> SmdError:
        return SmdError(f"{self._path}: cannot be written: {error}")


def main_message(text: str) -> str:
    """Return the one of ffmpeg's messages that helps a user most: that the disk is full, or the last one."""
    lines = [line.strip() for line in text.split("\n") if line.strip()] or ["ffmpeg ended"]
    full = os.strerror(errno.ENOSPC)
    if any(full in line for line in lines):
        return full
    return re.sub(r"^(\[[^]]*\] )+", "", lines[-1])


def probe_video(path: Path) -> VideoInfo:
    """Read the size and frame rate of a video.

    Raises AssetError: it cannot be read, or has no frame.
    """
    # The header of this format is one line of text with the size and the exact rate; ffmpeg's messages vary.
    command = [*_read_command(path), "-frames:v", "1", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"]
    done = subprocess.run(command, **_QUIET, stdout=subprocess.PIPE, check=False)  # noqa: S603
    header, _, frame = done.stdout.partition(b"\n")
    facts = {field[:1]: field[1:].decode("ascii") for field in header.split()[1:]}
    if done.returncode or not facts:
        raise AssetError(f"{path}: is no readable video (mp4, mov, mkv, webm or avi)")
    if not frame:
        raise AssetError(f"{path}: is a video without frames")
    return VideoInfo((int(facts[b"W"]), int(facts[b"H"])), float(Fraction(facts[b"F"].replace(":", "/"))))


def read_video_frames(path: Path, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Yield the frames of a video as RGB at a constant rate; `size` is their width and height in px.

    Raises AssetError: the rest cannot be read.
    """
    command = [*_read_command(path), "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
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
            process.kill()  # it still runs where the caller does not read all frames


def count_video_frames(path: Path) -> int:
    """Count the frames that `read_video_frames` yields, by decoding all of them.

    Raises AssetError: it cannot be read.
    """
    command = [*_read_command(path), "-progress", "-", "-f", "null", "-"]
    done = subprocess.run(command, **_QUIET, stdout=subprocess.PIPE, check=False)  # noqa: S603
    counts = re.findall(rb"^frame=(\d+)", done.stdout, re.MULTILINE)
    if done.returncode or not counts:
        raise AssetError(f"{path}: is damaged")
    return int(counts[-1])


def _read_command(path: Path) -> list[str]:
    """Return the beginning of a command that reads the picture of a video."""
    source = [*_ALLOWED, "-i", str(path.absolute())]
    return [ffmpeg().get_ffmpeg_exe(), "-loglevel", "quiet", *source, "-map", "0:v:0", *_CONSTANT_RATE]


def _metadata(comment: str) -> str:
    """Return the comment in ffmpeg's format of metadata files."""
    return ";FFMETADATA1\ncomment=" + re.sub(r"([=;#\\\n])", r"\\\1", comment) + "\n"
