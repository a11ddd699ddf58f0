"""Frames to write, and what was written as Pillow or PyAV read it; films by another program."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageStat

from smd_cli.media.sinks import open_sink
from smd_cli.media.sources import open_frame_source
from smd_cli.media.video import Sound
from smd_cli.scene.frame_times import EvenTimes, FrameTimes

SIZE = (96, 64)


def scenery(size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture of more colours than a palette holds."""
    grey = Image.linear_gradient("L")
    return Image.merge(
        "RGB", [grey.resize(size), grey.rotate(90).resize(size), grey.rotate(180).resize(size)]
    )


def moving(count: int, size: tuple[int, int] = SIZE) -> Iterator[Image.Image]:
    """A disc that crosses the scenery, another place each frame, in its upper half."""
    for number in range(count):
        image = scenery(size)
        left = number * 7 % (size[0] - 8)
        ImageDraw.Draw(image).ellipse((left, 2, left + 8, 20), fill=(250, 240, 30 + number % 64))
        yield image


def write(
    path: Path,
    frames: Sequence[Image.Image],
    *,
    repeats: int = 0,
    fps: float = 12,
    times: FrameTimes | None = None,
    loop: int = 0,
    sound: Sound | None = None,
) -> Path:
    """Write frames, the last of them again so many times."""
    sink = open_sink(
        path,
        size=frames[0].size,
        times=times or EvenTimes.of(fps),
        loop=loop,
        texts={"smd": "ü=;#\\\n", "parameters": "owl"},
        sound=sound,
    )
    for frame in frames:
        sink.add(frame)
    for _ in range(repeats):
        sink.repeat()
    sink.close()
    return path


def read(path: Path) -> list[Image.Image]:
    """All frames of a file: as Pillow plays it, or PyAV where it does not."""
    if path.suffix == ".mp4" or path.is_dir():
        return list(open_frame_source(path))
    with Image.open(path) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(image.convert("RGB"))
        return frames


def milliseconds(path: Path) -> list[float]:
    """How long Pillow shows each frame."""
    shown = []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            shown.append(float(image.info["duration"]))
    return shown


def error(one: Image.Image, other: Image.Image) -> float:
    """The root mean square difference, in levels a channel."""
    levels = ImageStat.Stat(ImageChops.difference(one, other)).rms
    return (sum(level**2 for level in levels) / 3) ** 0.5
