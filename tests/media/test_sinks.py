"""Sinks: every frame is there, in its place and for its time; whatever ends a stream, what is done plays."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.errors import AssetError, SmdError, UsageError
from smd_cli.media.files import Existing, check_target
from smd_cli.media.folder_lock import LOCK
from smd_cli.media.recipe import CHUNK
from smd_cli.media.runs import LONGEST_SILENCE, Machine
from smd_cli.media.sinks import Sink, check_sink, open_sink, reserved
from smd_cli.media.sources import open_frame_source
from smd_cli.media.texts import is_own, read_texts
from smd_cli.media.video import Sound
from smd_cli.scene.frame_times import EvenTimes, RecordedTimes
from tests.media.films import BARS, BEEP, described, encode, ffmpeg, shown_at, sound_of
from tests.media.frames import SIZE, error, milliseconds, moving, read, scenery, write

ANIMATIONS = ("x.gif", "x.webp", "x.apng", "x.png")
FILES = (*ANIMATIONS, "x.mp4")
ALL = (*FILES, "x")
MOST_ERROR = {
    ".gif": 7,
    ".webp": 10,
    ".mp4": 10,
}  # levels, most of it at the disc's edge; others lose nothing


def add_until_refused(sink: Sink, image: Image.Image) -> int:
    """Add frames until the system refuses, which ffmpeg tells late; how many it took."""
    for number in range(1000):
        try:
            sink.add(image.rotate(number))
        except SmdError as error:
            (problem,) = error.problems
            if "cannot be written" in problem:
                return number
            raise
    pytest.fail("nothing was refused")


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ALL)
def test_frames_come_back_in_their_order(tmp_path: Path, name: str) -> None:
    frames = list(moving(9))
    found = read(write(tmp_path / name, frames, repeats=2))
    assert len(found) == 11
    wanted = [*frames, frames[-1], frames[-1]]
    most = MOST_ERROR.get(Path(name).suffix, 0)
    for number, frame in enumerate(found):
        errors = [error(frame, other) for other in wanted]
        assert errors[number] == min(errors) <= most
    assert left_in(tmp_path) == [name]


@pytest.mark.parametrize("name", ALL)
def test_frames_that_are_all_alike_stay_frames(tmp_path: Path, name: str) -> None:
    found = read(write(tmp_path / name, [scenery()] * 7))
    assert len(found) == 7
    assert error(found[0], found[-1]) <= (2 if name == "x.mp4" else 0.1)


@pytest.mark.parametrize("name", ANIMATIONS)
def test_a_frame_again_costs_little(tmp_path: Path, name: str) -> None:
    frames = list(moving(2))
    few, many = (write(tmp_path / name, frames, repeats=count).stat().st_size for count in (1, 51))
    assert many - few <= 50 * 100


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("color", [(200, 40, 90), (30, 160, 60), (20, 30, 220), (255, 255, 255), (0, 0, 0)])
def test_colours_stay_what_they_are(tmp_path: Path, name: str, color: tuple[int, int, int]) -> None:
    image = Image.new("RGB", SIZE, color)
    assert error(read(write(tmp_path / name, [image, image]))[1], image) <= 3


@pytest.mark.parametrize("name", FILES)
def test_one_frame(tmp_path: Path, name: str) -> None:
    assert len(read(write(tmp_path / name, [scenery()]))) == 1


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [(33, 17), (1, 1)])
def test_odd_sizes(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    frames = [scenery((64, 64)).resize(size), Image.new("RGB", size, "red"), scenery((64, 64)).resize(size)]
    found = read(write(tmp_path / name, frames, repeats=1))
    assert len(found) == 4
    assert {frame.size for frame in found} == {size if name != "x.mp4" else (size[0] + 1, size[1] + 1)}
    if name != "x.mp4":  # of so few pixels, halved colours leave little
        assert max(map(error, found, [*frames, frames[-1]])) < 12


@pytest.mark.parametrize("name", ANIMATIONS)
@pytest.mark.parametrize("fps", [7, 12, 23.976, 24, 60, 0.5])
def test_the_time_is_right_in_all_and_at_every_frame(tmp_path: Path, name: str, fps: float) -> None:
    shown = milliseconds(write(tmp_path / name, list(moving(20)), repeats=5, fps=fps))
    tick = 10 if name == "x.gif" else 1
    for number in range(1, 26):
        assert abs(sum(shown[:number]) - 1000 * number / fps) <= tick / 2 + 0.001


SECONDS = [Fraction(ms, 1000) for ms in (3000, 50, 50, 17, 40, 333, 20, 2000, 90)]


@pytest.mark.parametrize("name", FILES)
def test_each_frame_is_shown_for_its_own_time(tmp_path: Path, name: str) -> None:
    times = RecordedTimes.of(SECONDS, 1000)
    path = write(tmp_path / name, list(moving(7)), repeats=2, times=times)
    begins = [float(sum(SECONDS[:number])) for number in range(9)]
    if name == "x.mp4":
        assert shown_at(path) == pytest.approx(begins, abs=0.0001)
        assert "Duration: 00:00:05.60" in described(path)
        return
    shown = milliseconds(path)
    tick = 10 if name == "x.gif" else 1
    for number in range(10):
        assert abs(sum(shown[:number]) - 1000 * sum(SECONDS[:number])) <= tick / 2 + 0.001


@pytest.mark.parametrize("name", ["x.gif", "x.webp"])
def test_a_frame_that_lasts_longer_than_the_format_knows_is_refused(tmp_path: Path, name: str) -> None:
    times = RecordedTimes.of([Fraction(1), Fraction(20_000)], 1)
    sink = open_sink(tmp_path / name, size=SIZE, times=times, loop=0, texts={})
    sink.add(scenery())
    with pytest.raises(SmdError, match=r"a frame of 20,000 s does not fit"):
        sink.add(scenery())
    sink.close()
    assert len(read(tmp_path / name)) == 1


def test_an_apng_frame_lasts_as_long_as_it_says(tmp_path: Path) -> None:
    times = RecordedTimes.of([Fraction(1001, 24000), Fraction(30_000), Fraction(1, 7)], 168_000)
    shown = milliseconds(write(tmp_path / "x.apng", list(moving(3)), times=times))
    assert shown == pytest.approx([1001 / 24, 30_000_000, 1000 / 7], abs=0.05)


@pytest.mark.parametrize("name", ANIMATIONS)
@pytest.mark.parametrize("loop", [0, 1, 2, 5])
def test_loops_are_how_often_it_plays(tmp_path: Path, name: str, loop: int) -> None:
    with Image.open(write(tmp_path / name, list(moving(3)), loop=loop)) as image:
        # A GIF file says how often it starts over, and nothing where it does not.
        wanted = {0: 0, 1: None}.get(loop, loop - 1) if name == "x.gif" else loop
        assert image.info.get("loop") == wanted


@pytest.mark.parametrize("fps", [12, 24, 30000 / 1001, 60])
def test_a_film_starts_at_once_and_says_what_its_colours_are(tmp_path: Path, fps: float) -> None:
    path = write(tmp_path / "x.mp4", list(moving(30)), fps=fps)
    said = described(path)
    assert "start: 0.000000" in said
    assert "yuv420p(tv, bt709, progressive)" in said
    assert shown_at(path) == pytest.approx([frame / fps for frame in range(30)], abs=0.0001)


def heard(path: Path) -> Sound:
    """The sound of a film."""
    sound = open_frame_source(path).sound
    assert sound is not None
    return sound


class TestSound:
    @pytest.mark.parametrize(
        ("name", "codec"),
        [("s.mp4", "aac"), ("s.mov", "aac"), ("s.mkv", "aac"), ("s.mp4", "libmp3lame"), ("s.avi", "ac3"),
         ("s.webm", "libopus"), ("s.mkv", "flac")],
    )  # fmt: skip
    def test_it_is_copied_as_it_is_and_in_time(self, tmp_path: Path, name: str, codec: str) -> None:
        source = encode(tmp_path / name, *BEEP, "-c:a", codec)
        sound = heard(source)
        assert sound.fits_mp4
        frames = list(open_frame_source(source))
        path = write(tmp_path / "x.mp4", frames, fps=30000 / 1001, sound=sound)
        assert sound_of(path) == sound_of(source)
        said = described(path)
        assert f"Audio: {sound.codec}" in said
        assert -0.03 < float(re.findall(r"start: ([0-9.-]+)", said)[0]) <= 0  # what primes the decoder
        assert shown_at(path)[0] == 0
        assert open_frame_source(path).sound.seconds == pytest.approx(sound.seconds, abs=0.03)

    def test_it_ends_with_the_frames(self, tmp_path: Path) -> None:
        sound = heard(encode(tmp_path / "s.mp4", *BEEP))
        path = write(tmp_path / "x.mp4", list(moving(6)), fps=12, sound=sound)
        assert heard(path).seconds == pytest.approx(0.5, abs=0.03)
        assert "Duration: 00:00:00.5" in described(path)

    def test_it_keeps_its_place_where_the_pictures_begin_later(self, tmp_path: Path) -> None:
        """A beep at 1 s of a film whose pictures begin at 0.4 s is heard 0.6 s after the first one."""
        beep = ("-f", "lavfi", "-i", "aevalsrc='if(between(t,1,1.2),0.8*sin(2000*t),0)':d=2")
        encode(tmp_path / "s.mkv", *beep, "-c:a", "flac", source=("-itsoffset", "0.4", *BARS))
        source = open_frame_source(tmp_path / "s.mkv")
        assert source.sound is not None
        assert float(source.sound.begin) == pytest.approx(0.4, abs=0.002)
        path = write(tmp_path / "x.mp4", list(source), fps=30000 / 1001, sound=source.sound)
        assert "start: 0.000000" in described(path)
        said = ffmpeg("-i", str(path), "-af", "silencedetect=n=-30dB:d=0.1", "-f", "null", "-")
        assert float(re.findall(r"silence_end: ([0-9.]+)", said)[0]) == pytest.approx(0.6, abs=0.03)

    @pytest.mark.parametrize(("name", "codec"), [("s.mkv", "libvorbis"), ("s.avi", "pcm_s16le")])
    def test_what_mp4_does_not_hold(self, tmp_path: Path, name: str, codec: str) -> None:
        assert not heard(encode(tmp_path / name, *BEEP, "-c:a", codec)).fits_mp4

    def test_films_without_sound(self, tmp_path: Path) -> None:
        assert open_frame_source(encode(tmp_path / "s.mp4")).sound is None


KILLED = """
import os, signal, sys
from tests.media.frames import moving, SIZE
from smd_cli.media.sinks import open_sink
from smd_cli.scene.frame_times import EvenTimes
sink = open_sink(sys.argv[1], size=SIZE, times=EvenTimes.of(12), loop=0, texts={})
for frame in moving(96):
    sink.add(frame)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("name", FILES)
def test_what_a_killed_program_wrote_plays(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / name)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (draft,) = tmp_path.iterdir()
    found = read(draft)
    assert len(found) >= (24 if name == "x.mp4" else 96)
    assert error(found[20], list(moving(21))[20]) < 10
    assert CHUNK not in read_texts(draft)
    assert is_own(draft)


@pytest.mark.parametrize("name", FILES)
def test_texts_are_read_as_they_were_written(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [scenery()] * 2)
    texts = read_texts(path)
    assert (texts[CHUNK], texts["parameters"]) == ("ü=;#\\\n", "owl")
    assert is_own(path)
    assert check_sink(path)


@pytest.mark.parametrize("name", FILES)
def test_long_texts(tmp_path: Path, name: str) -> None:
    sink = open_sink(tmp_path / name, size=SIZE, times=EvenTimes.of(12), loop=0, texts={CHUNK: "ö" * 100_000})
    sink.add(scenery())
    sink.close()
    assert read_texts(tmp_path / name)[CHUNK] == "ö" * 100_000


@pytest.mark.parametrize("name", FILES)
def test_no_texts(tmp_path: Path, name: str) -> None:
    sink = open_sink(tmp_path / name, size=SIZE, times=EvenTimes.of(12), loop=0, texts=None)
    sink.add(scenery())
    sink.close()
    assert CHUNK not in read_texts(tmp_path / name)
    assert b"smd" not in (tmp_path / name).read_bytes()
    with pytest.raises(UsageError, match="carries no recipe"):
        check_sink(tmp_path / name)


@pytest.mark.parametrize("name", ANIMATIONS)
def test_a_file_is_whole_after_every_frame(tmp_path: Path, name: str) -> None:
    """Nothing has to be finished: a program that is killed leaves a file that plays under its hidden name."""
    sink = open_sink(tmp_path / name, size=SIZE, times=EvenTimes.of(12), loop=0, texts={})
    for number, frame in enumerate(moving(4), start=1):
        sink.add(frame)
        (draft,) = tmp_path.iterdir()
        assert len(read(draft)) == number
    before = draft.read_bytes()
    sink.close()
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("end", ["close", "discard"])
def test_without_a_frame_nothing_is_left(tmp_path: Path, name: str, end: str) -> None:
    getattr(open_sink(tmp_path / name, size=SIZE, times=EvenTimes.of(12), loop=0, texts={}), end)()
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("name", FILES)
def test_discarding_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"old")
    sink = open_sink(tmp_path / name, size=SIZE, times=EvenTimes.of(12), loop=0, texts={})
    sink.add(scenery())
    sink.discard()
    assert left_in(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"old"


def test_discarding_a_folder_s_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    sink = open_sink(tmp_path, size=SIZE, times=EvenTimes.of(12), loop=0, texts={})
    sink.add(scenery())
    sink.repeat()
    sink.discard()
    assert left_in(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("name", FILES)
def test_on_a_full_disk_what_is_done_plays(tmp_path: Path, name: str) -> None:
    noise = Image.effect_noise((256, 256), 90).convert("RGB")
    path = tmp_path / name
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = 3_000_000 if name == "x.mp4" else 400_000  # a fragment takes more than 1 MB
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        sink = open_sink(path, size=noise.size, times=EvenTimes.of(12), loop=0, texts={})
        added = add_until_refused(sink, noise)
        sink.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    found = read(path)
    assert 0 < len(found) <= added
    assert left_in(tmp_path) == [name]
    if name != "x.mp4":  # where ffmpeg has a few frames under way
        sink = open_sink(tmp_path / f"same-{name}", size=noise.size, times=EvenTimes.of(12), loop=0, texts={})
        for number in range(added):
            sink.add(noise.rotate(number))
        sink.close()
        assert path.read_bytes() == (tmp_path / f"same-{name}").read_bytes()


def test_two_files_in_one_folder_at_once(tmp_path: Path) -> None:
    sinks = [
        open_sink(tmp_path / f"{n}.gif", size=SIZE, times=EvenTimes.of(12), loop=0, texts={})
        for n in range(2)
    ]
    for frame in moving(3):
        sinks[0].add(frame)
        sinks[1].add(frame.rotate(180))
    for sink in sinks:
        sink.close()
    one, other = (read(tmp_path / f"{n}.gif")[2] for n in range(2))
    assert error(one.rotate(180), other) < 10


INTERRUPTED = """
import os, signal, sys
from tests.media.frames import moving, SIZE
from smd_cli.media.sinks import open_sink
from smd_cli.scene.frame_times import EvenTimes
sink = open_sink(sys.argv[1], size=SIZE, times=EvenTimes.of(12), loop=0, texts={})
try:
    for frame in moving(20):
        sink.add(frame)
    os.killpg(0, signal.SIGINT)
except KeyboardInterrupt:
    for frame in moving(100):
        sink.add(frame)
    sink.close()
    print("interrupted")
"""


@pytest.mark.parametrize("name", FILES)
def test_ctrl_c_is_for_the_program_which_can_still_finish_the_file(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / name)]
    done = subprocess.run(command, start_new_session=True, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"interrupted\n", b"")
    assert len(read(tmp_path / name)) == 120
    assert left_in(tmp_path) == [name]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
@pytest.mark.parametrize("name", ALL)
def test_where_nothing_can_be_written(name: str) -> None:
    path = Path("/proc/self") / name
    with pytest.raises(UsageError, match="cannot be written"):
        check_sink(path)
    sink = open_sink(path, size=SIZE, times=EvenTimes.of(12), loop=0, texts={})
    add_until_refused(sink, scenery())
    sink.close()


def test_suffixes() -> None:
    for path in ("x.gif", "x.WEBP", "x.apng", "x.png", "x.mp4", "frames", "new.d/", "-", None):
        assert check_sink(path)
    for path in ("x.avi", "x.jpg", Path("x.y.z")):
        with pytest.raises(
            UsageError, match=r"unknown suffix .*\.gif, \.webp, \.apng, \.png, \.mp4, a folder"
        ):
            check_sink(path)


def test_films_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AssetError, match=r"pip install 'smd-cli\[video\]'"):
        check_sink("x.mp4")
    assert check_sink("x.gif")


def test_a_folder_of_pictures_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "f", list(moving(5)))
    assert check_sink(tmp_path / "f")
    write(tmp_path / "f", list(moving(3)))
    assert left_in(tmp_path / "f") == ["000000.png", "000001.png", "000002.png"]
    assert not check_sink(tmp_path / "f", Existing.SKIP)
    with pytest.raises(UsageError, match="exists already"):
        check_sink(tmp_path / "f", Existing.FAIL)


def test_pictures_of_others_in_a_folder_stay(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "000003.png")
    with pytest.raises(UsageError, match=r"000003\.png: exists, and carries no recipe"):
        check_sink(tmp_path)
    write(tmp_path, list(moving(3)))
    assert (tmp_path / "000003.png").exists()


def test_raw_frames(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    frames = list(moving(3))
    sink = open_sink(Path("-"), size=SIZE, times=EvenTimes.of(12), loop=0, texts={})
    for frame in frames:
        sink.add(frame)
    sink.repeat()
    sink.close()
    assert capfdbinary.readouterr().out == b"".join(frame.tobytes() for frame in [*frames, frames[-1]])


LENGTH = """
import resource, sys
from pathlib import Path
from tests.media.frames import moving
from smd_cli.media.sinks import open_sink
from smd_cli.scene.frame_times import EvenTimes
path, count = Path(sys.argv[1]), int(sys.argv[2])
sink = open_sink(path, size=(128, 128), times=EvenTimes.of(12), loop=0, texts={})
for number, frame in enumerate(moving(count, (128, 128))):
    sink.repeat() if number % 5 == 4 else sink.add(frame)
sink.close()
for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
    print(resource.getrusage(who).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_memory_does_not_grow_with_the_frames(tmp_path: Path, name: str) -> None:
    def peaks(count: int) -> list[int]:
        command = [sys.executable, "-c", LENGTH, str(tmp_path / name), str(count)]
        return [int(value) for value in subprocess.check_output(command).split()]

    few, many = peaks(200), peaks(2000)
    assert many[0] <= 1.05 * few[0]
    assert many[1] <= 1.3 * few[1]  # ffmpeg's, which is full of buffers only later
    if name == "x.mp4":
        assert len(read(tmp_path / name)) == 2000
    else:
        with Image.open(tmp_path / name) as image:
            assert image.n_frames == 2000
        assert sum(milliseconds(tmp_path / name)) == pytest.approx(2_000_000 / 12, abs=10)


LOCKED = """
import sys
from tests.media.frames import scenery, SIZE
from smd_cli.media.sinks import open_sink
from smd_cli.scene.frame_times import EvenTimes
sink = open_sink(sys.argv[1], size=SIZE, times=EvenTimes.of(12), loop=0, texts={})
sink.add(scenery())
print(flush=True)
sys.stdin.readline()
sink.add(scenery())
sink.close()
"""


SIGNALLED = """
import os, signal, sys
from smd_cli.interrupts import handle_signals
from smd_cli.media.sinks import reserved
handle_signals()
with reserved(sys.argv[1]):
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
"""


def open_frames(folder: Path) -> Sink:
    return open_sink(folder, size=SIZE, times=EvenTimes.of(12), loop=0, texts={})


class TestFoldersOfFrames:
    def test_are_written_by_one_run_at_a_time(self, tmp_path: Path) -> None:
        folder = tmp_path / "f"
        command = [sys.executable, "-c", LOCKED, str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            other.stdout.readline()
            says = rf"another run \(process {other.pid} on .*\) writes frames there; give another folder$"
            before = (folder / "000000.png").stat().st_mtime_ns
            with pytest.raises(UsageError, match=says), reserved(folder):
                pass
            sink = open_frames(folder)
            with pytest.raises(UsageError, match=says):
                sink.add(scenery().rotate(90))
            sink.close()
            assert left_in(folder) == [".smd.lock", "000000.png"]
            assert (folder / "000000.png").stat().st_mtime_ns == before
            other.communicate("\n")
            assert other.returncode == 0
        assert left_in(folder) == ["000000.png", "000001.png"]
        write(folder, [scenery()])
        assert left_in(folder) == ["000000.png"]

    @pytest.mark.skipif(os.name == "nt", reason="no locks that end with their run")
    def test_are_free_once_their_run_was_killed(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", LOCKED, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            other.stdout.readline()
            other.kill()
        assert left_in(tmp_path) == [".smd.lock", "000000.png"]
        with reserved(tmp_path):
            assert left_in(tmp_path) == [".smd.lock", "000000.png"]
        assert left_in(tmp_path) == ["000000.png"]

    def test_of_another_machine_are_its_for_a_day(self, tmp_path: Path) -> None:
        lock = tmp_path / LOCK
        lock.write_text(f"{Machine('0' * 8, '1' * 8).tag}\nprocess 5 on far\n")
        says = r"another run \(process 5 on far\) writes frames there; .*, or delete .*\.smd\.lock if"
        with pytest.raises(UsageError, match=says), reserved(tmp_path):
            pass
        assert "process 5 on far" in lock.read_text()
        os.utime(lock, (time.time() - LONGEST_SILENCE - 60,) * 2)
        with reserved(tmp_path):
            assert "process 5 on far" not in lock.read_text()
        assert left_in(tmp_path) == []

    def test_that_are_reserved_for_nothing_go(self, tmp_path: Path) -> None:
        with reserved(tmp_path / "new" / "f"), pytest.raises(UsageError), reserved(tmp_path / "new" / "f"):
            pass
        assert left_in(tmp_path / "new") == []

    @pytest.mark.skipif(os.name == "nt", reason="sends a signal")
    def test_that_are_reserved_are_free_after_a_signal(self, tmp_path: Path) -> None:
        done = subprocess.run([sys.executable, "-c", SIGNALLED, str(tmp_path / "f")], check=False)
        assert done.returncode == 130
        assert left_in(tmp_path) == []

    @pytest.mark.parametrize("end", ["removed", "made again", "a file", "removed at the end"])
    def test_that_go_meanwhile_are_an_error(self, tmp_path: Path, end: str) -> None:
        folder = tmp_path / "f"
        sink = open_frames(folder)
        sink.add(scenery())
        shutil.rmtree(folder)
        if end == "made again":
            folder.mkdir()
        elif end == "a file":
            folder.write_text("mine")
        go_on = sink.close if end == "removed at the end" else partial(sink.add, scenery())
        with pytest.raises(SmdError, match="was removed or replaced"):
            go_on()
        with suppress(SmdError):
            sink.close()
        assert left_in(tmp_path) == [] if end.startswith("removed") else ["f"]
        assert end != "made again" or left_in(folder) == []


@pytest.mark.parametrize("name", FILES)
def test_a_film_whose_folder_goes_is_an_error(tmp_path: Path, name: str) -> None:
    sink = open_sink(tmp_path / "f" / name, size=SIZE, times=EvenTimes.of(12), loop=0, texts={})
    sink.add(scenery())
    shutil.rmtree(tmp_path / "f")
    with pytest.raises(SmdError, match="cannot be written: No such file"):
        sink.close()
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("name", ALL)
def test_a_film_replaces_nothing_that_has_appeared(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sink = open_sink(
        path,
        size=SIZE,
        times=EvenTimes.of(12),
        loop=0,
        texts={},
        admit=lambda at: check_target(at, Existing.REPLACE_OWN),
    )
    sink.add(scenery())
    theirs = path / "000001.png" if name == "x" else path
    theirs.write_bytes(b"theirs")
    go_on = partial(sink.add, scenery()) if name == "x" else sink.close
    with pytest.raises(UsageError, match="is no picture of smd's"):
        go_on()
    if name == "x":
        sink.close()
    assert theirs.read_bytes() == b"theirs"
    assert left_in(tmp_path) == [name]


def test_a_killed_stream_is_never_taken_for_the_one_before(tmp_path: Path) -> None:
    write(tmp_path, list(moving(5)))
    first = (tmp_path / "000000.png").read_bytes()
    sink = open_frames(tmp_path)
    sink.add(scenery())
    assert left_in(tmp_path) == [LOCK, "000000.png"]  # as SIGKILL would leave it
    assert (tmp_path / "000000.png").read_bytes() != first
    sink.close()


def test_frames_that_must_stay_all_stay(tmp_path: Path) -> None:
    write(tmp_path, list(moving(5)))  # by a run that was faster
    times = EvenTimes.of(12)

    def refuse(path: Path) -> None:
        if path.name == "000000.png":
            raise UsageError("another stream's")

    sink = open_sink(tmp_path, size=SIZE, times=times, loop=0, texts={}, admit=refuse)
    with pytest.raises(UsageError, match="another stream's"):
        sink.add(scenery())
    sink.close()
    assert left_in(tmp_path) == [f"00000{number}.png" for number in range(5)]
