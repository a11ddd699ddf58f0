"""Pictures and films that are cut, flipped and spliced: each is opened, or refused in one line."""

from __future__ import annotations

import resource
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from smd_cli import load_scene
from smd_cli.errors import AssetError, SceneError
from smd_cli.media.images import open_picture, picture_size
from smd_cli.media.recipe import read_recipe
from smd_cli.media.sources import count_frames, open_frame_source
from smd_cli.media.texts import why_foreign
from tests.hostile.rules import TIMES, TRIED
from tests.media.films import encode

CANVAS = (64, 64)
FILMS = {
    "a.mp4": ("libx264",),
    "fragments.mp4": ("libx264", "-g", "2", "-movflags", "frag_keyframe+empty_moov"),
    "a.mov": ("qtrle",),
    "a.mkv": ("ffv1",),
    "a.webm": ("libvpx",),
    "a.avi": ("mpeg4",),
}
SCENE = """\
smd: 1
seed: 1
canvas: {{width: 64, height: 64}}
background: {{prompt: snow, image: {name}}}
regions: [{{name: a, prompt: a house, mask: {name}}}]
"""
NUMBERS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    100_000_000,
    2**31 - 1,
    2**31,
    2**32 - 2,
    2**32 - 1,
)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    if more := options.get("append_images"):  # which Pillow leaves marks in
        options["append_images"] = [each.copy() for each in more]
    image.copy().save(file, kind, **options)
    return file.getvalue()


@cache
def pictures() -> dict[str, bytes]:
    """Small files of every kind that is read, and of the kinds of pixels in them."""
    shades = Image.linear_gradient("L").resize((24, 20))
    photo = Image.merge("RGB", [shades, shades.rotate(180), shades.rotate(90)])
    film: dict[str, Any] = {"save_all": True, "append_images": [photo.rotate(90), photo.rotate(180)]}
    exif = Image.Exif()
    exif[0x0112] = 6
    two = shades.convert("1")
    made = {
        "rgb.png": saved(photo, "PNG", exif=exif),
        "palette.png": saved(photo.quantize(17), "PNG", transparency=3),
        "deep.png": saved(shades.convert("I;16"), "PNG"),
        "film.png": saved(photo, "PNG", duration=50, **film),
        "a.jpg": saved(photo, "JPEG", exif=exif),
        "progressive.jpg": saved(photo, "JPEG", progressive=True),
        "views.jpg": saved(photo, "MPO", **film),
        "a.webp": saved(photo.convert("RGBA"), "WEBP", exif=exif),
        "film.webp": saved(photo, "WEBP", lossless=True, **film),
        "film.gif": saved(photo, "GIF", duration=50, comment=b"hello", **film),
        "a.bmp": saved(photo, "BMP"),
        "rows.bmp": saved(two, "BMP"),
        "a.avif": saved(photo, "AVIF"),
        "film.avif": saved(photo, "AVIF", **film),
        "a.ppm": saved(photo, "PPM"),
    }
    for packed in (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        made[f"{packed}.tif"] = saved(photo, "TIFF", compression=packed)
    made["fax.tif"] = saved(two, "TIFF", compression="group4")
    made["pages.tif"] = saved(photo, "TIFF", **film)
    return made


def films(folder: Path) -> dict[str, bytes]:
    """Half a second of a film with sound in every container."""
    source = ("-f", "lavfi", "-i", "testsrc2=s=48x32:d=0.5:r=10")
    sound = ("-f", "lavfi", "-i", "sine=d=0.5")
    return {
        name: encode(folder / name, *sound, "-c:v", *codec, source=source).read_bytes()
        for name, codec in FILMS.items()
    }


def mutated(random: Random, data: bytes, other: bytes) -> bytes:
    """Return a file with a few changes; half of them near its beginning, where sizes stand."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        start = random.randrange(max(1, min(len(changed), random.choice((120, len(changed))))))
        some, place = random.randrange(1, 64), random.randrange(len(other))
        match random.randrange(8):
            case 0:
                changed[start : start + 1] = bytes([random.choice((0, 1, 0x7F, 0x80, 0xFF))])
            case 1:
                changed[start : start + 1] = bytes([data[start % len(data)] ^ 1 << random.randrange(8)])
            case 2:
                del changed[start:]
            case 3:
                del changed[start : start + some]
            case 4:
                changed[start:start] = random.randbytes(some)
            case 5:
                order = random.choice("<>")
                changed[start : start + 4] = struct.pack(f"{order}I", random.choice(NUMBERS))
            case 6:
                changed[start : start + some] = other[place : place + 4 * some]
            case _:
                changed[start : start + some] = bytes(some)
    return bytes(changed)


@contextmanager
def bounded() -> Iterator[None]:
    """Fail where a file takes half a minute, or hundreds of megabytes."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(30)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 300 << 10


def look(attack: str, see: Callable[[Path], Any], path: Path) -> Any:
    """Return what is seen in a file; None where it is refused in one line."""
    TRIED[attack] += 1
    problems: tuple[str, ...] = ()
    seen = None
    with bounded():
        try:
            seen = see(path)
        except (AssetError, SceneError) as error:
            problems = error.problems
    assert not any("\n" in problem for problem in problems)
    return seen


def frames(path: Path) -> None:
    for number, frame in enumerate(open_frame_source(path, CANVAS)):
        frame.load()
        if number == 20:
            break


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", pictures())
def test_mutated_pictures(kind: str, folder: Path) -> None:
    random, (path, seeds) = Random(None if TIMES > 1 else kind), (folder / kind, pictures())
    (folder / "scene.yaml").write_text(SCENE.format(name=kind))
    sights = (
        lambda path: open_picture(path, CANVAS, may_reduce=True),
        lambda _: load_scene("scene.yaml"),
        *(picture_size, frames, count_frames, read_recipe, why_foreign),
    )
    for _ in range(48 * TIMES):
        path.write_bytes(mutated(random, seeds[kind], random.choice(list(seeds.values()))))
        for see in sights:
            look("mutated pictures", see, path)


@pytest.mark.filterwarnings("ignore")
def test_mutated_films(folder: Path) -> None:
    random, seeds = Random(None if TIMES > 1 else 5), films(folder)
    for kind, data in seeds.items():
        for _ in range(48 * TIMES):
            (folder / kind).write_bytes(mutated(random, data, random.choice(list(seeds.values()))))
            for see in (frames, count_frames, read_recipe, why_foreign):
                look("mutated films", see, folder / kind)


def shown(path: Path) -> list[bytes]:
    return [frame.tobytes() for frame in open_frame_source(path, CANVAS)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [*pictures(), *FILMS])
def test_what_is_cut_off_is_never_shown_as_something_else(kind: str, folder: Path) -> None:
    """It is refused; or whole, where all that is cut are bytes that mean nothing."""
    data = pictures()[kind] if kind not in FILMS else films(folder)[kind]
    (folder / kind).write_bytes(data)
    whole = shown(folder / kind)
    for length in range(1, len(data), len(data) // 20):
        (folder / kind).write_bytes(data[:length])
        assert look("pictures and films that are cut off", shown, folder / kind) in (None, whole)
