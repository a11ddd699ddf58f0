"""Where frames come from: a picture, an animation, a video, or pictures in a folder, read one at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from glob import glob, has_magic
from pathlib import Path

from PIL import Image

from smd_cli.errors import AssetError
from smd_cli.media.images import check_file, on_white, open_picture, opened, picture_size, readable, to_8_bit
from smd_cli.media.video import count_frames, film, film_frames

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
_NO_DELAY = 100  # ms that browsers show a frame of no length


@dataclass(frozen=True)
class Footage:
    """What comes in; iterating it yields RGB frames, each time from the first one on.

    Attributes:
        size: width and height in px of the first frame; those of pictures in a folder can differ.
        fps: frames a second; None where nothing tells, of pictures.
        still: it is one picture.
    """

    size: tuple[int, int]
    fps: float | None
    still: bool
    _frames: Callable[[], Iterator[Image.Image]]
    _count: Callable[[], int]

    def __iter__(self) -> Iterator[Image.Image]:
        return self._frames()

    @property
    def frames(self) -> int:
        """How many frames there are. A video is read through for it. Raises AssetError: it cannot be."""
        return self._count()


def open_footage(path: str | Path) -> Footage:
    """Look at a picture, an animation, a video, a folder of pictures, or the pictures of a glob pattern.

    Raises AssetError: there is no frame, or the first one cannot be read.
    """
    place = Path(path)
    if place.is_dir():
        return _pictures(_pictures_in(place))
    if has_magic(str(path)) and not place.exists():
        return _pictures(_matching(str(path)))
    if place.suffix.lower() in VIDEO_SUFFIXES:
        return _video(place)
    with opened(place) as image:
        frames = getattr(image, "n_frames", 1)
    return _animation(place, frames) if frames > 1 else _pictures([place])


def _pictures(paths: Sequence[Path]) -> Footage:
    def read() -> Iterator[Image.Image]:
        return (on_white(open_picture(path).image) for path in paths)

    return Footage(picture_size(paths[0]), None, len(paths) == 1, read, lambda: len(paths))


def _pictures_in(folder: Path) -> Sequence[Path]:
    """The pictures of a folder, by name; what else lies in it does not matter."""
    Image.init()
    found = [
        path
        for path in folder.iterdir()
        if Image.EXTENSION.get(path.suffix.lower()) in Image.OPEN and not path.name.startswith(".")
    ]
    if not found:
        raise AssetError(f"{folder}: holds no pictures")
    return sorted(found, key=_natural)


def _matching(pattern: str) -> Sequence[Path]:
    found = [Path(name) for name in glob(pattern, recursive=True)]  # noqa: PTH207 - takes absolute ones too
    if not found:
        raise AssetError(f"{pattern}: no file matches")
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order names as people count: frame 9 before frame 10, parts that are no number by themselves."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(int(part), part) if part.isdecimal() else (0, part) for part in parts]


def _video(path: Path) -> Footage:
    check_file(path)
    head = film(path)
    read = partial(film_frames, path, head.size)
    return Footage(head.size, head.fps, False, read, partial(count_frames, path))


def _animation(path: Path, frames: int) -> Footage:
    """An animation, as fast as its frames are on average."""
    ms = 0.0
    with opened(path) as image:
        for number in range(frames):
            image.seek(number)
            image.load()  # which some formats need before they tell
            ms += float(image.info.get("duration") or _NO_DELAY)
        size = image.size
    clock = 10 if image.format == "GIF" else 1
    return Footage(size, _rate(frames, ms, clock), False, partial(_played, path, frames), lambda: frames)


def _rate(frames: int, ms: float, clock: float) -> float:
    """Frames a second; a whole number where the clock's rounding, to `clock` ms, leaves one possible."""
    slowest, fastest = 1000 * frames / (ms + clock / 2), 1000 * frames / max(ms - clock / 2, clock / 2)
    whole = round(1000 * frames / ms)
    return float(whole) if slowest <= whole <= fastest and whole else 1000 * frames / ms


def _played(path: Path, frames: int) -> Iterator[Image.Image]:
    with readable(path), Image.open(path) as image:
        for number in range(frames):
            image.seek(number)
            yield on_white(to_8_bit(image, path))
