"""Writing: whole or not at all, and only where the user wants it."""

import os
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.errors import SmdError, UsageError
from smd_cli.media.files import Existing, check_target, replacing, write_bytes
from smd_cli.media.png import encode_png


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
    ):
        with pytest.raises(UsageError, match=said):
            check_target(path)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        check_target(Path("/proc/self/x.png"))
