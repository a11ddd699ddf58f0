"""Sources: each kind of footage gives its frames in order, and says in one line what is wrong with it."""

import re
import struct
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from smd_cli.errors import AssetError
from smd_cli.media import images
from smd_cli.media.canvas import fit_frame
from smd_cli.media.sources import FrameSource, open_frame_source
from tests.media.films import UNEVEN, damaged, encode, ffmpeg, place_of, shown_at, uneven
from tests.media.frames import SIZE, error, moving, read, scenery, write

FILMS = ("x.gif", "x.webp", "x.apng", "x.mp4", "x")


def seconds(footage: FrameSource) -> list[float]:
    """When each frame begins, and when the last one ends."""
    times = footage.times
    assert times is not None
    return [tick / times.clock for tick in (*times.starts, times.end)]


@pytest.mark.parametrize("name", FILMS)
def test_footage_of_every_kind(tmp_path: Path, name: str) -> None:
    footage = open_frame_source(write(tmp_path / name, list(moving(7)), repeats=1, fps=12))
    frames = list(footage)
    assert (footage.size, footage.frames, len(frames), footage.still) == (SIZE, 8, 8, False)
    if name == "x":
        assert footage.times is None
    else:
        assert seconds(footage) == pytest.approx([frame / 12 for frame in range(9)], abs=0.006)
    assert all(frame.mode == "RGB" and frame.size == SIZE for frame in frames)
    assert [frame.tobytes() for frame in frames] == [frame.tobytes() for frame in footage]
    for frame, wanted in zip(frames, moving(7), strict=False):
        assert error(frame, wanted) < 10


@pytest.mark.parametrize("fps", [7, 24, 29.97, 2.5])
@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.apng", "x.mp4"])
def test_the_rate_is_the_one_that_was_written(tmp_path: Path, name: str, fps: float) -> None:
    times = open_frame_source(write(tmp_path / name, list(moving(50)), fps=fps)).times
    assert times is not None
    assert float(times.rate) == pytest.approx(fps, rel=0.002)


def test_the_times_of_other_programs_animations(tmp_path: Path) -> None:
    frames = list(moving(4))
    for duration, ends in (([100, 300, 50, 550], [0, 0.1, 0.4, 0.45, 1]), (40, [0, 0.04, 0.08, 0.12, 0.16])):
        for name in ("x.gif", "x.webp", "x.png"):
            frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=duration)
            assert seconds(open_frame_source(tmp_path / name)) == ends
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:], duration=0)
    assert seconds(open_frame_source(tmp_path / "x.gif"))[-1] == 0.4  # as browsers show it


def test_the_picture_for_programs_without_animations_is_no_frame(tmp_path: Path) -> None:
    frames = list(moving(3))
    cover = Image.new("RGB", frames[0].size, "blue")
    cover.save(
        tmp_path / "x.png", save_all=True, append_images=frames, default_image=True, duration=[40, 80, 40]
    )
    footage = open_frame_source(tmp_path / "x.png")
    assert seconds(footage) == [0, 0.04, 0.12, 0.16]
    assert [frame.tobytes() for frame in footage] == [frame.tobytes() for frame in frames]


def test_other_views_of_a_photograph_are_no_frames(tmp_path: Path) -> None:
    photo, gains = Image.new("RGB", (64, 48), "red"), Image.new("L", (32, 24), 128)
    photo.save(tmp_path / "x.jpg", "mpo", save_all=True, append_images=[gains])
    footage = open_frame_source(tmp_path / "x.jpg")
    assert footage.still
    assert footage.size == (64, 48)
    (picture,) = footage
    assert picture.size == (64, 48)


def test_the_size_is_that_of_the_first_frame(tmp_path: Path) -> None:
    pages = [Image.new("RGB", size) for size in ((64, 48), (32, 24))]
    pages[0].save(tmp_path / "x.tiff", save_all=True, append_images=pages[1:])
    footage = open_frame_source(tmp_path / "x.tiff")
    assert footage.size == (64, 48)
    assert [frame.size for frame in footage] == [(64, 48), (32, 24)]


@pytest.mark.parametrize("name", ["x.mp4", "x.m4v", "x.mov", "x.mkv", "x.webm", "x.avi"])
def test_films_of_other_programs(tmp_path: Path, name: str) -> None:
    beep = ("-f", "lavfi", "-i", "sine=d=1")
    footage = open_frame_source(encode(tmp_path / name, *beep))
    assert footage.size == (64, 48)
    assert footage.frames == len(list(footage)) == 60
    ours, theirs = seconds(footage), shown_at(tmp_path / name)
    assert ours[:-1] == pytest.approx([time - theirs[0] for time in theirs], abs=0.001)
    assert ours[-1] == pytest.approx(ours[-2] + 1001 / 30000, abs=0.0015)
    assert ours[-1] == pytest.approx(2.002, abs=0.05)  # an AVI file with sound shows its first frame twice
    assert footage.sound is not None
    assert footage.sound.seconds == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("name", ["x.mkv", "x.mp4", "x.avi"])
@pytest.mark.parametrize("codec", [("libx264", "-bf", "3", "-crf", "1"), ("mpeg4", "-bf", "2", "-q:v", "1")])
def test_frames_that_are_stored_in_another_order(tmp_path: Path, name: str, codec: tuple[str, ...]) -> None:
    source = ("-f", "lavfi", "-i", "testsrc2=s=64x48:d=1:r=10")
    plain = list(open_frame_source(encode(tmp_path / "plain.mkv", "-c:v", "ffv1", source=source)))
    footage = open_frame_source(encode(tmp_path / name, "-c:v", *codec, source=source))
    nearest = [min(range(10), key=lambda number: error(frame, plain[number])) for frame in footage]
    assert nearest == list(range(10))
    assert seconds(footage) == pytest.approx([frame / 10 for frame in range(11)])


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparent_films_are_laid_on_white(tmp_path: Path, codec: str) -> None:
    picture = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (16, 16, 32, 32))
    picture.save(tmp_path / "x.png")
    source = ("-loop", "1", "-i", str(tmp_path / "x.png"))
    arguments = ("-pix_fmt", "yuva420p", "-auto-alt-ref", "0")
    film = encode(tmp_path / "x.webm", "-t", "0.2", "-c:v", codec, *arguments, source=source)
    footage = open_frame_source(film)
    frames = list(footage)
    assert footage.frames == len(frames) > 1
    for frame in frames:
        assert min(frame.getpixel((4, 4))) > 250
        red, green, blue = frame.getpixel((24, 24))
        assert red > 240
        assert max(green, blue) < 20


FRAGMENTS = ("-movflags", "+frag_keyframe+empty_moov")


@pytest.mark.parametrize("share", [0.5, 0.8, 0.99])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("x.mp4", ("-movflags", "+faststart")),
        ("x.mp4", FRAGMENTS),
        ("x.mov", ("-movflags", "+faststart")),
        ("x.mkv", ()),
        ("x.webm", ("-live", "1")),
        ("x.avi", ()),
    ],
)
def test_a_film_that_is_cut_off_is_refused(
    tmp_path: Path, name: str, arguments: tuple[str, ...], share: float
) -> None:
    path = encode(tmp_path / name, "-g", "10", *arguments)
    assert open_frame_source(path).frames == len(list(open_frame_source(path))) == 60
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(AssetError, match=rf"{name}: is cut off; (\d+) of its frames are there") as caught:
        open_frame_source(path)
    assert 10 < int(re.findall(r"(\d+) of its", str(caught.value))[0]) <= 60


@pytest.mark.parametrize("within", [0, 10])
def test_a_film_of_which_only_the_last_frame_is_cut(tmp_path: Path, within: int) -> None:
    """Its index still lists the frame; or some of the frame is there."""
    path = encode(tmp_path / "x.mp4", "-c:v", "mjpeg", "-movflags", "+faststart")
    path.write_bytes(path.read_bytes()[: place_of(path, 59)[0] + within])
    with pytest.raises(AssetError, match=r"x\.mp4: is cut off; (59|60) of its frames are there"):
        open_frame_source(path)


def test_frames_that_a_decoder_leaves_out_at_the_end(tmp_path: Path) -> None:
    source = ("-f", "lavfi", "-i", "testsrc2=s=128x96:d=1:r=15")
    path = encode(tmp_path / "x.mkv", "-c:v", "mpeg2video", source=source)
    data = bytearray(path.read_bytes())
    for start, end in (place_of(path, 13), place_of(path, 14)):
        data[start:end] = bytes(end - start)
    path.write_bytes(data)
    with pytest.raises(AssetError, match=r"^frame 13 of 15 cannot be read"):
        list(open_frame_source(path))


def test_a_film_that_is_shorter_than_it_says_is_noted(tmp_path: Path) -> None:
    pattern = ("-f", "lavfi", "-i", "testsrc=s=64x48:d=4:r=10")
    path = encode(tmp_path / "x.mkv", "-c:v", "mjpeg", source=pattern)
    assert open_frame_source(path).notes == ()
    lasts = b"\x44\x89\x88" + struct.pack(">d", 4000)  # the element Duration
    assert lasts in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(lasts, lasts[:3] + struct.pack(">d", 9000)))
    said = f"{path}: says that it lasts 9 s, but ends after 4 s; it may be cut off"
    assert open_frame_source(path).notes == (said,)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("x.mp4", ("libx264", "-bf", "0")),
        ("x.mp4", ("libx264", "-bf", "0", *FRAGMENTS)),
        ("x.mp4", ("mpeg4",)),
        ("x.mkv", ("libx264", "-bf", "0")),
        ("x.mkv", ("mpeg2video",)),
        ("x.avi", ("mpeg4",)),
        ("x.mov", ("png",)),
    ],
)
def test_damage_within_a_film_is_told_with_the_number_of_the_frame(
    tmp_path: Path, name: str, codec: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Some decoders make something of it; where one gives up, the film ends there."""
    source = ("-f", "lavfi", "-i", "testsrc2=s=128x96:d=2:r=15")
    path = encode(tmp_path / name, "-c:v", *codec, source=source)
    whole = list(open_frame_source(path))
    footage, found, ended = open_frame_source(damaged(path, 14)), [], ""
    assert footage.frames == len(whole) == 30
    try:
        found.extend(footage)  # which keeps what came before
    except AssetError as error:
        ended = str(error)
    assert [frame.tobytes() for frame in found[:14]] == [frame.tobytes() for frame in whole[:14]]
    if ended:
        assert ended.startswith(f"frame 14 of 30 cannot be read: {path}: is damaged there")
        assert len(found) == 14
    else:
        assert caplog.messages == [f"{path}: frame 14 is damaged; what can be decoded of it is used"]
        assert len(found) == 30


@pytest.mark.parametrize("name", ["x.mkv", "x.webm"])
def test_a_part_that_ffmpeg_would_pass_over_is_missed(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path / name, "-cluster_time_limit", "200")
    data, (place, _) = path.read_bytes(), place_of(path, 30)
    start = data.rindex(b"\x1f\x43\xb6\x75", 0, place)  # the cluster that the frame is in
    path.write_bytes(data[:start] + bytes(16) + data[start + 16 :])
    with pytest.raises(AssetError, match=rf"is damaged at byte {start:,}; \d+ of its frames are there"):
        open_frame_source(path)


GOOD = {
    "frames that refer to those before the cut": (
        "x.mkv",
        ("libx264", "-x264-params", "open-gop=1:keyint=9"),
    ),
    "the same in mp4": ("x.mp4", ("libx264", "-x264-params", "open-gop=1:keyint=9")),
    "no key frames": ("x.mp4", ("libx264", "-x264-params", "intra-refresh=1:keyint=9")),
    "hidden frames": ("x.webm", ("libvpx-vp9", "-lag-in-frames", "25", "-auto-alt-ref", "1", "-speed", "6")),
    "frames that are stored with others": ("x.avi", ("libxvid", "-bf", "2")),
    "times that run back": ("x.mov", ("libxvid", "-bf", "2")),
    "a fragment a frame": ("x.mp4", ("libx264", "-movflags", "frag_every_frame+empty_moov")),
}


@pytest.mark.parametrize("kind", GOOD)
def test_films_that_are_whole_in_their_way(tmp_path: Path, kind: str) -> None:
    """Also those whose decoder gives other numbers of frames than the container has."""
    name, codec = GOOD[kind]
    sound = ("-f", "lavfi", "-i", "sine=d=2.2")
    whole = encode(tmp_path / name, *sound, "-c:v", *codec)
    part = encode(tmp_path / f"part{name}", "-c", "copy", source=("-ss", "0.7", "-i", str(whole)))
    for path in (whole, part):
        footage = open_frame_source(path)
        assert footage.notes == ()
        assert len(list(footage)) == footage.frames > 30


def test_rare_decoders_are_not_used(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="no readable video: zmbv is not decoded"):
        open_frame_source(encode(tmp_path / "x.avi", "-c:v", "zmbv"))


def test_films_of_odd_size(tmp_path: Path) -> None:
    odd = open_frame_source(encode(tmp_path / "x.mkv", "-c:v", "ffv1", "-vf", "scale=33:17,setsar=1"))
    assert {frame.size for frame in odd} == {odd.size} == {(33, 17)}


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.webm", "x.mov"])
def test_a_variable_rate_is_kept(tmp_path: Path, name: str) -> None:
    footage = open_frame_source(uneven(tmp_path / name))
    assert footage.frames == len(list(footage)) == len(UNEVEN)
    assert seconds(footage) == pytest.approx([*UNEVEN, 2.6], abs=0.0015)


def test_frames_before_the_first_key_frame_are_no_frames(tmp_path: Path) -> None:
    """Of a film that was cut without encoding it again, what its edit list hides is not shown."""
    whole = encode(
        tmp_path / "whole.mp4", "-g", "20", source=("-f", "lavfi", "-i", "testsrc=s=64x48:d=5:r=10")
    )
    encode(tmp_path / "cut.mp4", "-c", "copy", source=("-ss", "3.3", "-i", str(whole)))
    footage = open_frame_source(tmp_path / "cut.mp4")
    frames = list(footage)
    assert footage.frames == len(frames) == 17
    assert seconds(footage) == pytest.approx([frame / 10 for frame in range(18)], abs=0.001)
    assert error(frames[0], list(open_frame_source(whole))[33]) < 2


def disc(path: Path, *arguments: str, box: tuple[int, int, int, int] = (20, 10, 60, 50)) -> Path:
    """A film of a white disc on black, 80x60 px, above a grey bottom."""
    picture = Image.new("RGB", (80, 60))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 54, 80, 60), fill=(90, 90, 90))
    draw.ellipse(box, fill="white")
    picture.save(path.with_suffix(".png"))
    return encode(path, "-t", "0.2", *arguments, source=("-loop", "1", "-i", str(path.with_suffix(".png"))))


def extent(picture: Image.Image) -> tuple[int, int]:
    """Width and height of what is white."""
    left, top, right, bottom = picture.convert("L").point(lambda level: 255 * (level > 170)).getbbox()
    return right - left, bottom - top


@pytest.mark.parametrize(("aspect", "size"), [("64/45", (114, 60)), ("1/2", (80, 120)), ("1", (80, 60))])
def test_pixels_that_are_not_square_are_made_square(
    tmp_path: Path, aspect: str, size: tuple[int, int]
) -> None:
    wide = float(Fraction(aspect))
    squeezed = (20, 10, round(20 + 40 / wide), 50) if wide >= 1 else (20, 10, 60, round(10 + 40 * wide))
    footage = open_frame_source(disc(tmp_path / "x.mp4", "-vf", f"setsar={aspect}", box=squeezed))
    (picture, *_) = footage
    assert footage.size == picture.size == size
    width, height = extent(picture)
    assert abs(width - height) <= 2


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_film_stands_upright(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    """As ffmpeg itself shows it."""
    plain, turned = disc(tmp_path / "x.mp4", "-pix_fmt", "yuv420p"), tmp_path / "turned.mp4"
    flip = ("-display_hflip",) if mirrored else ()
    encode(turned, "-c", "copy", source=("-display_rotation", str(degrees), *flip, "-i", str(plain)))
    ffmpeg("-loglevel", "error", "-i", str(turned), "-frames:v", "1", str(tmp_path / "upright.png"))
    footage = open_frame_source(turned)
    (picture, *_) = footage
    with Image.open(tmp_path / "upright.png") as upright:
        assert footage.size == picture.size == upright.size
        assert error(picture, upright.convert("RGB")) < 3


def test_a_phone_s_anamorphic_film_lies_the_right_way(tmp_path: Path) -> None:
    """Pixels are widened as they are stored, before the film is turned."""
    plain = disc(tmp_path / "x.mp4", "-vf", "setsar=2", box=(20, 10, 40, 50))
    turned = encode(tmp_path / "t.mp4", "-c", "copy", source=("-display_rotation", "90", "-i", str(plain)))
    (picture, *_) = open_frame_source(turned)
    assert picture.size == (60, 160)
    width, height = extent(picture)
    assert abs(width - height) <= 2


def test_hdr_is_said(tmp_path: Path) -> None:
    tags = ("-vf", "setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc")
    (note,) = open_frame_source(encode(tmp_path / "x.mp4", *tags)).notes
    assert "HDR" in note
    assert open_frame_source(encode(tmp_path / "y.mp4")).notes == ()


def test_films_with_alpha_lie_on_white(tmp_path: Path) -> None:
    source = ("-f", "lavfi", "-i", "color=red@0:s=32x32:d=0.2:r=10,format=rgba")
    (picture, *_) = open_frame_source(encode(tmp_path / "x.mov", "-c:v", "qtrle", source=source))
    assert picture.getpixel((3, 3)) == (255, 255, 255)


def test_one_picture(tmp_path: Path) -> None:
    scenery().save(tmp_path / "x.png")
    footage = open_frame_source(tmp_path / "x.png")
    assert (footage.size, footage.times, footage.frames, footage.still) == (SIZE, None, 1, True)
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


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.apng"])
def test_an_animation_that_is_cut_off_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = write(tmp_path / name, list(moving(30, (128, 128))))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(AssetError, match=rf"^(frame \d+ of \d+ cannot .*)?{tmp_path}/{name}: is damaged"):
        open_frame_source(path)


@pytest.mark.parametrize("kind", [b"IDAT", b"fdAT"])
def test_rows_of_an_animated_png_that_are_missing(tmp_path: Path, kind: bytes) -> None:
    path = write(tmp_path / "x.apng", list(moving(4)))
    data = path.read_bytes()
    start = data.index(kind) - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    path.write_bytes(data[:start] + data[end:])
    with pytest.raises(
        AssetError, match=r"x\.apng: is damaged or cannot be read|frame \d of 4 cannot be read"
    ):
        open_frame_source(path)


def test_an_animation_without_an_end(tmp_path: Path) -> None:
    """A frame can be a few bytes long, and each one costs as much as the canvas."""
    frame = b"!\xf9\4\4\5\0\0\0" + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    for side, frames, said in (
        (4, 20_001, "20,001 frames of 4x4 px"),
        (8000, 100, "100 frames of 8000x8000"),
    ):
        header = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
        (tmp_path / "x.gif").write_bytes(header + frame * frames + b";")
        with pytest.raises(AssetError, match=rf"x\.gif: has {said}.*, too many for an animation"):
            open_frame_source(tmp_path / "x.gif")


@pytest.mark.parametrize("name", ["x", "x.mp4", "x.gif"])
def test_frames_are_not_larger_than_a_canvas_needs(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "PHOTO_PIXELS", 1000)
    path = write(tmp_path / name, list(moving(2)))
    assert open_frame_source(path, (64, 64)).frames == 2
    with pytest.raises(AssetError, match="far more than a canvas of 4x4 px needs"):
        open_frame_source(path, (4, 4))


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile secret.mp4\n", "#EXTM3U\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n"]
)
def test_a_list_of_films_leads_nowhere(tmp_path: Path, text: str) -> None:
    write(tmp_path / "secret.mp4", list(moving(2)))
    (tmp_path / "x.mp4").write_text(text)
    with pytest.raises(AssetError, match="no readable video"):
        open_frame_source(tmp_path / "x.mp4")


def test_titles_that_are_no_text_are_no_matter(tmp_path: Path) -> None:
    data = encode(tmp_path / "x.webm", "-metadata", "title=Holiday").read_bytes()
    (tmp_path / "y.webm").write_bytes(data.replace(b"Holiday", b"H\x82li\xdday"))
    assert open_frame_source(tmp_path / "y.webm").frames == 60


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


def test_a_folder_whose_name_looks_like_a_pattern(tmp_path):
    from smd_cli.media.frame_files import frame_files

    folder = tmp_path / "a [1]*" / "frames"
    folder.mkdir(parents=True)
    (folder / "1.png").touch()
    assert (
        frame_files(folder / "*.png") == frame_files(folder.parent / "**" / "[1].png") == [folder / "1.png"]
    )


def test_a_pattern_at_any_depth_follows_no_links_to_folders(tmp_path):
    """Two links that lead back would double the folders at each of forty levels."""
    from smd_cli.media.frame_files import frame_files

    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for link in ("x", "y"):
        (tmp_path / "a" / link).symlink_to("..")
    wanted = [tmp_path / "10.png", tmp_path / "a" / "9.png", deep / "1.png"]
    for path in (*wanted, tmp_path / ".hidden" / "2.png"):
        path.touch()
    assert set(frame_files(tmp_path / "**" / "*.png")) == set(wanted)
    assert frame_files(tmp_path / "*" / "**" / "b" / "*.png") == [deep / "1.png"]
