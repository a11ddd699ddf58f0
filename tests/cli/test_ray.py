"""`smd render --engine ray` on a real Ray, which each test starts in processes of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.cli.program import no_weights, smd

pytest.importorskip("ray", reason="Ray is not installed: pip install 'smd-cli[ray]'")
pytestmark = pytest.mark.slow

PICTURE = """
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
bootstrap: {steps: 0}
background: {prompt: grass, image: photo.png}
regions: [{name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 1]}}]
"""
STREAM = """
smd: 1
task: stream
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions: [{name: sun, prompt: the sun, mask: sun.png}]
stream: {input: film.gif, timeline: [{at: 1, region: sun, prompt: a moon}]}
"""
SECRET = "hf_thatNobodyMayKnow"
SCENES = ("picture.yaml", "stream.yaml")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A folder of scenes; everything computes on one thread, as the tests do themselves."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("navy", "green")]
    frames[0].save("photo.png")
    frames[0].save("film.gif", save_all=True, append_images=frames[1:], duration=100)
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    mask.save("sun.png")
    for name, text in zip(SCENES, (PICTURE, STREAM), strict=True):
        Path(name).write_text(text)
    return tmp_path


@contextmanager
def begun(*arguments: str, **environment: str) -> Iterator[subprocess.Popen]:
    """Run smd in a process group of its own; at the end nothing of it is left."""
    command = [sys.executable, "-m", "smd_cli", "render", "--engine", "ray", *arguments]
    given = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=given, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ray(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run smd to its end: its exit code, standard output and standard error."""
    with begun(*arguments, **environment) as process:
        out, error = process.communicate(timeout=240)
    return process.returncode, out, error


def performing(process: subprocess.Popen) -> psutil.Process:
    """Wait until a worker is at a job, and return it."""
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                if child.cmdline()[:1] == ["ray::Worker.perform"]:
                    return child
            except psutil.Error:
                continue
        time.sleep(0.01)
    raise AssertionError("no worker came to a job")


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).rglob("*.*"))}


def test_ray_makes_the_files_of_a_local_run_and_shares_them(monkeypatch):
    """Two workers make the same bytes, say nothing but paths, and what is there, neither makes again."""
    asked = (*SCENES, "--seed", "1-2", "--name", "{scene}{seed}")
    local = smd("render", *asked, "--output-dir", "local", "--quiet")
    assert local.exit_code == 0, local.stderr
    code, out, error = ray(*asked, "--output-dir", "ray", "--workers", "2", "--quiet")
    assert (code, error) == (0, "")
    assert sorted(out.split()) == sorted(f"ray/{name}" for name in files("local"))
    assert files("ray") == files("local")
    assert len(files("ray")) == 4
    Path("ray/picture2.png").unlink()
    no_weights(monkeypatch)
    code, out, error = ray(*asked, "--output-dir", "ray", "--skip-existing", "--quiet")
    assert (code, out, error) == (0, "ray/picture2.png\n", "")
    again = smd("render", *asked, "--output-dir", "ray", "--skip-existing", "--json")
    assert len(json.loads(again.stdout)["skipped"]) == 4
    assert files("ray") == files("local")


def test_a_job_whose_worker_is_killed_is_tried_once_more():
    asked = ("picture.yaml", "--seed", "1-3", "--name", "{seed}.png", "--json")
    with begun(*asked, "--output-dir", "ray", "--workers", "1") as process:
        performing(process).kill()
        out, error = process.communicate(timeout=240)
    document = json.loads(out)
    assert process.returncode == 0, error
    assert sorted(each["seed"] for each in document["outputs"]) == [1, 2, 3]
    (retried,) = (each["text"] for each in document["warnings"] if "tried once more" in each["text"])
    assert retried.endswith(": The actor is dead because its worker process has died")
    assert smd("render", *asked, "--output-dir", "local").exit_code == 0
    assert files("ray") == files("local")


def test_a_job_that_kills_two_workers_fails_and_the_others_are_made():
    asked = ("picture.yaml", "--seed", "1-2", "--name", "{seed}.png", "--json")
    with begun(*asked, "--output-dir", "ray", "--workers", "1") as process:
        first = performing(process)
        first.kill()
        first.wait(60)
        performing(process).kill()
        out, _ = process.communicate(timeout=240)
    document = json.loads(out)
    assert process.returncode == 6
    assert [each["seed"] for each in document["outputs"]] == [2]
    assert "a worker was lost over it 2 times" in document["problems"][0]["text"]
    assert sorted(files("ray")) == ["2.png"]


GONE = """\
from pathlib import Path
from smd_cli.app.batch.planning import plan_batch
from smd_cli.app.batch.ray_engine import RayEngine
from smd_cli.app.batch.ray_options import RayOptions
from smd_cli.app.batch.request import Request

if __name__ == "__main__":
    request = Request(("stream.yaml", "picture.yaml"), seeds=(1, 2), output_dir=Path("ray"))
    jobs = plan_batch(request).jobs
    Path("sun.png").unlink()
    for outcome in RayEngine(request, RayOptions(workers=1)).run(jobs):
        print(outcome.job, outcome.status, outcome.exit_code)
"""


def test_a_file_that_is_gone_before_it_is_sent_ends_the_jobs_of_its_scene_alone():
    given = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", GONE]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout == "1 failed 4\n2 failed 4\n3 written 0\n4 written 0\n"


def test_ctrl_c_ends_all_that_was_started():
    temporary = Path(f"/tmp/smd{os.getpid()}")  # short enough for Ray
    temporary.mkdir()
    with begun("picture.yaml", "--seed", "1-500", "--output-dir", "ray", TMPDIR=str(temporary)) as process:
        performing(process)
        started = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        began = time.monotonic()
        _, error = process.communicate(timeout=60)
        spent = time.monotonic() - began
    assert process.returncode == 130
    assert error.splitlines()[-1] == "interrupted"
    assert spent < 20
    _, left = psutil.wait_procs(started, timeout=30)
    assert left == []
    assert list(temporary.iterdir()) == []
    temporary.rmdir()
    assert all(name.endswith(".png") for name in files("ray"))


def test_a_machine_without_a_gpu_says_so(folder):
    code, out, error = ray("picture.yaml", "--gpus-per-worker", "1", CUDA_VISIBLE_DEVICES="")
    assert (code, out) == (5, "")
    assert error.startswith("no node has 1 CPU and 1 GPU for a worker; this machine has ")


def logs() -> Path:
    """The folder in which Ray's parts keep their logs; the names of its sockets must not be long."""
    return Path(f"/tmp/smd-test-{os.getpid()}")


@pytest.fixture
def cluster(monkeypatch) -> Iterator[str]:
    """The address of a cluster of one node with two GPUs, as far as Ray is told."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", 64 * "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    options = ("--head", "--port=0", "--num-cpus=2", "--num-gpus=2", "--include-dashboard=false", "--block")
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, "--temp-dir", str(logs())]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            lines = iter(process.stdout.readline, "")
            yield next(line.split("'")[1] for line in lines if "--address=" in line)
        finally:
            started = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            process.wait(60)
            for each in started:
                if each.is_running():
                    each.kill()
            shutil.rmtree(logs(), ignore_errors=True)


def test_a_cluster_is_used_and_stays(cluster):
    """Workers share its GPUs, and get secrets that Ray does not log; for what is not there, one waits."""
    asked = ("picture.yaml", "--seed", "1-2", "--name", "{seed}.png", "--address", cluster)
    shared = ("--gpus-per-worker", "0.5", "--quiet")
    code, out, error = ray(*asked, "--output-dir", "ray", *shared, HF_TOKEN=SECRET)
    assert (code, error) == (0, "")
    assert len(out.split()) == 2
    assert not any(SECRET.encode() in log.read_bytes() for log in logs().rglob("*") if log.is_file())
    assert smd("render", *asked[:5], "--output-dir", "local").exit_code == 0
    assert files("ray") == files("local")
    with begun(*asked, "--output-dir", "more", "--gpus-per-worker", "4") as process:
        said = next(line for line in process.stderr if "waiting" in line)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    there = "no node has 1 CPU and 4 GPUs for a worker; all 1 together have 2 CPUs and 2 GPUs"
    assert said == f"note: waiting for a worker: {there}\n"
    code, out, _ = ray(*asked, "--output-dir", "again", "--gpus-per-worker", "0", "--quiet")
    assert (code, files("again")) == (0, files("local"))
