"""Where frames come from: a picture, an animation, a video, or a folder of pictures, read one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import count
from math import lcm
from pathlib import Path
from typing import Any

from PIL import Image

from smd_cli.errors import AssetError
from smd_cli.media.frame_files import frame_files, is_pattern, numbered
from smd_cli.media.images import check_file, check_size, open_image, open_picture, report_read_errors
from smd_cli.media.pixels import on_white, shown_pixels
from smd_cli.media.png_layout import check_rows
from smd_cli.media.rasters import open_raster
from smd_cli.media.video import Sound, probe_film, read_film
from smd_cli.regular_files import is_directory
from smd_cli.scene.frame_times import RecordedTimes, seconds_of
from smd_cli.scene.resolve import Size

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
_OF_VIEWS = ("MPO",)  # formats whose further frames are other views of one picture
_DEFAULT_DURATION = 100  # ms that browsers show a frame of an animation that says 0
_MAX_DENOMINATOR = 0xFFFF  # of a frame's seconds in an animated PNG; other formats have rounder ones
_FINEST_CLOCK = 1_000_000  # ticks a second
# Of an animation, all of whose frames are looked at before the stream begins.
_ANIMATED_FRAMES = 20_000
_ANIMATED_PIXELS = 4_000_000_000
_LOOKED_AT = 1000  # files of frames, of which each takes a tenth of a millisecond


@dataclass(frozen=True)
class FrameSource:
    """Frames to read; iterating over it yields them as RGB, each time from the first one on.

    Iterating raises AssetError where a frame cannot be read, with its number, counted from 0.

    Attributes:
        size: width and height in px of the first frame; other frames can differ from it.
        frames: how many there are.
        times: when they are shown; None for pictures, which have no times.
        sound: what is heard meanwhile; None: nothing.
        notes: what was adapted, or is likely to look wrong, one line each.
    """

    size: tuple[int, int]
    frames: int
    times: RecordedTimes | None
    _read: Callable[[], Iterator[Image.Image]]
    sound: Sound | None = None
    notes: tuple[str, ...] = ()
    _files: tuple[Path, ...] = ()
    _canvas: Size | None = None

    def __iter__(self) -> Iterator[Image.Image]:
        frame = 0
        try:
            for image in self._read():
                yield image
                frame += 1
        except AssetError as error:
            raise error if self.still else _unreadable(frame, self.frames, error) from error

    def look(self, frames: int) -> None:
        """Look at how files begin that are each one of the first frames: at a thousand of them at most.

        Raises AssetError, as iterating: one is no picture, or too large.
        """
        for frame, path in enumerate(self._files[: min(frames, _LOOKED_AT)]):
            try:
                with open_image(path, self._canvas):
                    pass
            except AssetError as error:
                raise error if self.still else _unreadable(frame, self.frames, error) from error

    @property
    def still(self) -> bool:
        """Tell whether it is a single picture."""
        return self.times is None and self.frames == 1

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints about it."""
        return {
            "frames": self.frames,
            "seconds": self.times and round(seconds_of(self.times, self.frames), 4),
            "width": self.size[0],
            "height": self.size[1],
            "sound": self.sound and self.sound.codec,
        }


def open_frame_source(path: str | Path, canvas: Size | None = None) -> FrameSource:
    """Open a picture, an animation, a video, a folder of pictures, or the pictures of a glob pattern.

    `canvas` is the size of the canvas that frames are for, if that is known (see `check_size`).

    Raises AssetError: there is no frame, the first one cannot be read, or another one of an animation; a film
        is cut off.
    """
    place = Path(path)
    if is_directory(place) or is_pattern(place):
        return _picture_source(frame_files(place), canvas)
    if place.suffix.lower() in VIDEO_SUFFIXES:
        return _video_source(place, canvas)
    with open_image(place, canvas) as image:
        frames, size = _shown_frames(image), image.size
    if len(frames) == 1:
        return _picture_source([place], canvas)
    if len(frames) > _ANIMATED_FRAMES or len(frames) * size[0] * size[1] > _ANIMATED_PIXELS:
        has = f"has {len(frames):,} frames of {size[0]}x{size[1]} px"
        raise AssetError(f"{place}: {has}, too many for an animation; give a film, such as an .mp4")
    return _animation_source(place, frames, canvas)


def count_frames(target: Path) -> int:
    """Count the frames of an animation, a video, or a folder that holds a stream's numbered pictures.

    Raises AssetError: it cannot be read.
    """
    if is_directory(target):
        return next(number for number in count() if not (target / numbered(number)).exists())
    if target.suffix.lower() in VIDEO_SUFFIXES:
        check_file(target)
        return len(probe_film(target).times.starts)
    with open_image(target) as image:
        return len(_shown_frames(image))


def _unreadable(frame: int, frames: int, error: AssetError) -> AssetError:
    return AssetError(f"frame {frame} of {frames} cannot be read: {error}")


def _picture_source(paths: Sequence[Path], canvas: Size | None) -> FrameSource:
    def read() -> Iterator[Image.Image]:
        return (on_white(open_picture(path, canvas).image) for path in paths)

    first = open_picture(paths[0], canvas)
    size, files = first.image.size, tuple(paths)
    return FrameSource(size, len(files), None, read, notes=first.notes, _files=files, _canvas=canvas)


def _video_source(path: Path, canvas: Size | None) -> FrameSource:
    check_file(path)
    film = probe_film(path)
    check_size(path, film.size, canvas)
    frames, read = len(film.times.starts), partial(read_film, film)
    return FrameSource(film.size, frames, film.times, read, film.sound, film.notes)


def _shown_frames(image: Image.Image) -> range:
    """Return the numbers of the frames that an animation shows; of a picture, one."""
    if image.format in _OF_VIEWS:
        return range(1)
    # An animated PNG may begin with a picture for programs that show no animations.
    return range(int(getattr(image, "default_image", False)), getattr(image, "n_frames", 1))


def _animation_source(path: Path, frames: range, canvas: Size | None) -> FrameSource:
    """Look at every frame of an animation: some formats tell how long one lasts only when it is decoded."""
    seconds, sizes = [], []
    with report_read_errors(path), open_raster(path) as image:
        for number in frames:
            _seek(image, path, number, frames, canvas)
            ms = float(image.info.get("duration") or _DEFAULT_DURATION)
            seconds.append(Fraction(ms / 1000).limit_denominator(_MAX_DENOMINATOR))
            sizes.append(image.size)
        check_rows(path)
        notes = shown_pixels(image, path).notes
    clock = min(lcm(*(each.denominator for each in seconds)), _FINEST_CLOCK)
    times = RecordedTimes.of(seconds, clock)
    read = partial(_read_animation, path, frames)
    return FrameSource(sizes[0], len(frames), times, read, notes=notes)


def _seek(image: Image.Image, path: Path, number: int, frames: range, canvas: Size | None) -> None:
    """Load one of an animation's frames. Raises AssetError: it cannot be read, or is too large."""
    try:
        with report_read_errors(path):
            image.seek(number)
            check_size(path, image.size, canvas)
            image.load()
    except AssetError as error:
        raise _unreadable(number - frames.start, len(frames), error) from error


def _read_animation(path: Path, frames: range) -> Iterator[Image.Image]:
    with report_read_errors(path), open_raster(path) as image:
        for number in frames:
            image.seek(number)
            shown = on_white(shown_pixels(image, path).image)
            yield shown.copy() if shown is image else shown
