"""Pictures in every format: what they show, what they carry, and what is refused before any work."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smd_cli.errors import AssetError, UsageError
from smd_cli.media.frame_files import FIRST_FRAME
from smd_cli.media.recipe import Recipe, read_recipe
from smd_cli.media.sinks import open_sink
from smd_cli.media.stills import check_still, check_texts, encode_still
from smd_cli.media.texts import is_own, read_texts
from smd_cli.media.xmp import read_xmp_comment, xmp_packet
from smd_cli.scene.frame_times import EvenTimes
from tests.media.recipes import small_recipe

PART = {"prompt": 'größer & "kleiner" <b>\nzwei', "negative_prompt": ""}
RECIPE = small_recipe(PART)
SUFFIXES = [".png", ".jpg", ".webp", ".avif"]


def picture() -> Image.Image:
    """A red and a blue half, which formats that halve the resolution of colours smear, over a ramp."""
    levels = np.zeros((64, 96, 3), np.uint8)
    levels[:, 31:, 2] = np.linspace(80, 255, 65).astype(np.uint8)
    levels[:, :31, 0] = 200
    return Image.fromarray(levels)


def write(path: Path, recipe: Recipe | None = RECIPE) -> Path:
    path.write_bytes(encode_still(picture(), path.suffix, recipe.texts() if recipe else None))
    return path


def said(path: Path) -> dict[str, str]:
    """What another reader, Pillow's, finds in the XMP."""
    with Image.open(path) as image:
        return image.getxmp()["xmpmeta"]["RDF"]["Description"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_shows_what_was_painted_and_carries_its_recipe(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}")
    with Image.open(path) as image:
        assert image.format == {".jpg": "JPEG"}.get(suffix, suffix[1:].upper())
        shown = np.asarray(image.convert("RGB")).astype(float)
    lost = np.abs(shown - np.asarray(picture()))
    assert lost.max() <= (0 if suffix in (".png", ".webp") else 40)
    assert lost.mean() <= 1.5
    assert read_recipe(path) == RECIPE
    assert read_texts(path)["parameters"] == RECIPE.parameters()
    assert is_own(path)
    assert write(tmp_path / f"y{suffix}").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "trainedAlgorithmicMedia"),
        ({"background": {**PART, "image": "photo.png"}}, "compositeWithTrainedAlgorithmicMedia"),
        ({"stream": {"input": "film.mp4"}}, "trainedAlgorithmicMedia"),
    ],
)
def test_it_says_in_iptcs_words_that_a_model_made_it(
    tmp_path: Path, suffix: str, changes: dict[str, object], word: str
) -> None:
    recipe = Recipe(**{**vars(RECIPE), "scene": {**RECIPE.scene, **changes}})
    path = write(tmp_path / f"x{suffix}", recipe)
    assert said(path)["DigitalSourceType"] == f"http://cv.iptc.org/newscodes/digitalsourcetype/{word}"


@pytest.mark.parametrize("name", ["x.webp", "x.apng", "x/"])
def test_animations_say_it_too(tmp_path: Path, name: str) -> None:
    target = f"{tmp_path}/{name}"
    sink = open_sink(target, size=(96, 64), times=EvenTimes.of(10), loop=0, texts=RECIPE.texts())
    sink.add(picture())
    sink.add(picture().transpose(Image.Transpose.FLIP_TOP_BOTTOM).point(lambda level: 255 - level))
    sink.close()
    path = Path(target) / FIRST_FRAME if name == "x/" else Path(target)
    assert said(path)["DigitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert read_recipe(path) == RECIPE


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_metadata_there_is_none(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}", None)
    data = path.read_bytes()
    assert not any(word in data for word in (b"smd", b"xmp", b"iptc", b"adobe", b"flatland"))
    with Image.open(path) as image:
        assert not image.getxmp()
        assert not image.getexif()
    with pytest.raises(AssetError, match="carries no smd recipe"):
        read_recipe(path)


def test_what_cannot_be_written_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in (*SUFFIXES, ".JPEG", ".PNG"):
        check_still(Path(f"a{suffix}"), (16_000, 64))
    with pytest.raises(UsageError, match=r"^--output a\.bmp: give a name that ends in \.png, .* or \.avif$"):
        check_still(Path("a.bmp"), (64, 64), option="--output")
    with pytest.raises(UsageError, match=r"\.webp holds at most 16383 px a side"):
        check_still(Path("a.webp"), (64, 16_384))
    monkeypatch.setattr("PIL.features.get_supported", lambda: ["webp"])
    check_still(Path("a.webp"), (64, 64))
    with pytest.raises(AssetError, match=r"this Pillow writes no \.avif; pip install -U pillow"):
        check_still(Path("a.avif"), (64, 64))


def test_a_jpeg_has_room_for_64_kib_of_texts() -> None:
    long = {"smd": "x" * 70_000}
    for suffix in (".png", ".webp", ".avif"):
        check_texts(Path(f"a{suffix}"), lambda: long)
        encode_still(picture(), suffix, long)
    with pytest.raises(UsageError, match=r"too long for \.jpg; give a \.png, or --no-metadata"):
        check_texts(Path("a.jpg"), lambda: long)
    room = 65_502 - len(xmp_packet(None, json.dumps({"Software": "smd 0.1.0", "smd": ""}).replace('"', "'")))
    fits = {"smd": "x" * (room - 200)}
    check_texts(Path("a.jpg"), lambda: fits)
    encode_still(picture(), ".jpg", fits)


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    "packet",
    [
        "",
        "no xml",
        "<a",
        "<a/>",
        re.sub(r"(\?>\n)", rf"\1{LAUGHS}", xmp_packet(None, "&b;").decode().replace("&amp;", "&"), count=1),
        "<a>" * 100_000,
        b"\xff\xfe\x00",
        xmp_packet(None, "x" * (1 << 24)),
    ],
)
def test_packets_of_others_are_read_with_care(packet: str | bytes) -> None:
    assert read_xmp_comment(packet) == ""


def test_a_packet_that_another_program_wrote_again(tmp_path: Path) -> None:
    """Editors keep the properties but write them as elements, or in another order."""
    packet = xmp_packet("http://x", '{"smd": "a"}').decode()
    value = re.search(r"smd:texts=(['\"])(.*?)\1", packet)
    assert value is not None
    as_element = packet.replace(value[0], "").replace(
        "/>\n </rdf", f"><smd:texts>{value[2]}</smd:texts></rdf:Description>\n </rdf"
    )
    assert read_xmp_comment(packet) == read_xmp_comment(as_element) == '{"smd": "a"}'
