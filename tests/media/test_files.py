"""Writing: whole or not at all, and only where the user wants it."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.errors import SmdError, UsageError
from smd_cli.media.drafts import Draft, clear_leftovers
from smd_cli.media.files import Existing, check_target, replacing, write_bytes
from smd_cli.media.png import encode_png
from smd_cli.media.runs import LONGEST_SILENCE, Machine


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert files(path.parent) == ["x.bin"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_write_that_fails_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["x.bin"]


def test_a_name_as_long_as_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("ö" * 125 + ".png")
    write_bytes(path, b"")
    assert files(tmp_path) == [path.name]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real.bin").touch()
    (tmp_path / "x.bin").symlink_to("real.bin")
    write_bytes(tmp_path / "x.bin", b"new")
    assert (tmp_path / "x.bin").is_symlink()
    assert (tmp_path / "real.bin").read_bytes() == b"new"


def test_the_system_s_refusal_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SmdError, match="cannot be written: File name too long"):
        write_bytes(tmp_path / ("x" * 300), b"")


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_bytes(tmp_path / "x.bin", b"")
    assert (tmp_path / "x.bin").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("existing", list(Existing))
def test_a_new_file_is_always_written(tmp_path: Path, existing: Existing) -> None:
    assert check_target(tmp_path / "new" / "x.png", existing)
    assert files(tmp_path) == []


def test_policies_for_a_file_that_exists(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    for foreign in (b"", b"not a picture"):
        path.write_bytes(foreign)
        with pytest.raises(UsageError, match="no picture of smd's"):
            check_target(path)
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(UsageError, match="carries no recipe"):
        check_target(path)
    assert check_target(path, Existing.OVERWRITE)
    assert not check_target(path, Existing.SKIP)
    with pytest.raises(UsageError, match="exists already"):
        check_target(path, Existing.FAIL)


def test_pictures_of_its_own_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encode_png(Image.new("RGB", (8, 8)), {}))
    assert check_target(path)
    path.write_bytes(encode_png(Image.new("RGB", (8, 8)), None))
    with pytest.raises(UsageError, match="carries no recipe"):
        check_target(path)


def test_targets_that_cannot_be_files(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("gone")
    for path, said in (
        (tmp_path, "is a directory"),
        (tmp_path / "file" / "x.png", "is a file, not a folder"),
        (tmp_path / "link", "is a broken link to gone"),
        (Path("/dev/null"), "is no regular file"),
        (tmp_path / ("x" * 300), "cannot be written"),
        (tmp_path / "gone" / ".." / "new.png", "gone: no such folder, so no .. from there"),
        (tmp_path / "file" / ".." / "new.png", "file: no such folder"),
    ):
        with pytest.raises(UsageError, match=said):
            check_target(path)


def test_a_file_behind_a_folder_that_is_not_there_is_not_replaced(tmp_path: Path) -> None:
    """Systems say that it does not exist, as the folder does not; the path resolved leads to it."""
    (tmp_path / "theirs.png").write_bytes(b"theirs")
    path = tmp_path / "gone" / ".." / "theirs.png"
    for existing in Existing:
        with pytest.raises(UsageError, match="no such folder"):
            check_target(path, existing)
    with pytest.raises(UsageError, match="no such folder"):
        write_bytes(path, b"ours", lambda: check_target(path))
    assert (tmp_path / "theirs.png").read_bytes() == b"theirs"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        check_target(Path("/proc/self/x.png"))


def test_a_file_that_appears_meanwhile_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "x.png"

    def refuse() -> None:
        assert path.read_bytes() == b"theirs"
        raise UsageError("appeared")

    write_bytes(path, b"theirs", refuse)  # nothing is in the way
    with pytest.raises(UsageError, match="appeared"):
        write_bytes(path, b"ours", refuse)
    assert path.read_bytes() == b"theirs"
    write_bytes(path, b"ours", lambda: check_target(path, Existing.OVERWRITE))
    assert path.read_bytes() == b"ours"
    assert files(tmp_path) == ["x.png"]


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV])
def test_file_systems_without_hard_links(tmp_path: Path, error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "x.png"
    write_bytes(path, b"one", lambda: check_target(path, Existing.FAIL))
    with pytest.raises(UsageError, match="exists already"):
        write_bytes(path, b"two", lambda: check_target(path, Existing.FAIL))
    assert path.read_bytes() == b"one"
    draft = Draft(tmp_path / "gone.png")
    draft.create()
    draft.temporary.unlink()
    with pytest.raises(FileNotFoundError):
        draft.commit()
    draft.discard()
    assert files(tmp_path) == ["x.png"]


RACE = """
import os, sys
from functools import partial
from pathlib import Path
from smd_cli.errors import UsageError
from smd_cli.media.files import Existing, check_target, write_bytes
won = 0
for number in range(int(sys.argv[2])):
    path = Path(sys.argv[1], f"{number}.bin")
    try:
        write_bytes(path, f"{os.getpid()} ".encode() * 1000, partial(check_target, path, Existing.FAIL))
        won += 1
    except UsageError:
        pass
print(won)
"""


def test_of_runs_that_write_at_once_one_wins(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACE, str(tmp_path / "f"), "100"]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    won = [int(racer.communicate()[0]) for racer in racers]
    assert sum(won) == 100
    assert len(files(tmp_path / "f")) == 100
    for path in (tmp_path / "f").iterdir():
        first, *others = path.read_text().split()
        assert others == 999 * [first]


WRITING = """
import sys, time
from pathlib import Path
from smd_cli.media.drafts import Draft
draft = Draft(Path(sys.argv[1], "film.mp4"))
draft.create()
draft.temporary.write_bytes(b"half")
print(draft.temporary.name, flush=True)
time.sleep(60)
"""


def write_again(folder: Path) -> list[str]:
    """The files that a new run finds and leaves beside its own."""
    clear_leftovers.cache_clear()
    write_bytes(folder / "x.bin", b"")
    return [name for name in files(folder) if name != "x.bin"]


@pytest.mark.skipif(os.name == "nt", reason="no locks that end with their run")
def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        name = running.stdout.readline().strip()
        assert write_again(tmp_path) == [name]  # it lives
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert write_again(tmp_path) == []


def test_what_may_be_another_machine_s_stays_for_a_day(tmp_path: Path) -> None:
    here = Machine.this()
    other, twin = Machine("0" * 8, "1" * 8), Machine(here.name, "1" * 8)
    parts = {machine: tmp_path / f".smd-{machine.tag}-17-0123abcd.part.png" for machine in (other, twin)}
    for part in parts.values():
        part.touch()
    assert len(write_again(tmp_path)) == 2
    os.utime(parts[twin], (1, 1))  # before this machine was started
    now = time.time()
    os.utime(parts[other], (now - LONGEST_SILENCE + 60,) * 2)
    assert write_again(tmp_path) == [parts[other].name]
    os.utime(parts[other], (now - LONGEST_SILENCE - 60,) * 2)
    assert write_again(tmp_path) == []


def test_other_hidden_files_stay(tmp_path: Path) -> None:
    tag = Machine.this().tag
    mine = tmp_path / "mine"
    mine.touch()
    (tmp_path / ".smd-notes.part").touch()
    (tmp_path / f".smd-{tag}-17-0123abcd.txt").touch()
    (tmp_path / f".smd-{tag}-17-0123abcd.part.d").mkdir()
    (tmp_path / f".smd-{tag}-17-0123abcd.part.png").symlink_to(mine)
    os.mkfifo(tmp_path / f".smd-{tag}-17-0123abcd.part.gif")
    before = files(tmp_path)
    assert write_again(tmp_path) == before


def test_a_name_as_long_as_the_file_system_takes_is_written(tmp_path):
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    for name in (
        "a" * (longest - 4) + ".png",
        "é" * ((longest - 4) // 2) + ".png",
        "b." + "c" * (longest - 2),
    ):
        path = tmp_path / "new" / name
        assert check_target(path)
        write_bytes(path, b"x")
        assert path.read_bytes() == b"x"


def test_a_path_whose_draft_would_be_too_long_is_refused_before_work(tmp_path, monkeypatch):
    whole = os.pathconf(tmp_path, "PC_PATH_MAX")
    folder = tmp_path.resolve()
    while len(str(folder)) < whole - 230:
        folder /= "d" * 100
    folder /= "e" * (whole - 10 - len(str(folder)) - 1)
    with pytest.raises(UsageError, match="too long"):
        check_target(folder / "a.png")  # fits, its draft does not
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_listed_has_no_leftovers(tmp_path):
    clear_leftovers(tmp_path / "as good as one without permission, which root does not need")
