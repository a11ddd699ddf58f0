"""The folder that a bundle is unpacked into: private, and gone in the end, whatever the end is."""

import copy
import gc
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from smd_cli import messages
from smd_cli.app.scenes import load_scene
from smd_cli.errors import SmdError
from smd_cli.messages import Message
from tests.app.bundle.zips import packed

HOLD = """\
import sys, time
from smd_cli.interrupts import handle_signals
handle_signals()
from smd_cli.app.scenes import load_scene
scene = load_scene("b.smd.zip")
print(scene.origin.bundle.folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    Path("b.smd.zip").write_bytes(packed())
    return tmp_path / "temporary"


def holding():
    """A process that has a bundle open, and where that lies."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, Path(process.stdout.readline().strip())


def test_nobody_else_can_look_into_it_and_it_goes_with_the_scene():
    scene = load_scene("b.smd.zip")
    folder = scene.origin.bundle.folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in folder.iterdir()} == {"day.yaml", "m.png"}
    again = load_scene("b.smd.zip")
    assert again.origin.bundle is scene.origin.bundle  # unpacked once
    kept = again.for_task("panorama")
    del scene, again
    gc.collect()
    assert folder.is_dir()
    kept.release_images()
    assert kept.images.masks
    del kept
    gc.collect()
    assert not folder.exists()


def test_a_bundle_that_has_changed_is_unpacked_anew():
    scene = load_scene("b.smd.zip")
    Path("b.smd.zip").write_bytes(packed(None, ("more.txt", "x")))
    other = load_scene("b.smd.zip")
    assert other.origin.bundle.folder != scene.origin.bundle.folder
    assert (other.origin.bundle.folder / "more.txt").read_text() == "x"


def test_copies_for_other_processes_hold_nothing_and_call_the_folder_so(monkeypatch):
    scene = load_scene("b.smd.zip")
    folder = scene.origin.bundle.folder
    monkeypatch.setattr(messages, "_called", {})  # as another process begins
    other = copy.deepcopy(scene.origin.bundle)  # as a pickle is
    assert (other.file, other.folder) == (Path("b.smd.zip"), folder)
    assert Message(f"{other.folder}/m.png: is damaged").text == "b.smd.zip/m.png: is damaged"
    del other
    gc.collect()
    assert folder.is_dir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, None])
def test_it_goes_with_the_process(number):
    process, folder = holding()
    with process:
        assert (folder / "m.png").exists()
        if number is None:
            process.stdin.close()
        else:
            process.send_signal(number)
        assert process.wait() == (0 if number is None else 128 + number)
    assert not folder.exists()


def test_what_a_killed_process_leaves_the_next_one_clears_and_no_other(temporary):
    killed, left = holding()
    with killed:
        killed.kill()
    living, held = holding()
    with living:
        assert not left.exists()
        assert held.exists()
        mine = temporary / "smd-bundle-of-mine"
        mine.mkdir()
        scene = load_scene("b.smd.zip")
        assert {path.name for path in temporary.iterdir()} == {
            mine.name,
            held.name,
            scene.origin.bundle.folder.name,
        }
        living.stdin.close()
    assert not held.exists()


def test_a_link_in_place_of_a_folder_is_left_alone(temporary, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    scene = load_scene("b.smd.zip")
    link = temporary / (scene.origin.bundle.folder.name[:-8] + "00000000")
    link.symlink_to(tmp_path / "precious")
    Path("c.smd.zip").write_bytes(packed(None, ("more.txt", "x")))
    load_scene("c.smd.zip")
    assert link.readlink() == tmp_path / "precious"
    assert (tmp_path / "precious" / "file").read_text() == "mine"


def test_a_full_disk_is_told_and_nothing_stays(temporary, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("smd_cli.app.bundle.archive.Archive.copy", full)
    with pytest.raises(SmdError, match=r"b\.smd\.zip: cannot be unpacked: No space left on device"):
        load_scene("b.smd.zip")
    assert [*temporary.iterdir()] == []
