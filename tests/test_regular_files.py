"""Users' files are opened only where they are regular ones, and read only as far as makes sense."""

import os
import socket
from pathlib import Path

import pytest

from smd_cli.regular_files import (
    UnfitFileError,
    check_regular,
    open_regular,
    read_bytes,
    read_text,
    why_unread,
)


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture
def listening(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        yield tmp_path / "socket"


@pytest.mark.parametrize("read", [check_regular, open_regular, lambda path: read_bytes(path, 9)])
def test_what_is_no_regular_file_is_named_and_not_opened(read, pipe, listening, tmp_path):
    (tmp_path / "link").symlink_to(pipe)
    kinds = {pipe: "a pipe", tmp_path / "link": "a pipe", listening: "a socket", Path(os.devnull): "a device"}
    for path, kind in kinds.items():
        with pytest.raises(UnfitFileError, match=f"{kind}, not a regular file"):
            read(path)


def test_a_pipe_that_takes_a_files_place_is_not_waited_for(pipe, monkeypatch):
    monkeypatch.setattr("smd_cli.regular_files.check_regular", lambda path: None)  # it was a file then
    with pytest.raises(UnfitFileError, match="a pipe"):
        open_regular(pipe)


def test_folders_and_missing_files_are_what_they_are(tmp_path):
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")


def test_links_to_files_are_followed(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link", 7) == b"content"


def test_no_more_is_read_than_the_limit(tmp_path):
    with (tmp_path / "endless").open("wb") as file:
        file.truncate(2**40)  # takes no room
    with pytest.raises(UnfitFileError, match="larger than 2 KiB"):
        read_bytes(tmp_path / "endless", 2**11)


def test_text_is_utf8(tmp_path):
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfgr\xc3\xbc\xc3\x9f")
    assert read_text(tmp_path / "text", 99) == "grüß"
    (tmp_path / "text").write_bytes(b"gr\xfc\xdf")
    with pytest.raises(ValueError, match="no UTF-8 text: byte 2 is 0xfc"):
        read_text(tmp_path / "text", 99)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory"), "no such file"),
        (PermissionError(13, "Permission denied"), "permission denied"),
        (UnfitFileError(22, "a pipe, not a regular file"), "is a pipe, not a regular file"),
        (OSError(5, "Input/output error"), "cannot be read: Input/output error"),
        (OSError("odd"), "cannot be read: odd"),
    ],
)
def test_why_a_file_was_not_read(error, words):
    assert why_unread(error) == words
