"""Ctrl-C and its kin, at any moment of a run: the exit code tells, and what was begun is whole or gone."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.media.sources import count_frames
from tests.hostile.rules import TIMES, TRIED

SCENE = """
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
bootstrap: {steps: 1}
background: {prompt: a meadow}
regions:
  - {name: sun, prompt: a red sun, mask: {ellipse: [0.5, 0.3, 0.3, 0.3]}}
"""
LONG = ["--frames", "100000"]
FILMS = ("a.gif", "a.mp4", "frames/")
COMMANDS: dict[str, tuple[list[str], float]] = {
    "check": (["check", "s.yaml"], 0.5),
    "plan": (["plan", "s.yaml", "--json"], 3),
    "generate": (["generate", "s.yaml", *(f"--seed={seed}" for seed in range(1000))], 4),
    **{film: (["stream", "s.yaml", *LONG, "-o", film], 4) for film in FILMS},
}
"""Each command, and the seconds of it in which signals come."""

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
ONCE, TWICE = (signal.SIGINT,), (signal.SIGINT, signal.SIGINT)
SALVOS = [
    *[ONCE, TWICE] * 2,
    (signal.SIGINT,) * 10,
    (signal.SIGTERM,),
    (signal.SIGTERM, signal.SIGINT),
    (signal.SIGHUP,),
]
LONGEST = 25  # seconds from a signal to the end, on a machine that is busy
PICTURES = (".png", ".gif", ".mp4")

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at processes in /proc")


@dataclass(frozen=True)
class Salvo:
    """Signals, and when they come: seconds after the program handles them or, `late`, after it writes."""

    signals: tuple[signal.Signals, ...]
    after: float
    gaps: tuple[float, ...]
    late: bool


def salvos(command: str, count: int) -> Iterator[Salvo]:
    chance = random.Random(command if TIMES == 1 else None)
    _, seconds = COMMANDS[command]
    first = list(COMMANDS).index(command)  # so that a few runs of each command try all of the salvos
    for number in range(count * TIMES):
        signals = SALVOS[(first + number) % len(SALVOS)]
        late = seconds >= 4 and number % 2 == 0
        after = chance.uniform(0, 1 if late else seconds)
        yield Salvo(signals, after, tuple(chance.uniform(0, 0.1) for _ in signals), late)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_ends_a_run_at_once_and_leaves_what_is_whole(command, tmp_path):
    arguments, seconds = COMMANDS[command]
    for number, salvo in enumerate(salvos(command, 16 if seconds < 1 else 2)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "s.yaml").write_text(SCENE)
        TRIED[f"signals: {command}"] += 1
        shoot(arguments, folder, salvo)
        check_files(folder)


def shoot(arguments: list[str], folder: Path, salvo: Salvo) -> None:
    """Run a command, send it signals, and see how it ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "smd_cli", *arguments],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        wait_until(running, lambda: handles_signals(running.pid))
        if salvo.late:
            wait_until(running, lambda: writes(folder))
        time.sleep(salvo.after)
        is_over = running.poll() is not None
        for number, gap in zip(salvo.signals, salvo.gaps, strict=True):
            with suppress(ProcessLookupError):
                os.kill(running.pid, number)
            time.sleep(gap)
        try:
            _, stderr = running.communicate(timeout=LONGEST)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
                pytest.fail(f"{salvo}: it, or a process that it started, is still there")
    told = stderr.splitlines()
    if running.returncode == 0 and ("s.yaml" in arguments[1] and arguments[0] in ("check", "plan")):
        return  # it was done before
    assert not is_over, (salvo, stderr)
    # Of two that came during one call into C, Python handles that of the lower number first.
    codes = {128 + number: WORDS[number] for number in salvo.signals}
    assert running.returncode in codes, (salvo, running.returncode, stderr)
    assert told[-1:] == [codes[running.returncode]], (salvo, stderr)
    assert all(line.startswith("note: ") for line in told[:-1]), (salvo, stderr)


def wait_until(running: subprocess.Popen, come: Callable[[], bool]) -> None:
    while running.poll() is None and not come():
        time.sleep(0.002)


def handles_signals(process: int) -> bool:
    """Tell whether a process has a handler of SIGTERM, which Python itself does not set."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def writes(folder: Path) -> bool:
    with suppress(OSError):
        return any(path.suffix in PICTURES and path.stat().st_size for path in folder.rglob("*"))
    return False


def check_files(folder: Path) -> None:
    """Fail where a file is left that a user cannot use."""
    for path in folder.rglob("*"):
        assert not path.name.startswith("."), path
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        elif path.suffix in PICTURES:
            assert count_frames(path) > 0
