"""Sources: each kind of footage gives its frames in order, and says in one line what is wrong with it."""

import subprocess
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.errors import AssetError
from smd_cli.media.canvas import fit_frame
from smd_cli.media.sources import open_frame_source
from smd_cli.media.video import ffmpeg
from tests.media.frames import SIZE, error, moving, read, scenery, write

FILMS = ("x.gif", "x.webp", "x.apng", "x.mp4", "x")


@pytest.mark.parametrize("name", FILMS)
def test_footage_of_every_kind(tmp_path: Path, name: str) -> None:
    footage = open_frame_source(write(tmp_path / name, list(moving(7)), repeats=1, fps=12))
    frames = list(footage)
    assert (footage.size, footage.frames, len(frames), footage.still) == (SIZE, 8, 8, False)
    assert footage.fps == (None if name == "x" else 12)
    assert all(frame.mode == "RGB" and frame.size == SIZE for frame in frames)
    assert [frame.tobytes() for frame in frames] == [frame.tobytes() for frame in footage]
    for frame, wanted in zip(frames, moving(7), strict=False):
        assert error(frame, wanted) < 10


@pytest.mark.parametrize("fps", [7, 24, 29.97, 2.5])
@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.apng", "x.mp4"])
def test_the_rate_is_the_one_that_was_written(tmp_path: Path, name: str, fps: float) -> None:
    assert open_frame_source(write(tmp_path / name, list(moving(50)), fps=fps)).fps == pytest.approx(
        fps, rel=0.002
    )


def test_the_rate_of_other_programs_animations(tmp_path: Path) -> None:
    frames = list(moving(4))
    for duration, fps in (([100, 300, 100, 300], 5), (40, 25), (0, 10)):
        frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:], duration=duration)
        assert open_frame_source(tmp_path / "x.gif").fps == fps


def encode(path: Path, *arguments: str) -> Path:
    """A film by another program: two seconds of a test picture at NTSC's rate."""
    source = ("-f", "lavfi", "-i", "testsrc=s=64x48:d=2:r=30000/1001")
    command = [ffmpeg().get_ffmpeg_exe(), "-loglevel", "error", *source, *arguments, str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.mark.parametrize("name", ["x.mp4", "x.m4v", "x.mov", "x.mkv", "x.webm", "x.avi"])
def test_films_of_other_programs(tmp_path: Path, name: str) -> None:
    footage = open_frame_source(encode(tmp_path / name, "-f", "lavfi", "-i", "sine=d=1"))
    assert footage.size == (64, 48)
    assert footage.fps == pytest.approx(30000 / 1001, rel=1e-9)
    assert len(list(footage)) == footage.frames
    assert footage.frames in (60, 61)  # sound that starts early makes ffmpeg show the first frame twice


def test_films_of_odd_size_and_of_no_even_rate(tmp_path: Path) -> None:
    odd = open_frame_source(encode(tmp_path / "x.mkv", "-c:v", "ffv1", "-vf", "scale=33:17"))
    assert {frame.size for frame in odd} == {odd.size} == {(33, 17)}
    uneven = open_frame_source(
        encode(tmp_path / "x.mp4", "-vf", "select=lt(n\\,9)+gt(n\\,49)", "-fps_mode", "vfr")
    )
    assert uneven.frames == len(list(uneven)) >= 59  # still frames fill the gap


def test_one_picture(tmp_path: Path) -> None:
    scenery().save(tmp_path / "x.png")
    footage = open_frame_source(tmp_path / "x.png")
    assert (footage.size, footage.fps, footage.frames, footage.still) == (SIZE, None, 1, True)
    assert [frame.tobytes() for frame in footage] == [scenery().tobytes()]


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    frames = [Image.new("RGBA", SIZE, (255, 0, 0, level)) for level in (0, 255)]
    frames[0].save(tmp_path / "x.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert [frame.getpixel((0, 0)) for frame in open_frame_source(tmp_path / "x.webp")] == [
        (255, 255, 255),
        (255, 0, 0),
    ]


def test_pictures_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 100, 1):
        Image.new("RGB", (number, 8)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden.png").touch()
    for path in (tmp_path, tmp_path / "*.png", str(tmp_path / "frame[0-9]*")):
        assert [frame.width for frame in open_frame_source(path)] == [1, 9, 10, 100]
    assert [frame.width for frame in open_frame_source(tmp_path / "frame1*.png")] == [1, 10, 100]


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, said in (
        ("gone.mp4", "no such file"),
        ("gone.gif", "no such file"),
        ("gone*.png", "no file matches"),
        ("empty", "holds no pictures"),
    ):
        with pytest.raises(AssetError, match=said):
            open_frame_source(tmp_path / name)


@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.apng", "x.png", "x.mp4", "x.mkv", "x.avi"])
@pytest.mark.parametrize("data", [b"", b"neither picture nor film", b"\0" * 5000])
def test_unreadable_files(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(AssetError, match=r"is not a picture|is no readable video"):
        open_frame_source(tmp_path / name)


def test_a_video_of_no_length(tmp_path: Path) -> None:
    encode(tmp_path / "x.mp4", "-t", "0")
    with pytest.raises(AssetError, match=r"without frames|no readable video"):
        open_frame_source(tmp_path / "x.mp4")


@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.apng", "x.mp4"])
def test_cut_off_files_fail_with_one_line_or_end_early(tmp_path: Path, name: str) -> None:
    data = write(tmp_path / name, list(moving(30, (128, 128))), fps=2).read_bytes()
    for share in (0.1, 0.5, 0.9):
        (tmp_path / f"cut{name}").write_bytes(data[: int(len(data) * share)])
        problem = ""
        try:
            assert 0 < len(list(open_frame_source(tmp_path / f"cut{name}"))) <= 30
        except AssetError as error:
            problem = str(error)
        assert "\n" not in problem


def test_a_list_of_films_leads_nowhere(tmp_path: Path) -> None:
    write(tmp_path / "secret.mp4", list(moving(2)))
    (tmp_path / "x.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(AssetError, match="no readable video"):
        open_frame_source(tmp_path / "x.mp4")


def test_films_can_be_left_early(tmp_path: Path) -> None:
    footage = open_frame_source(write(tmp_path / "x.mp4", list(moving(50))))
    for frame in footage:
        assert frame.size == SIZE
        break
    assert len(read(tmp_path / "x.mp4")) == 50


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_frames_are_brought_to_the_canvas(fit: str) -> None:
    halves = Image.new("RGB", (40, 20), "red")
    halves.paste("blue", (20, 0, 40, 20))
    fitted = fit_frame(halves, (32, 32), fit)
    assert fitted.size == (32, 32)
    assert (fitted.getpixel((1, 16)), fitted.getpixel((30, 16))) == ((255, 0, 0), (0, 0, 255))
    assert fitted.getpixel((1, 1)) == (255, 0, 0)
    assert fit_frame(halves, halves.size, fit).tobytes() == halves.tobytes()


def test_what_fit_shows_of_a_frame() -> None:
    stripes = Image.new("RGB", (60, 20), "red")
    stripes.paste("blue", (20, 0, 40, 20))
    assert fit_frame(stripes, (20, 20), "cover").getcolors() == [(400, (0, 0, 255))]
    assert (
        fit_frame(stripes, (60, 60), "contain").crop((0, 0, 60, 1)).tobytes()
        == stripes.crop((0, 0, 60, 1)).tobytes()
    )
