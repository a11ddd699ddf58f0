"""Batches in several processes, some of which are killed: nothing is lost, made twice, or left behind."""

import fcntl
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from smd_cli.app.batch.planning import Request, plan_batch
from smd_cli.app.batch.run import LocalEngine
from smd_cli.app.batch.workers import WorkerEngine
from smd_cli.app.settings import RenderSettings
from smd_cli.engine.events import Event, OfWorker, Started
from tests.hostile.rules import TIMES, TRIED

PICTURE = """
smd: 1
canvas: {width: 96, height: 96}
sampler: {indices: [0, 25], tile: 64}
bootstrap: {steps: 0}
background: {prompt: a meadow}
regions: [{name: sun, prompt: a red sun, mask: {ellipse: [0.5, 0.3, 0.3, 0.3]}}]
"""
STREAM = PICTURE.replace("canvas", "task: stream\nstream: {frames: 6}\ncanvas")
OTHER_MODEL = PICTURE.replace("{indices: [0, 25], tile: 64}", "{kind: ddim, steps: 2, tile: 64}")
LONGEST = 60  # seconds from a signal to the end of the last process, on a machine that is busy


@pytest.fixture(autouse=True)
def scenes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in the tests' own process
    for name, text in (("picture", PICTURE), ("stream", STREAM), ("other", OTHER_MODEL)):
        (folder / f"{name}.yaml").write_text(text)


def request(folder: str, *scenes: str, seeds: int, name: str | None = None) -> Request:
    settings = RenderSettings(device="cpu")
    return Request(scenes, tuple(range(1, seeds + 1)), output_dir=Path(folder), name=name, settings=settings)


def files(folder: str) -> dict[str, bytes]:
    """All files in a folder, hidden ones too."""
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@dataclass
class Killer:
    """A listener that kills the worker of which it hears, now and then, a few times."""

    chance: random.Random
    most: int = 4
    events: list[Event] = field(default_factory=list)
    kills: int = 0

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, OfWorker) and self.kills < self.most and self.chance.random() < 0.03:
            for child in multiprocessing.active_children():
                if child.name == f"worker {event.worker}" and child.pid:
                    os.kill(child.pid, signal.SIGKILL)
                    self.kills += 1


def test_workers_killed_at_any_moment() -> None:
    kinds = {"files": (("picture.yaml", "stream.yaml"), None), "frames": (("stream.yaml",), "{seed}/")}
    for kind, (scenes, name) in kinds.items():
        alone = request(f"{kind}-alone", *scenes, seeds=2, name=name)
        list(LocalEngine(alone).run(plan_batch(alone).jobs))
        for number in range(TIMES):
            there = request(f"{kind}-{number}", *scenes, seeds=2, name=name)
            jobs = plan_batch(there).jobs
            killer = Killer(random.Random(kind if TIMES == 1 else None))
            outcomes = list(WorkerEngine(there, ("cpu", "cpu"), killer).run(jobs))
            assert Counter(each.job for each in outcomes) == Counter(job.number for job in jobs)
            failed = [each for each in outcomes if each.status == "failed"]
            assert all(each.attempts == 2 for each in failed), failed
            if failed:
                list(LocalEngine(there).run(plan_batch(there).jobs))
            assert files(f"{kind}-{number}") == files(f"{kind}-alone")
            TRIED["batches whose workers were killed"] += 1
            TRIED["of these, workers"] += killer.kills


def test_each_model_is_loaded_once() -> None:
    asked, events = request("out", "picture.yaml", "other.yaml", seeds=2), []
    outcomes = list(WorkerEngine(asked, ("cpu", "cpu"), events.append).run(plan_batch(asked).jobs))
    loads = [
        event for event in events if isinstance(event, OfWorker) and event.event == Started("load", None)
    ]
    assert len(loads) == 2
    assert sorted(each.job for each in outcomes if each.timing["load_s"]) == [1, 3]


def program(*arguments: str, **options) -> subprocess.Popen[str]:
    """`smd render` in two processes more, as the leader of a group."""
    command = [sys.executable, "-m", "smd_cli", "render", *arguments, "--workers", "2"]
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(
        command, stdout=-1, stderr=-1, text=True, start_new_session=True, env=environment, **options
    )


def wait_for_workers(running: subprocess.Popen[str], pattern: str, count: int) -> list[psutil.Process]:
    """Wait until so many files are there; return the processes that the program has started."""
    while len(list(Path("out").glob(pattern))) < count:
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    return psutil.Process(running.pid).children(recursive=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_program_ends_in_the_middle_of_jobs(number: int, folder: Path) -> None:
    chance = random.Random(number if TIMES == 1 else None)
    (folder / "endless.yaml").write_text(STREAM.replace("frames: 6", "frames: 100000"))
    for _ in range(TIMES):
        running = program("endless.yaml", "--seed", "1-3", "--output-dir", "out")
        workers = wait_for_workers(running, ".*.part*", 2)
        assert len(workers) == 3  # one is multiprocessing's own
        time.sleep(chance.random())
        if number == signal.SIGKILL:
            running.kill()
        else:
            os.killpg(running.pid, number)  # as a terminal does
        said = running.communicate(timeout=LONGEST)[1]
        assert psutil.wait_procs(workers, timeout=LONGEST)[1] == []
        assert not any(name.startswith(".") for name in files("out"))
        if number == signal.SIGINT:
            assert running.returncode == 130
            assert said.splitlines()[-1:] == ["interrupted"]
        TRIED["programs with workers ended"] += 1


def test_a_reader_who_does_not_read() -> None:
    running = program(
        "picture.yaml", "--seed", "1-40", "--output-dir", "out", "--name", f"{'x' * 200}_{{seed}}"
    )
    assert running.stdout is not None
    fcntl.fcntl(running.stdout, fcntl.F_SETPIPE_SZ, 4096)
    workers = wait_for_workers(running, "*.png", 18)  # of which no more can be printed
    time.sleep(2)
    made = len(list(Path("out").glob("*.png")))
    assert made < 40
    printed = running.stdout.read().splitlines()
    running.communicate()
    assert running.returncode == 0
    assert sorted(printed) == sorted(f"out/{name}" for name in files("out"))
    assert len(printed) == 40
    assert psutil.wait_procs(workers, timeout=LONGEST)[1] == []
