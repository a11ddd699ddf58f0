"""Bundles that somebody made to do harm, or that are damaged: a clear line each, and nothing left behind."""

import gc
import struct
import tempfile
import zipfile
from pathlib import Path

import pytest

from smd_cli.app.bundle import archive
from smd_cli.app.scenes import load_scene
from smd_cli.app.stream_input import find_stream_input
from smd_cli.errors import SceneError, SmdError
from tests.app.bundle.zips import FILES, SCENE, ended, entry, packed, patched, quoted, renamed

LINK, DEVICE, PIPE = 0o120777, 0o020666, 0o010666
H, L = struct.Struct("<H").pack, struct.Struct("<L").pack


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder to work in, and one for what is temporary, which has to be empty in the end."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    if [*temporary.iterdir()]:
        gc.collect()  # an error that is kept holds what it went through
    assert [*temporary.iterdir()] == []
    assert {path.name for path in tmp_path.iterdir()} <= {"temporary", "b.smd.zip", "secret.png", "there"}


@pytest.fixture(scope="module", autouse=True)
def quick_collection():
    """Let the collector look at what a test makes alone: all that is imported takes it half a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def name_of(steps: str) -> bytes:
    return packed(None, (steps, "x"))


TWO_HEADERS = "two headers that differ"
ANOTHER_WAY = "packed in a way that bundles are not"
BAD = {
    # names
    "up": (lambda: name_of("../up.png"), r"\.\./up\.png leads out of the bundle"),
    "up_within": (lambda: name_of("a/../../up.png"), "leads out of the bundle"),
    "absolute": (lambda: name_of("/etc/cron.d/x"), "/etc/cron.d/x is an absolute path"),
    "drive": (lambda: name_of("c:/x.png"), "c:/x.png is an absolute path"),
    "drive_relative": (lambda: name_of("c:x.png"), "c:x.png is an absolute path"),
    "backslash": (lambda: renamed("a/b", b"a\\b"), "holds a backslash"),
    "backslash_up": (lambda: renamed("../up", b"..\\up"), "holds a backslash"),
    "stream": (lambda: name_of("m.png:x"), "holds :"),
    "dot": (lambda: name_of("./m2.png"), "has an empty step"),
    "twice_slash": (lambda: name_of("a//m2.png"), "has an empty step"),
    "root": (lambda: name_of("/"), "/ has an empty step"),
    "device_name": (lambda: name_of("a/NUL.png"), "is a name that not every system takes"),
    "trailing_dot": (lambda: name_of("a./m.png"), "is a name that not every system takes"),
    "zero": (lambda: renamed("a-b.png", b"a\0b.png"), "holds control characters"),
    "escape": (lambda: name_of("\x1b[31m"), "holds control characters"),
    "line_end": (lambda: name_of("a\nb"), "holds control characters"),
    "not_utf8": (lambda: renamed("a-b", b"a\xffb"), "not UTF-8"),
    "long": (lambda: name_of("x" * 201), "is too long"),
    "deep": (lambda: name_of("x/" * 501 + "y"), "is too long"),
    "twice": (lambda: packed(None, (entry("m.png"), "x")), "m.png is there twice"),
    "case": (lambda: packed(None, ("M.PNG", "x")), "M.PNG is the same as m.png on some systems"),
    "composed": (lambda: packed(None, ("e\u0301", "x"), ("\u00e9", "y")), "is the same as"),
    "file_and_folder": (lambda: packed(None, ("m.png/x", "x")), "m.png/x has m.png, a file, for a folder"),
    "folder_and_file": (lambda: packed(None, ("a/x", "x"), ("a", "x")), "a is a folder as well"),
    # kinds
    "link": (lambda: packed(None, (entry("l", LINK), "/etc/passwd")), "l is a link or a device"),
    "link_folder": (lambda: packed(None, (entry("l/", LINK), "")), "l/ is a link or a device"),
    "device": (lambda: packed(None, (entry("d", DEVICE), "")), "d is a link or a device"),
    "pipe": (lambda: packed(None, (entry("p", PIPE), "")), "p is a link or a device"),
    "folder_of_size": (lambda: packed(None, (entry("f/", 0o40755), "x")), "f/ is a folder of some size"),
    "encrypted": (lambda: patched(packed(), "m.png", 8, H(1), local=6), "m.png is encrypted"),
    "encrypted_list": (lambda: patched(packed(), "m.png", 8, H(0x2000), local=6), ANOTHER_WAY),
    "patch": (lambda: patched(packed(), "m.png", 8, H(0x20), local=6), ANOTHER_WAY),
    "lzma": (lambda: packed(method=zipfile.ZIP_LZMA), ANOTHER_WAY),
    "bzip2": (lambda: packed(method=zipfile.ZIP_BZIP2), ANOTHER_WAY),
    "unknown_method": (lambda: patched(packed(), "m.png", 10, H(99), local=8), ANOTHER_WAY),
    "newer": (lambda: patched(packed(), "m.png", 6, H(0xFFFF)), "is no whole zip file"),
    # headers
    "other_name": (lambda: patched(packed(), "m.png", 0, b"PK", local=30), TWO_HEADERS),
    "other_crc": (lambda: patched(packed(), "m.png", 16, L(1)), TWO_HEADERS),
    "other_size": (lambda: patched(packed(method=8), "m.png", 24, L(3)), TWO_HEADERS),
    "two_sizes": (lambda: patched(packed(), "m.png", 24, L(3), local=22), "m.png has two sizes"),
    "wrong_crc": (lambda: patched(packed(), "m.png", 16, L(1), local=14), "m.png: is damaged"),
    "longer": (lambda: patched(packed(method=8), "m.png", 24, L(9999), local=22), "m.png: is damaged"),
    "shorter": (lambda: patched(packed(method=8), "m.png", 24, L(9), local=22), "m.png: is damaged"),
    "past_the_end": (lambda: patched(packed(), "m.png", 42, L(10**6)), "is no whole zip file"),
    "no_deflate": (lambda: patched(packed(), "m.png", 10, H(8), local=8), "m.png: is damaged"),
    "overlap": (lambda: patched(packed(), "m.png", 42, L(0)), TWO_HEADERS),
    "quoted": (lambda: quoted(30), "share bytes"),
    # the whole
    "empty": (lambda: b"", "is no whole zip file"),
    "text": (lambda: SCENE.encode(), "is no whole zip file"),
    "no_files": (lambda: packed({}), "is a bundle without a scene"),
    "cut": (lambda: packed()[:-1], "cut off"),
    "cut_in_files": (lambda: packed()[:150], "cut off"),
    "trailing": (lambda: packed() + b"\0", "something follows its end"),
    "comment": (lambda: ended(packed(), 20, H(2)) + b"hi", "something follows its end"),
    "another_behind": (lambda: packed() + packed({"day.yaml": "x"}), "do not lie where it says"),
    "before": (lambda: packed()[:4] + packed(), "do not lie where it says"),
    "in_parts": (lambda: ended(packed(), 4, H(1)), "is a part of a zip file in several"),
    "fewer": (lambda: ended(packed(), 8, H(1) + H(1)), "does not hold as many files as it says"),
    "zip64": (lambda: ended(packed(), 16, L(0xFFFFFFFF)), "is a zip64 file"),
    "zip64_locator": (
        lambda: packed(None, (entry("z", comment=b"PK\x06\x07" + bytes(16)), "")),
        "is a zip64 file",
    ),
    "no_scene": (lambda: packed({"m.png": FILES["m.png"]}), "is a bundle without a scene"),
    "two_scenes": (
        lambda: packed(None, ("night.yml", "x")),
        r"is a bundle of 2 scenes; give one of b\.smd\.zip/day\.yaml, b\.smd\.zip/night\.yml",
    ),
    "binary_scene": (lambda: packed({"day.yaml": b"\xff\x00"}), r"b\.smd\.zip/day\.yaml:1:1: is not UTF-8"),
    "zip_in_place_of_a_mask": (lambda: packed({**FILES, "m.png": packed()}), r"b\.smd\.zip/m\.png"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_bundle_is_one_clear_line(kind):
    make, says = BAD[kind]
    Path("b.smd.zip").write_bytes(make())
    with pytest.raises(SmdError, match=says) as told:
        load_scene("b.smd.zip")
    (line,) = told.value.problems
    assert line.startswith("b.smd.zip")
    assert "temporary" not in line
    assert told.value.exit_code in (3, 4)


@pytest.mark.parametrize(
    "text",
    [
        "../secret.png",
        "{}/secret.png",
        "~/secret.png",
        "a/../../secret.png",
        "there/../../secret.png",
        "/dev/zero",
    ],
)
def test_a_scene_in_a_bundle_reads_nothing_outside_of_it(folder, monkeypatch, text):
    monkeypatch.setenv("HOME", str(folder))
    Path("secret.png").write_bytes(FILES["m.png"])
    text = text.format(folder)
    Path("b.smd.zip").write_bytes(packed({"day.yaml": SCENE.replace("m.png", text), "there/x": "x"}))
    with pytest.raises(SceneError) as told:
        load_scene("b.smd.zip")
    says = "leads out of the bundle; a scene in a bundle names files of the bundle alone"
    assert told.value.problems == (f"b.smd.zip/day.yaml:5:38: regions[0].mask: {text!r} {says}",)
    assert told.value.exit_code == 3


MODEL = (
    "model: {{base: {0}, vae: {0}, config: {0}, lcm_lora: {0}, loras: [{{path: {0}}}], "
    "textual_inversions: [{{path: {0}}}]}}\n"
)


def test_every_key_that_names_a_file_is_looked_at(folder):
    text = f"{folder}/secret.png"
    scene = (
        "smd: 1\ncanvas: {width: 64, height: 64}\n"
        + MODEL.format(text)
        + f"background: {{prompt: x, image: {text}}}\n"
        + f"regions: [{{name: a, prompt: a cat, mask: {{image: {text}, color: '#ffffff'}}}}]\n"
        + f"stream:\n  input: {text}\n  timeline:\n    - {{at: 1, region: a, mask: {text}}}\n"
        + f"    - {{at: 1, background: {{image: {text}}}}}\n"
    )
    Path("secret.png").write_bytes(FILES["m.png"])
    Path("b.smd.zip").write_bytes(packed({"day.yaml": scene}))
    with pytest.raises(SceneError) as told:
        load_scene("b.smd.zip")
    assert [problem.place.key for problem in told.value.problems] == [
        *("model.base", "model.vae", "model.loras[0].path", "model.textual_inversions[0].path"),
        *("model.config", "model.lcm_lora", "background.image", "regions[0].mask.image"),
        *("stream.input", "stream.timeline[0].mask", "stream.timeline[1].background.image"),
    ]


@pytest.mark.parametrize(
    "pattern", ["**/../../*.png", "*/../../*.png", "a/**/../../secret.png", "[.][.]/*.png"]
)
def test_no_pattern_leads_out(folder, pattern):
    scene = "smd: 1\ntask: stream\ncanvas: {width: 64, height: 64}\nbackground: {prompt: x}\n"
    scene += f"stream: {{input: '{pattern}'}}\n"
    Path("secret.png").write_bytes(FILES["m.png"])
    (folder / "temporary" / "secret.png").write_bytes(FILES["m.png"])
    Path("b.smd.zip").write_bytes(packed({"day.yaml": scene, "a/b/x": "x"}))
    with pytest.raises(SmdError, match=r"leads out of the bundle|no file matches"):
        find_stream_input(load_scene("b.smd.zip"))
    (folder / "temporary" / "secret.png").unlink()


def test_what_an_option_names_may_lie_elsewhere(folder):
    Path("secret.png").write_bytes(FILES["m.png"])
    Path("b.smd.zip").write_bytes(packed())
    scene = load_scene("b.smd.zip", overrides={"regions[0].mask": f"{folder}/secret.png"})
    assert scene.images.coverage(0) > 0
    del scene


def test_a_bomb_is_refused_unpacked(monkeypatch):
    monkeypatch.setattr(archive.Archive, "copy", lambda *_: pytest.fail("was unpacked"))
    monkeypatch.setattr(archive, "SMALL", 2**22)
    Path("b.smd.zip").write_bytes(packed(None, ("zeros", bytes(archive.SMALL)), method=zipfile.ZIP_DEFLATED))
    with pytest.raises(SceneError, match=r"b\.smd\.zip: would become 4 MiB, \d{3} times its own size"):
        load_scene("b.smd.zip")


def test_a_bundle_of_too_many_files_is_refused(monkeypatch):
    monkeypatch.setattr(archive, "MAX_ENTRIES", 10)
    Path("b.smd.zip").write_bytes(packed(None, *((f"{number}.txt", "") for number in range(9))))
    with pytest.raises(SceneError, match=r"b\.smd\.zip: holds more than 10 files"):
        load_scene("b.smd.zip")


def test_a_list_of_files_that_is_too_long_is_not_read(monkeypatch):
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 100)
    Path("b.smd.zip").write_bytes(packed())
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("was read"))
    with pytest.raises(SceneError, match=r"b\.smd\.zip: holds more than 20,000 files, or a list"):
        load_scene("b.smd.zip")
