"""Batches that are killed, fill a disk, or whose files change: run again, they are as if undisturbed."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from tests.hostile.rules import TIMES, TRIED, judge, run
from tests.hostile.test_disks import hidden

SCENE = """\
smd: 1
canvas: {{width: 64, height: 64}}
sampler: {{indices: [0, 25]}}
background: {{prompt: {}}}
regions:
  - {{name: sun, prompt: the sun, mask: sun.png}}
"""
NAMES = ("day", "night")
JOBS = ("day.yaml", "night.yaml", "--seed", "1-6", "--set", "bootstrap.steps=1")
COUNT = 12
WHOLE: dict[str, bytes] = {}


@pytest.fixture
def scenes(folder: Path) -> Path:
    """Two scenes of one mask."""
    for name in NAMES:
        Path(f"{name}.yaml").write_text(SCENE.format(name))
    draw_mask(20)
    return folder


def draw_mask(side: int) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, side, side))
    mask.save("new.png")
    Path("new.png").replace("sun.png")


def pictures(target: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(target).iterdir()}


def begun(target: str) -> subprocess.Popen[str]:
    """A batch in a process of its own that has written nothing so far."""
    command = [sys.executable, "-m", "smd_cli", "render", *JOBS, "--output-dir", target, "--skip-existing"]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=environment)


@pytest.fixture
def undisturbed(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The pictures of a run of its own, made once: each test has the same scenes."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as many as the killed runs have
    if not WHOLE:
        with begun("whole") as process:
            output, errors = process.communicate()
        assert process.returncode == 0, errors
        assert len(output.splitlines()) == COUNT
        WHOLE.update(pictures("whole"))
    return WHOLE


def test_killed_at_any_moment_and_run_again(undisturbed: dict[str, bytes]) -> None:
    """Each kill comes after one more picture at least, so that the batch ends."""
    random, kills = Random(None if TIMES > 1 else 23), 0
    Path("made").mkdir()
    while kills < 10 * TIMES:
        if len(list(Path("made").glob("*.png"))) >= COUNT - 1:
            shutil.rmtree("made")
        killed = begun("made")
        assert killed.stdout is not None
        printed = killed.stdout.readline()
        time.sleep(random.random() * 0.25)
        killed.send_signal(signal.SIGKILL)
        printed += killed.communicate()[0]
        kills += killed.returncode == -signal.SIGKILL
        there = {name: data for name, data in pictures("made").items() if not name.startswith(".")}
        assert all(undisturbed[name] == data for name, data in there.items()), "half-written"
        assert {Path(line).name for line in printed.splitlines()} <= there.keys()
        TRIED["batches killed"] += 1
        TRIED["of these, while a file was written"] += bool(hidden(Path("made")))
    with begun("made") as last:
        errors = last.communicate()[1]
    assert last.returncode == 0, errors
    assert pictures("made") == undisturbed
    assert hidden(Path()) == []


def test_a_batch_on_a_full_disk(scenes: Path) -> None:
    disk = scenes / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        (disk / "filling").write_bytes(bytes(70_000))
        ended = run("render", *JOBS, "--output-dir", "disk", "--skip-existing")
        judge("batches on a full disk", ended, {1})
        assert "No space left on device" in ended.stderr
        made = set(ended.stdout.splitlines())
        assert 0 < len(made) < COUNT
        assert {f"disk/{path.name}" for path in disk.glob("*.png")} == made
        assert not hidden(disk)
        (disk / "filling").unlink()
        again = run("render", *JOBS, "--output-dir", "disk", "--skip-existing")
        judge("batches on a full disk", again, {0, 1})
        assert made.isdisjoint(again.stdout.splitlines()), "rendered twice"
        assert not hidden(disk)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("what", ["sun.png", "day.yaml"])
def test_files_that_change_while_a_batch_runs(undisturbed: dict[str, bytes], what: str) -> None:
    """No picture passes for one of the new files, and the next run tells so."""
    with begun("made") as process:
        assert process.stdout is not None
        process.stdout.readline()
        if what == "sun.png":
            draw_mask(44)
        else:
            Path(what).write_text(SCENE.format("sea"))
        errors = process.communicate()[1]
    made = pictures("made")
    assert all(undisturbed[name] == data for name, data in made.items()), "made of both"
    assert not hidden(Path("made"))
    if what == "day.yaml":
        assert (process.returncode, len(made)) == (0, COUNT), errors
    else:
        assert process.returncode in (4, 6), errors
        assert "has changed since the batch began" in errors
    again = run("render", *JOBS, "--output-dir", "made", "--skip-existing")
    judge("files that change", again, {2})
    assert "is another picture" in again.stderr
    TRIED["files that change while a batch runs"] += 1
