"""Runs that are killed, and runs beside each other: files are whole, and the next run clears up."""

import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from smd_cli.media.drafts import clear_leftovers
from smd_cli.media.sinks import check_sink
from tests.hostile.rules import TIMES, TRIED
from tests.hostile.test_disks import NEW, OLD, all_frames, hidden, noise, write_film

WRITER = """
import sys
from functools import partial
from itertools import count
from pathlib import Path
from PIL import Image
from smd_cli.errors import UsageError
from smd_cli.media.files import Existing, check_target, write_bytes
from smd_cli.media.png import encode_png
from tests.hostile.test_disks import new_frames, write_film
films, rounds = sys.argv[1].split(","), int(sys.argv[2])
frames = new_frames()[:8]
print("begun", flush=True)
for number in range(rounds):
    for name in films:
        try:
            write_film(Path(name), frames)
            print(name, flush=True)
        except UsageError as error:
            print(error, file=sys.stderr)
    path = Path(f"{number}.png")
    try:
        write_bytes(path, encode_png(frames[0], {}), partial(check_target, path, Existing.FAIL))
        print(path, flush=True)
    except UsageError:
        pass
"""


def writer(*films: str, rounds: int = 10_000) -> subprocess.Popen[str]:
    """A run that has begun to write films and pictures, again and again."""
    command = [sys.executable, "-c", WRITER, ",".join(films), str(rounds)]
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env={"PYTHONPATH": root})
    assert process.stdout is not None
    process.stdout.readline()
    return process


def check_folder(printed: str) -> None:
    """All that can be seen is whole, and what was printed is there."""
    for name in printed.splitlines():
        assert Path(name).exists(), name
    for path in Path().iterdir():
        if path.is_dir():
            for each in path.glob("0*.png"):
                Image.open(each).load()
        elif not path.name.startswith("."):
            assert all_frames(path)


@pytest.mark.parametrize("film", ["a.gif", "a.webp", "a.apng", "a.mp4", "frames"])
def test_killed_at_any_moment(film: str, folder: Path) -> None:
    random = Random(film if TIMES == 1 else None)
    for _ in range(3 * TIMES):
        write_film(folder / film, [OLD] * 3)
        killed = writer(film)
        time.sleep(random.random() * 0.2)
        killed.kill()
        check_folder(killed.communicate()[0])
        frames = {noise(frame) < 60 for frame in all_frames_seen(folder / film)}
        assert len(frames) == 1, "frames of both films"
        TRIED["of these, while a file was written"] += any(".part" in name for name in hidden(folder))
        clear_leftovers.cache_clear()
        assert check_sink(folder / film)
        write_film(folder / film, [OLD] * 3)
        write_film(folder / "b.gif", [NEW])
        assert hidden(folder) == []
        TRIED["killed at any moment"] += 1


def all_frames_seen(path: Path) -> list[Image.Image]:
    """The frames of a film, or of a folder that a run may have left locked."""
    return [Image.open(each) for each in path.glob("0*.png")] if path.is_dir() else all_frames(path)


def test_runs_beside_each_other(folder: Path) -> None:
    for _ in range(2 * TIMES):
        killed, alive, other = (writer("a.gif", "frames", rounds=rounds) for rounds in (10_000, 12, 12))
        time.sleep(0.1)
        killed.kill()
        printed = [each.communicate() for each in (alive, other, killed)]
        assert (alive.returncode, other.returncode) == (0, 0), printed
        check_folder("".join(out for out, _ in printed))
        refusals = [line for _, err in printed for line in err.splitlines()]
        assert all("another run (process " in line for line in refusals), refusals
        clear_leftovers.cache_clear()
        write_film(folder / "frames", [OLD])
        write_film(folder / "a.gif", [OLD])
        assert len(all_frames(folder / "frames")) == 1
        assert hidden(folder) == []
        TRIED["runs beside each other"] += 3
        for path in folder.glob("*.png"):
            path.unlink()
