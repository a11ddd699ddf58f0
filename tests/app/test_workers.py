"""Jobs in several processes: each ends once, with the bytes of one process, whatever befalls a worker."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from smd_cli.app.batch.jobs import Job, Outcome
from smd_cli.app.batch.queue import JobQueue
from smd_cli.app.batch.request import Request
from smd_cli.app.batch.run import LocalEngine
from smd_cli.app.batch.workers import WorkerEngine
from smd_cli.app.scenes import OpenedScene, load_scene
from smd_cli.app.settings import RenderSettings
from smd_cli.engine.events import Event, JobEnded, JobStarted, OfWorker, Printed, Started, Warned
from smd_cli.errors import AssetError, DeviceError, SmdError
from smd_cli.media.files import Existing
from smd_cli.messages import Place
from tests.cli.program import smd

SCENE = """
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
bootstrap: {steps: 0}
background: {prompt: a meadow}
regions: [{name: sun, prompt: a red sun, mask: {ellipse: [0.5, 0.3, 0.3, 0.3]}}]
"""
TWICE, ONCE, UNSENT = 1, 4, 7  # jobs: of which workers die twice, and once; whose scene cannot be sent


def scene(**overrides: Any) -> OpenedScene:
    return load_scene(SCENE, overrides={key.replace("__", "."): value for key, value in overrides.items()})


def jobs_of(scenes: list[OpenedScene], seeds: int, folder: Path) -> list[Job]:
    """A job for each seed of each scene, in that order."""
    made = [(each, seed) for each in scenes for seed in range(1, seeds + 1)]
    return [Job(n, each, seed, str(folder / f"{n}.png")) for n, (each, seed) in enumerate(made, start=1)]


def queue_of(*counts: int) -> tuple[JobQueue, list[Job]]:
    """A queue, and its jobs: so many of each scene, and every second scene needs another model."""
    kinds = ("lcm", "ddim")
    scenes = [scene(sampler={"kind": kinds[index % 2], "steps": 4}) for index in range(len(counts))]
    jobs = [job for each, count in zip(scenes, counts, strict=True) for job in jobs_of([each], count, Path())]
    jobs = [replace(job, number=number) for number, job in enumerate(jobs, start=1)]
    return JobQueue(jobs), jobs


def test_workers_share_out_models_and_then_scenes():
    queue, jobs = queue_of(2, 2, 2, 2)  # jobs 1, 2, 5, 6 of one model
    one, other = jobs[0].model_key, jobs[2].model_key
    assert one != other
    assert queue.take() is jobs[0]
    assert queue.take() is jobs[2], "a model that nobody has"
    assert queue.take() is jobs[4], "a scene that nobody is at"
    assert queue.take(one, jobs[0].scene) is jobs[1], "its own scene"
    assert queue.take(one, jobs[0].scene) is jobs[5], "its own model"
    assert queue.take(other, jobs[2].scene) is jobs[3]
    assert queue.take(other, jobs[2].scene) is jobs[6]
    assert queue.take(one, jobs[4].scene) is None, "to load another model for one job is not worth it"
    assert queue.take() is jobs[7], "a worker that holds none has nothing to lose"


def test_a_model_of_many_jobs_is_loaded_once_more():
    queue, jobs = queue_of(1, 4)
    assert queue.take() is jobs[0]
    assert queue.take() is jobs[1]
    queue.end(Outcome(1, "written"))
    assert queue.take(jobs[0].model_key, jobs[0].scene) is jobs[2]


def test_a_job_that_is_put_back_comes_first():
    queue, jobs = queue_of(3)
    queue.take()
    queue.put_back(jobs[0])
    assert queue.take(jobs[0].model_key, jobs[0].scene) is jobs[0]


@pytest.mark.parametrize("kind", [SmdError, *SmdError.__subclasses__()])
def test_errors_cross_processes_whole(kind, monkeypatch):
    place = Place("scene.yaml", 12, 7, "model")
    error = kind(place.says("is not there"), "a line without a place")
    receiver, sender = multiprocessing.Pipe(duplex=False)
    sender.send(error)
    there = receiver.recv()
    assert (type(there), there.problems, str(there)) == (kind, error.problems, str(error))
    assert [message.place for message in there.problems] == [place, None]
    assert there.problems[0].text == "is not there"


def test_an_error_of_a_model_keeps_its_parts():
    receiver, sender = multiprocessing.Pipe(duplex=False)
    sender.send(AssetError("a", "b", parts=[("base",), ("loras", 0)]))
    assert receiver.recv().parts == (("base",), ("loras", 0))


@dataclass
class Murders:
    """A listener that kills workers at the jobs it is told, each as often as it has signals for it.

    It does so while they load the model for it, which takes long enough on any machine, and then copies a
    file as if they had written it just before.
    """

    of: dict[int, list[int]]
    written: dict[int, tuple[Path, Path]]
    events: list[Event] = field(default_factory=list)
    at: dict[int, int] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case OfWorker(worker, JobStarted(job)):
                self.at[worker] = job
            case OfWorker(worker, Started("load")) if signals := self.of.get(self.at[worker]):
                os.kill(pid_of(worker), signals.pop(0))
                if files := self.written.pop(self.at[worker], None):
                    Path(files[1]).write_bytes(Path(files[0]).read_bytes())


def pid_of(worker: int) -> int:
    (pid,) = [child.pid for child in multiprocessing.active_children() if child.name == f"worker {worker}"]
    assert pid is not None
    return pid


@dataclass
class Record:
    outcomes: list[Outcome]
    events: list[Event]
    jobs: list[Job]
    folder: Path
    alone: list[Outcome]

    def of(self, job: int) -> Outcome:
        (outcome,) = [each for each in self.outcomes if each.job == job]
        return outcome


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A batch whose workers are killed, by a signal and by a fault of memory, in the middle of jobs."""
    folder, other = tmp_path_factory.mktemp("killed"), tmp_path_factory.mktemp("alone")
    scenes = [scene(), scene(sampler={"kind": "ddim", "steps": 2})]
    jobs = jobs_of(scenes, 3, folder)
    alone = list(
        LocalEngine(Request((), settings=RenderSettings(device="cpu"))).run(jobs_of(scenes, 3, other))
    )
    there = {ONCE: (other / f"{ONCE}.png", folder / f"{ONCE}.png")}
    jobs.append(replace(jobs[0], number=UNSENT, scene=replace(scenes[0], locate=lambda *_: Place("here"))))
    murders = Murders({ONCE: [signal.SIGKILL], TWICE: [signal.SIGKILL, signal.SIGSEGV]}, there)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # as in the tests' own process
        request = Request((), existing=Existing.FAIL)
        outcomes = list(WorkerEngine(request, ("cpu", "cpu"), murders).run(jobs))
    assert not multiprocessing.active_children()
    return Record(outcomes, murders.events, jobs, folder, alone)


@pytest.mark.slow
def test_every_job_ends_once(record):
    assert Counter(outcome.job for outcome in record.outcomes) == Counter(job.number for job in record.jobs)
    ended = [event.job for event in record.events if isinstance(event, JobEnded)]
    assert ended == [outcome.job for outcome in record.outcomes]
    assert {outcome.job for outcome in record.outcomes if outcome.status == "failed"} == {TWICE, UNSENT}


@pytest.mark.slow
def test_a_job_whose_worker_is_killed_is_tried_once_more(record):
    assert (record.of(ONCE).status, record.of(ONCE).attempts) == ("written", 2)
    said = [event.text for event in record.events if isinstance(event, Warned)]
    begun_again = [line.removeprefix(str(record.folder)) for line in said if "begins it again" in line]
    assert sorted(line.split(":")[0] for line in begun_again) == [f"/{TWICE}.png", f"/{ONCE}.png"]
    assert all("has died (SIGKILL, as the system sends where memory ends)" in line for line in begun_again)


@pytest.mark.slow
def test_a_job_at_which_two_workers_die_fails(record):
    outcome = record.of(TWICE)
    assert (outcome.attempts, outcome.exit_code) == (2, SmdError.exit_code)
    assert outcome.problems == ("a second worker has died at it (SIGSEGV)",)


@pytest.mark.slow
def test_what_a_worker_prints_as_it_crashes_is_told_line_by_line(record):
    lines = [event.line for event in record.events if isinstance(event, Printed)]
    assert "Fatal Python error: Segmentation fault" in lines
    assert any(line.startswith("  File ") for line in lines)


@pytest.mark.slow
def test_a_scene_that_cannot_be_sent_fails_alone(record):
    assert record.of(UNSENT).attempts == 0
    assert record.of(UNSENT).problems[0].startswith("the scene cannot be sent to a worker: ")


@pytest.mark.slow
def test_workers_write_what_one_process_writes(record):
    for here in record.alone:
        there = record.of(here.job)
        if here.job == TWICE:
            continue
        assert there.output
        assert here.output
        assert Path(there.output.path).read_bytes() == Path(here.output.path).read_bytes()
        assert there.output.sha256 == here.output.sha256
        assert there.recipe == here.recipe
    made = {f"{job.number}.png" for job in record.jobs} - {f"{TWICE}.png", f"{UNSENT}.png"}
    assert {path.name for path in record.folder.iterdir()} == made


@pytest.mark.slow
def test_a_device_that_is_not_there_ends_the_batch(tmp_path):
    engine = WorkerEngine(Request(()), ("cuda:77",))
    with pytest.raises(DeviceError, match="device cuda:77: not available here"):
        list(engine.run(jobs_of([scene()], 3, tmp_path)))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--devices", "cpu", "--workers", "2"),
            "--devices cpu: gives each device a process; leave --workers",
        ),
        (
            ("--devices", "cpu,cpu", "--device", "mps"),
            "--devices cpu,cpu: names devices as --device mps does;",
        ),
        (("--workers", "0"), "Invalid value for '--workers'"),
    ],
)
def test_options_that_contradict_each_other(options, said, tmp_path):
    done = smd("render", str(tmp_path / "nothing.yaml"), *options)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_no_worker_outlives_the_program(number, code, tmp_path):
    (tmp_path / "s.yaml").write_text(SCENE)
    command = [sys.executable, "-m", "smd_cli", "render", "s.yaml", "--seed", "1-9", "--workers", "2"]
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    program = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=-1,
        stderr=-1,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    workers: list[psutil.Process] = []
    while len(workers) < 3:  # one is multiprocessing's own
        workers = psutil.Process(program.pid).children()
        assert program.poll() is None
    if number == signal.SIGINT:  # which a terminal sends to workers too: they leave it to the program
        for _ in range(100):
            for worker in workers:
                worker.send_signal(number)
            time.sleep(0.01)
        assert all(worker.is_running() for worker in workers)
    program.send_signal(number)
    said = program.communicate()[1]
    assert program.returncode == code
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    if number != signal.SIGKILL:
        assert said == {130: "interrupted\n", 143: "terminated\n"}[code]
