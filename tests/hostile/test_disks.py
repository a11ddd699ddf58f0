"""Disks that refuse: whatever is written, what lies there at the end is whole, and is the old or the new."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import av
import pytest
from PIL import Image

from smd_cli.errors import SmdError
from smd_cli.media.drafts import clear_leftovers
from smd_cli.media.files import write_bytes
from smd_cli.media.sinks import open_sink
from smd_cli.media.stills import encode_still
from smd_cli.scene.frame_times import EvenTimes
from tests.hostile.rules import TIMES, TRIED, judge, run
from tests.limits import largest_file
from tests.media.frames import read

FILMS = ("a.gif", "a.webp", "a.apng", "a.mp4", "frames")
STILLS = ("a.png", "a.jpg", "a.webp", "a.avif")
SIZE = (96, 64)
OLD, NEW = Image.new("RGB", SIZE, "navy"), Image.effect_noise(SIZE, 90).convert("RGB")
FRAMES = 30

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 0.5]}}
stream: {frames: 6, fps: 4}
"""


@contextmanager
def told() -> Iterator[None]:
    """Fail if anything but a refusal of the system ends the block."""
    try:
        yield
    except SmdError as error:
        (problem,) = error.problems
        if "cannot be written" not in problem:
            raise


def write_film(path: Path, frames: list[Image.Image]) -> int:
    """Write frames as a stream does, to the first that is refused; how many were taken."""
    sink, taken = open_sink(path, size=SIZE, times=EvenTimes.of(6), loop=0, texts={"smd": "ü" * 200}), 0
    with told():
        for frame in frames:
            sink.add(frame)
            taken += 1
    with told():
        sink.close()
    return taken


def frames_of(path: Path) -> list[Image.Image]:
    """All frames of a file; raises where it is not whole."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as film:
            packets = [packet for packet in film.demux(video=0) if packet.size]
        with av.open(str(path)) as film:
            frames = [frame.to_image() for frame in film.decode(video=0)]
        assert len(packets) == len(frames)
        return frames
    return read(path)


def all_frames(path: Path) -> list[Image.Image]:
    if path.is_dir():
        names = sorted(each.name for each in path.iterdir())
        assert names == [f"{number:06}.png" for number in range(len(names))]
        return [frames_of(path / name)[0] for name in names]
    return frames_of(path) if path.exists() else []


def noise(image: Image.Image) -> float:
    """How unlike a picture of one colour: the old one has none of it."""
    return sum(high - low for low, high in image.getextrema())


def check_film(path: Path, taken: int, *, had_old: bool) -> None:
    """The file is the old film, or as much of the new one as was taken."""
    found = all_frames(path)
    if not found:
        assert not had_old or path.name == "frames"
        return
    are_old = {noise(frame) < 60 for frame in found}
    assert len(are_old) == 1, "frames of both films"
    if are_old == {True}:
        assert had_old
        assert len(found) == 3
    elif path.suffix == ".mp4":
        assert len(found) <= taken  # its encoder has a few under way
    else:
        assert len(found) == taken


def new_frames() -> list[Image.Image]:
    return [NEW.rotate(number) for number in range(FRAMES)]


@pytest.mark.parametrize("name", FILMS)
def test_films_at_a_limit_of_size(name: str, folder: Path) -> None:
    random, path = Random(name if TIMES == 1 else None), folder / name
    for case in range(12 * TIMES):
        if had_old := case % 2 == 1:
            write_film(path, [OLD] * 3)
        most = 60_000 if name == "frames" else 600_000
        with largest_file(random.choice([random.randrange(4000), random.randrange(most)])):
            taken = write_film(path, new_frames())
        check_film(path, taken, had_old=had_old)
        assert not hidden(folder)
        TRIED["films at a limit of size"] += 1
        remove(path)


@pytest.mark.parametrize("name", STILLS)
def test_pictures_at_a_limit_of_size(name: str, folder: Path) -> None:
    random, path = Random(name if TIMES == 1 else None), folder / name
    new, old = (encode_still(image, path.suffix, {"smd": "x"}) for image in (NEW, OLD))
    for case in range(40 * TIMES):
        before = old if case % 2 else None
        path.unlink(missing_ok=True)
        if before:
            path.write_bytes(before)
        limit = random.randrange(2 * len(new))
        with largest_file(limit), told():
            write_bytes(path, new)
        assert (path.read_bytes() if path.exists() else None) == (new if limit >= len(new) else before)
        assert not hidden(folder)
        TRIED["pictures at a limit of size"] += 1


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if os.name == "nt" or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("name", FILMS)
def test_films_on_a_full_disk(name: str, small_disk: Path) -> None:
    random, path = Random(name if TIMES == 1 else None), small_disk / name
    for case in range(8 * TIMES):
        if had_old := case % 2 == 1:
            write_film(path, [OLD] * 3)
        (small_disk / "filling").write_bytes(bytes(random.randrange(4096, 340_000)))
        taken = write_film(path, new_frames())
        check_film(path, taken, had_old=had_old)
        assert hidden(small_disk) == []
        TRIED["films on a full disk"] += 1
        remove(path)


@pytest.mark.parametrize("target", ["day.png", "a.gif", "a.mp4", "frames/"])
def test_the_program_at_a_limit_of_size(target: str, folder: Path) -> None:
    random = Random(target if TIMES == 1 else None)
    Path("day.yaml").write_text(SCENE)
    task = "generate" if target == "day.png" else "stream"
    for _ in range(3 * TIMES):
        with largest_file(random.randrange(16_000)):
            ended = run(task, "day.yaml", "-o", target, "-q")
        judge("the program at a limit of size", ended, {0, 1})
        path = Path(target)
        assert (ended.stdout == f"{target}\n") == (ended.code == 0)
        assert ended.code or path.exists()
        if path.exists():
            assert all_frames(path)
        assert not hidden(folder)
        remove(path)


def hidden(folder: Path) -> list[str]:
    """Hidden files that are left below a folder."""
    return [path.name for path in folder.rglob(".smd*")]


def remove(path: Path) -> None:
    clear_leftovers.cache_clear()
    if path.is_dir():
        for each in path.iterdir():
            each.unlink()
        path.rmdir()
    path.unlink(missing_ok=True)
