"""`smd stream` as a user meets it, on the embedded model."""

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from smd_cli import Renderer, load_scene
from smd_cli.engine.events import StreamProgress
from smd_cli.errors import AssetError
from tests.cli.program import no_weights, smd
from tests.media.films import BEEP, damaged, described, encode, shown_at, sound_of
from tests.media.frames import milliseconds

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
    assert "stream.input: ends after 3 of 5 frames" in done.stderr
    assert len(frames("a.gif")) == 3


EDITS = "stream.timeline=[{at: 2, region: sun, prompt: the moon}, {at: 4, background: {prompt: the sea}}]"


def test_a_preview_of_a_longer_timeline_shows_its_first_frames(scene):
    assert "past the last frame" not in smd("stream", scene, "--set", EDITS, "-o", "whole.apng").stderr
    done = smd("stream", scene, "--set", EDITS, "--frames", "3", "-o", "first.apng")
    assert done.exit_code == 0
    assert done.stderr.count("past the last frame") == 1
    assert "timeline[1].at: frame 4 is past the last frame, 2, and not reached\n" in done.stderr
    first, whole = frames("first.apng"), frames("whole.apng")
    assert len(first) == 3
    assert all(abs(one - other).max() <= 1 for one, other in zip(first, whole, strict=False))


def test_a_preview_of_an_input_says_it_once(scene, tmp_path):
    options = ("--input", film(tmp_path / "film.gif"), "--set", EDITS, "--frames", "3")
    done = smd("stream", scene, *options, "-o", "a.gif")
    assert done.exit_code == 0
    assert done.stderr.count("frame 4 is past the last frame, 2") == 1
    assert len(frames("a.gif")) == 3


LASTS = (600, 50, 70, 200, 1000, 50)  # ms


def uneven_film(path) -> str:
    """An animation whose frames have brightness of their own, and last unevenly."""
    pictures = [Image.new("RGB", (64, 64), (40 * number, 40 * number, 60)) for number in range(6)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=LASTS)
    return str(path)


def repaint(scene, source, *options):
    every = ("--set", "stream.frames=null", "--set", "stream.strength=0.2")
    return smd("stream", scene, "--input", source, *every, *options)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng", "a.mp4"])
def test_uneven_times_of_an_input_are_kept(scene, tmp_path, name):
    done = repaint(scene, uneven_film(tmp_path / "film.gif"), "-o", name)
    assert done.exit_code == 0, done.stderr
    begins = [sum(LASTS[:number]) for number in range(6)]
    if name == "a.mp4":
        assert [round(1000 * time) for time in shown_at(tmp_path / name)] == begins
    else:
        shown = milliseconds(tmp_path / name)
        assert [sum(shown[:number]) for number in range(7)] == [*begins, sum(LASTS)]


@pytest.mark.parametrize(("fps", "count"), [("5", 10), ("40", 79)])
def test_another_rate_leaves_out_or_repeats_frames_and_the_length_stays(scene, tmp_path, fps, count):
    options = ("--fps", fps, "--set", "stream.similarity={threshold: 0.9, max_skip: 1000}", "-o", "a.apng")
    done = repaint(scene, uneven_film(tmp_path / "film.gif"), *options, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == count
    shown = milliseconds(tmp_path / "a.apng")
    assert len(shown) == count
    assert sum(shown) == pytest.approx(1970, abs=500 / float(fps))
    light = [frame.mean() for frame in frames("a.apng")]
    assert light[-1] > light[0] + 60


def test_a_time_is_a_time_of_the_film(scene, tmp_path):
    """The fourth frame begins at 0.72 s, which at an even rate would be the third one's time."""
    edit = ("--set", "stream.timeline=[{at: 0.72s, background: {prompt: the sea at night}}]")
    for name, more in (("edited.apng", edit), ("plain.apng", ())):
        options = ("--set", "stream.strength=0.9", *more, "-o", name)
        assert repaint(scene, uneven_film(tmp_path / "film.gif"), *options).exit_code == 0
    pairs = zip(frames("edited.apng"), frames("plain.apng"), strict=True)
    assert [abs(one - other).max() > 1 for one, other in pairs] == [False] * 3 + [True] * 3


def test_seconds_cut_an_uneven_film(scene, tmp_path):
    done = smd(
        "stream", scene, "--input", uneven_film(tmp_path / "film.gif"), "--seconds", "0.4", "-o", "a.apng"
    )
    assert done.exit_code == 0, done.stderr
    assert milliseconds(tmp_path / "a.apng") == [400]


def test_sound_goes_into_mp4_and_its_loss_is_said(scene, tmp_path):
    source = encode(tmp_path / "film.mp4", *BEEP, "-r", "5")
    for name, options, said in (
        ("a.mp4", ["--set", "stream.frames=null"], ""),
        ("b.mp4", ["--frames", "3"], "its sound ends with the frames, after 0.6 s"),
        ("c.gif", ["--frames", "3"], "its sound is left out; only mp4 holds sound"),
    ):
        done = smd("stream", scene, "--input", str(source), *options, "-o", name)
        assert done.exit_code == 0, done.stderr
        assert ("sound" in done.stderr) == bool(said)
        assert said in done.stderr
    assert sound_of(tmp_path / "a.mp4") == sound_of(source)
    assert "Duration: 00:00:00.6" in described(tmp_path / "b.mp4")


@pytest.mark.parametrize(
    ("name", "fps", "is_said"), [("a.gif", 60, True), ("a.gif", 50, False), ("a.webp", 60, False)]
)
def test_frames_too_short_for_a_gif_are_said(scene, name, fps, is_said):
    done = smd("stream", scene, "--frames", "2", "--fps", str(fps), "-o", name)
    assert done.exit_code == 0
    assert ("programs show frames of a GIF for 0.1 s" in done.stderr) == is_said


def test_a_plan_tells_how_many_frames_come_in_and_go_out(scene, tmp_path):
    source = uneven_film(tmp_path / "film.gif")
    (tmp_path / "film.yaml").write_text(SCENE.replace("{frames: 5}", "{input: film.gif}"))
    said = smd("plan", "film.yaml").stdout
    assert "6 come in 1.97 s; 6 go out in 1.97 s, 3.046 a second on average" in said
    found = json.loads(smd("plan", "film.yaml", "--set", "stream.fps=5", "--json").stdout)["stream"]
    assert (found["frames"], found["seconds"], found["fps"]) == (10, 2.0, 5.0)
    assert (found["input"]["frames"], found["input"]["seconds"]) == (6, 1.97)
    done = smd("stream", scene, "--input", source, "--frames", "2", "--dry-run", "--json")
    assert json.loads(done.stdout)["stream"]["frames"] == 2
    assert "5 in 0.4167 s, 12 a second" in smd("plan", scene).stdout
    assert json.loads(smd("plan", scene, "--json").stdout)["stream"]["input"] is None
    assert json.loads(smd("plan", scene, "--set", "task=generate", "--json").stdout)["stream"] is None


def test_raw_frames_fill_stdout_and_nothing_else_does(scene, capfd):
    done = smd("stream", scene, "-o", "-", "-q")
    assert done.exit_code == 0
    assert len(done.stdout_bytes) == 5 * 64 * 64 * 3
    assert done.stderr == ""
    assert capfd.readouterr() == ("", "")  # nor do libraries print on the process's own


@pytest.mark.slow
def test_raw_frames_whose_reader_has_gone_end_quietly(scene):
    command = [sys.executable, "-m", "smd_cli", "stream", scene, "--frames", "100000", "-o", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        running.stdout.close()
        assert running.stderr.read() == ""
        assert running.wait() == 1


def test_a_dry_run_writes_nothing(scene, tmp_path):
    done = smd("stream", scene, "--dry-run", "--json")
    assert json.loads(done.stdout)["work"]["model_evaluations"] == 4
    assert names(tmp_path) == ["day.yaml"]


STOPS = {(signal.SIGINT,) * 2: "interrupted", (signal.SIGTERM,): "terminated"}


@pytest.mark.slow
@pytest.mark.parametrize("stops", STOPS)
def test_a_stream_that_is_stopped_leaves_a_file_that_plays(scene, tmp_path, stops):
    command = [sys.executable, "-m", "smd_cli", "stream", scene, "--frames", "100000", "-o", "a.gif"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        while not any(path.stat().st_size > 2000 for path in tmp_path.iterdir() if path.suffix != ".yaml"):
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.1)
        for stop in stops:
            running.send_signal(stop)
        note, last = running.stderr.read().splitlines()[-2:]
        assert running.wait() == 128 + stops[0]
    assert names(tmp_path) == ["a.gif", "day.yaml"]
    told = f"note: a.gif: {len(frames('a.gif'))} of 100000 frames are written, and play"
    assert (note, last) == (told, STOPS[stops])


WRONG = {
    "no suffix, which might be a slip": (["-o", "film"], 2, "--output film: no suffix"),
    "its own input as the output": (["--input", "film.gif", "-o", "film.gif"], 2, "is the stream's input"),
    "the folder of its input": (["--input", "shots", "-o", "shots/"], 2, "the input comes from there"),
    "the folder of its pattern": (["--input", "shots/*.png", "-o", "shots/"], 2, "the input comes from"),
    "an unknown suffix": (["-o", "a.mpg"], 2, "unknown suffix"),
    "json beside raw frames": (["-o", "-", "--json"], 2, "--output -: frames and --json both go to stdout"),
    "two lengths": (["--frames", "3", "--seconds", "1"], 2, "--frames and --seconds: give only one of them"),
    "no frames a second": (["--fps", "0"], 3, "stream.fps"),
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
    "a seed out of range": (["--seed", "-1"], 2, "--seed -1"),
    "two seeds": (["--seed", "1", "--seed", "2"], 2, "--seed 1 --seed 2: a stream has one seed"),
    "another task": (["--set", "task=generate"], 3, "task"),
    "a frame too long for a GIF": (
        ["--input", "slow.webp", "--frames", "2", "-o", "a.gif"],
        2,
        "--output a.gif: gif shows a frame for at most 655 s, and one lasts 700 s; give --fps, or an .mp4",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_before_any_weights_load(scene, tmp_path, name, monkeypatch):
    no_weights(monkeypatch)
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero.gif").touch()
    (tmp_path / "shots").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "shots" / "1.png")
    film(tmp_path / "film.gif", 3)
    shots = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    shots[0].save(tmp_path / "slow.webp", save_all=True, append_images=shots[1:], duration=[100, 700_000])
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
        Image.effect_noise((64, 64), 50).save(tmp_path / "shots" / f"{number}.png")
    broken = tmp_path / "shots" / "4.png"
    broken.write_bytes(broken.read_bytes()[:2000])  # it begins as a picture does
    done = smd("stream", scene, "--input", "shots", "--set", "stream.similarity=null", "-o", "a.gif")
    assert done.exit_code == 4
    where = f"--input shots: stream.input: frame 4 of 6 cannot be read: {tmp_path}/shots/4.png: "
    assert done.stderr.splitlines()[-1].startswith(where)
    assert 1 <= len(frames("a.gif")) <= 4


@pytest.mark.parametrize("loss", ["junk", "gone"])
@pytest.mark.parametrize(
    ("keyframe", "place"),
    [
        ("{at: 10, region: sun, mask: late.png}", r"day.yaml:9:\d+: stream.timeline\[0\]: region 'sun': "),
        ("{at: 10, background: {image: late.png}}", r"day.yaml:9:\d+: stream.timeline\[0\]: "),
        ("{at: 10, region: sun, prompt: the moon}", r"day.yaml:8:\d+: regions\[0\].mask: region 'sun': "),
    ],
)
def test_a_picture_that_is_lost_on_the_way_has_its_place(scene, tmp_path, keyframe, place, loss):
    text = SCENE.replace("{ellipse: [0.3, 0.5, 0.25, 0.4]}", "early.png" if "prompt" in keyframe else "rest")
    text = text.replace("{frames: 5}", f"{{frames: 12, timeline: [{keyframe}]}}")
    (tmp_path / scene).write_text(text)
    for name in ("early.png", "late.png"):
        Image.linear_gradient("L").save(tmp_path / name)

    def lose(event):
        if isinstance(event, StreamProgress) and event.frames == 1:
            for name in ("early.png", "late.png"):
                (tmp_path / name).write_text("junk") if loss == "junk" else (tmp_path / name).unlink()

    with pytest.raises(AssetError) as caught, Renderer(listener=lose) as renderer:
        renderer.stream(load_scene(scene)).write("a.gif")
    (problem,) = caught.value.problems
    said = "is not a picture" if loss == "junk" else "no such file"
    assert re.match(rf"{place}{tmp_path}/\w+.png: {said}", problem)
    assert 1 <= len(frames("a.gif")) <= 10


def test_a_film_that_is_damaged_on_the_way_is_no_shorter_film(scene, tmp_path):
    source = ("-f", "lavfi", "-i", "testsrc2=s=64x64:d=1:r=8")
    damaged(encode(tmp_path / "a.mov", "-c:v", "png", source=source), 5)
    edits = ("--frames", "8", "--set", "stream.similarity=null")
    done = smd("stream", scene, "--input", "a.mov", *edits, "-o", "a.gif")
    assert done.exit_code == 4
    note, last = done.stderr.splitlines()[-2:]
    where = f"--input a.mov: stream.input: frame 5 of 8 cannot be read: {tmp_path}/a.mov: is damaged there"
    assert last.startswith(where)
    kept = len(frames("a.gif"))
    assert 1 <= kept <= 5
    assert note.startswith(f"note: a.gif: {kept} of 8 frames are written")


def test_a_folder_of_frames_is_inspected_by_its_first(scene):
    assert smd("stream", scene, "-o", "frames/").exit_code == 0
    assert smd("inspect", "frames").stdout == smd("inspect", "frames/000003.png").stdout
    done = smd("inspect", ".")
    assert done.exit_code == 4
    assert ".: holds no frames of smd's (000000.png)" in done.stderr


def test_a_missing_codec_says_what_to_install(scene, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for arguments in (["-o", "a.mp4"], ["--input", "a.mp4"]):
        (tmp_path / "a.mp4").write_bytes(bytes(100))
        done = smd("stream", scene, *arguments, "--overwrite")
        assert done.exit_code == 4
        assert "pip install 'smd-cli[video]'" in done.stderr


def test_a_name_too_long_and_a_full_output_are_one_line(scene, tmp_path):
    done = smd("stream", scene, "-o", "x" * 260 + ".gif")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        command = [sys.executable, "-m", "smd_cli", "schema"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.stderr.splitlines()[0].startswith("standard output: cannot be written: No space left")
