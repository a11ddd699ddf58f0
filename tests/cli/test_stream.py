"""`smd stream` as a user meets it, on the embedded model."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.cli.program import smd

SCENE = """\
smd: 1
task: stream
canvas: {width: 64, height: 64}
seed: 5
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: {ellipse: [0.3, 0.5, 0.25, 0.4]}}
stream: {frames: 5}
"""


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day.yaml").write_text(SCENE)
    return "day.yaml"


def frames(path) -> list[np.ndarray]:
    with Image.open(path) as image:
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            found.append(np.asarray(image.convert("RGB")).astype(int))
        return found


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def film(path, count=12, size=(64, 64)) -> str:
    """An animation of a square that crosses the picture."""
    pictures = []
    for number in range(count):
        picture = Image.new("RGB", size, "navy")
        picture.paste("yellow", (4 * number, 16, 4 * number + 16, 48))
        pictures.append(picture)
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=50)
    return str(path)


def test_the_path_goes_to_stdout_and_the_timing_to_stderr(scene):
    done = smd("stream", scene)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "day_5.gif\n"
    assert len(frames("day_5.gif")) == 5
    for word in ("load", "read", "encode", "denoise", "decode", "save", "frames a second", "peak memory"):
        assert word in done.stderr


def test_json_is_one_document_that_is_true(scene):
    done = smd("stream", scene, "--json", "--frames", "7", "--fps", "10", "--loop", "3", "-o", "a.apng")
    report = json.loads(done.stdout)
    assert (report["frames"], report["skipped_frames"]) == (7, 0)
    assert report["outputs"][0]["path"] == "a.apng"
    assert len(report["outputs"][0]["sha256"]) == 64
    assert report["work"] == {"model_evaluations": 7 * 4, "without_savings": 7 * 8}
    assert report["frames_per_second"] > 0
    assert report["latency_s"] > 0
    with Image.open("a.apng") as image:
        assert (image.n_frames, image.info["duration"], image.info["loop"]) == (7, 100, 3)


def test_frames_are_the_picture_that_generate_makes(scene, tmp_path):
    smd("stream", scene, "-o", "frames/")
    done = smd("generate", scene, "--set", "task=generate", "-o", "one.png")
    assert done.exit_code == 0, done.stderr
    one = np.asarray(Image.open("one.png")).astype(int)
    written = names(tmp_path / "frames")
    assert written == [f"{number:06}.png" for number in range(5)]
    for name in written:
        assert abs(np.asarray(Image.open(f"frames/{name}")).astype(int) - one).max() <= 1


def test_a_second_run_writes_the_same_bytes(scene, tmp_path):
    arguments = ("stream", scene, "--set", "stream.variation=0.5", "-o")
    for name in ("a.gif", "b.gif"):
        assert smd(*arguments, name).exit_code == 0
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    assert smd(*arguments, "c.gif", "--seed", "6").exit_code == 0
    assert (tmp_path / "c.gif").read_bytes() != (tmp_path / "b.gif").read_bytes()


def test_a_keyframe_shows_first_in_its_own_frame(scene):
    edit = "stream.timeline=[{at: 3, background: {prompt: the moon}}]"
    smd("stream", scene, "--set", edit, "-o", "a.apng")
    shown = frames("a.apng")
    assert all(abs(frame - shown[0]).max() <= 1 for frame in shown[:3])
    assert abs(shown[3] - shown[0]).max() > 20
    assert abs(shown[4] - shown[0]).max() > 20


def test_an_input_is_repainted_at_its_own_rate(scene, tmp_path):
    source = film(tmp_path / "film.gif")
    options = ("--input", source, "--set", "stream.frames=null", "--set", "stream.strength=0.2")
    done = smd("stream", scene, *options, "-o", "a.apng", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 12
    with Image.open("a.apng") as image:
        assert image.info["duration"] == 50
    shown = frames("a.apng")
    yellow = [int((frame[:, :, 0] > frame[:, :, 2]).nonzero()[1].mean()) for frame in shown[:10]]
    assert yellow == sorted(yellow)
    assert yellow[-1] > yellow[0] + 20


def test_a_still_input_is_mostly_skipped_and_the_length_stays(scene, tmp_path):
    Image.new("RGB", (100, 80), "teal").save(tmp_path / "still.png")
    options = ("--input", "still.png", "--set", "stream.similarity={threshold: 0.9, max_skip: 5}")
    done = smd("stream", scene, *options, "--frames", "20", "-o", "a.gif", "--json")
    report = json.loads(done.stdout)
    assert (report["frames"], report["skipped_frames"]) == (20, 16)
    assert len(frames("a.gif")) == 20


def test_an_input_that_ends_early_is_said(scene, tmp_path):
    done = smd("stream", scene, "--input", film(tmp_path / "film.gif", 3), "-o", "a.gif")
    assert "the input ended after 3 of 5 frames" in done.stderr
    assert len(frames("a.gif")) == 3


def test_raw_frames_fill_stdout_and_nothing_else_does(scene):
    command = [sys.executable, "-m", "smd_cli", "stream", scene, "-o", "-", "-q"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert len(done.stdout) == 5 * 64 * 64 * 3
    assert done.stderr == b""


def test_a_dry_run_writes_nothing(scene, tmp_path):
    done = smd("stream", scene, "--dry-run", "--json")
    assert json.loads(done.stdout)["work"]["model_evaluations"] == 4
    assert names(tmp_path) == ["day.yaml"]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stream_that_is_stopped_leaves_a_file_that_plays(scene, tmp_path, stop):
    command = [sys.executable, "-m", "smd_cli", "stream", scene, "--frames", "100000", "-o", "a.gif"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        while not any(path.stat().st_size > 2000 for path in tmp_path.iterdir() if path.suffix != ".yaml"):
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.1)
        running.send_signal(stop)
        assert running.stderr.read().splitlines()[-1] == "interrupted"
        assert running.wait() == 130
    assert names(tmp_path) == ["a.gif", "day.yaml"]
    assert 1 <= len(frames("a.gif")) < 100000


LATE = "stream.timeline=[{at: 3, region: sun, prompt: x}]"
WRONG = {
    "no suffix, which might be a slip": (["-o", "film"], 2, "--output film: no suffix"),
    "its own input as the output": (["--input", "film.gif", "-o", "film.gif"], 2, "the input comes from"),
    "the folder of its input": (["--input", "shots", "-o", "shots/"], 2, "the input comes from there"),
    "the folder of its pattern": (["--input", "shots/*.png", "-o", "shots/"], 2, "the input comes from"),
    "an unknown suffix": (["-o", "a.mpg"], 2, "unknown suffix"),
    "json beside raw frames": (["-o", "-", "--json"], 2, "--output -: frames and --json both go to stdout"),
    "two lengths": (["--frames", "3", "--seconds", "1"], 2, "--frames and --seconds: give only one of them"),
    "no frames a second": (["--fps", "0"], 3, "stream.fps"),
    "a keyframe beyond the end": (["--set", "stream.timeline=[{at: 5, region: sun, prompt: x}]"], 3, "at"),
    "an unknown region": (["--set", "stream.timeline=[{at: 1, region: sum, prompt: x}]"], 3, "sun"),
    "two keyframes that fight": (
        ["--set", "stream.timeline=[{at: 1, region: sun, prompt: x}, {at: 1, region: sun, prompt: y}]"],
        3,
        "stream.timeline[1]",
    ),
    "a mask that is not there": (
        ["--set", "stream.timeline=[{at: 1, region: sun, mask: nowhere.png}]"],
        4,
        "stream.timeline[0]",
    ),
    "an input that is not there": (["--input", "nowhere.gif"], 4, "stream.input"),
    "an input that is no picture": (["--input", "day.yaml"], 4, "stream.input"),
    "a folder without pictures": (["--input", "empty"], 4, "holds no pictures"),
    "an empty file": (["--input", "zero.gif"], 4, "stream.input"),
    "a keyframe beyond the end of the input": (
        ["--input", "film.gif", "--set", "stream.frames=null", "--set", LATE],
        3,
        "3 is past the last frame, 2",
    ),
    "a seed out of range": (["--seed", "-1"], 2, "--seed -1"),
    "two seeds": (["--seed", "1", "--seed", "2"], 2, "--seed 1 --seed 2: a stream has one seed"),
    "another task": (["--set", "task=generate"], 3, "task"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_before_any_weights_load(scene, tmp_path, name, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("smd_cli.models.loading.load", refuse)
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero.gif").touch()
    (tmp_path / "shots").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "shots" / "1.png")
    film(tmp_path / "film.gif", 3)
    before = names(tmp_path)
    arguments, code, says = WRONG[name]
    done = smd("stream", scene, *arguments)
    assert done.exit_code == code, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr
    assert ("--json" in arguments) or done.stdout == ""
    assert names(tmp_path) == before


def test_an_input_that_breaks_on_the_way_is_named_and_what_is_written_plays(scene, tmp_path):
    (tmp_path / "shots").mkdir()
    for number in range(6):
        Image.new("RGB", (64, 64), "navy").save(tmp_path / "shots" / f"{number}.png")
    (tmp_path / "shots" / "4.png").write_bytes(bytes(40))
    done = smd("stream", scene, "--input", "shots", "--set", "stream.similarity=null", "-o", "a.gif")
    assert done.exit_code == 4
    assert done.stderr.splitlines()[-1].startswith("--input shots: stream.input: ")
    assert "4.png" in done.stderr.splitlines()[-1]
    assert 1 <= len(frames("a.gif")) <= 4


def test_a_folder_of_frames_is_inspected_by_its_first(scene):
    assert smd("stream", scene, "-o", "frames/").exit_code == 0
    assert smd("inspect", "frames").stdout == smd("inspect", "frames/000003.png").stdout
    done = smd("inspect", ".")
    assert done.exit_code == 4
    assert "000000.png: no such file" in done.stderr


def test_a_missing_codec_says_what_to_install(scene, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    for arguments in (["-o", "a.mp4"], ["--input", "a.mp4"]):
        (tmp_path / "a.mp4").write_bytes(bytes(100))
        done = smd("stream", scene, *arguments, "--overwrite")
        assert done.exit_code == 4
        assert "pip install 'smd-cli[video]'" in done.stderr


def test_an_early_interrupt_is_no_traceback(scene, tmp_path):
    code = "import sys; sys.argv = ['smd', 'stream', 'day.yaml']; import smd_cli.__main__ as main\n"
    code += "def interrupt(): raise KeyboardInterrupt\nmain._run = interrupt\nmain.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_a_name_too_long_and_a_full_output_are_one_line(scene, tmp_path):
    done = smd("stream", scene, "-o", "x" * 260 + ".gif")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        command = [sys.executable, "-m", "smd_cli", "schema"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.stderr.splitlines()[0].startswith("standard output: cannot be written: No space left")
