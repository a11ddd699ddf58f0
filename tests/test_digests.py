"""Digests of files: those of the bytes that lie there now, whatever was kept of before."""

import json
import os
import time
from hashlib import sha256
from pathlib import Path

import pytest

from smd_cli import digest_cache, digests
from smd_cli.digests import Stamp, digest_of, stamp_of


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of kept digests; files of any size and age are worth keeping."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digest_cache, "LARGE", 1)
    monkeypatch.setattr(digest_cache, "LEFT_ALONE_NS", 0)
    monkeypatch.setattr(digests, "SETTLED_NS", 0)
    monkeypatch.setattr(digests, "_known", {})
    return tmp_path / "cache/smd/digests"


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


def digest(path: Path) -> str:
    """The digest as a new process finds it."""
    digests._known.clear()
    return digest_of([path])


def truth(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def settled(path: Path) -> None:
    """Wait until the clock of the disk has gone on."""
    while not stamp_of(path).is_settled(0):
        time.sleep(0.001)
    time.sleep(0.02)


def never_read(path: Path) -> None:
    raise AssertionError(f"{path} was read")


def test_a_kept_digest_saves_reading(weights, cache, monkeypatch):
    settled(weights)
    before = digest(weights)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(digests, "open_regular", never_read)
    assert digest(weights) == before
    link = weights.with_name("link")
    link.symlink_to(weights.name)
    assert digest(link) == before


@pytest.mark.parametrize("size", ["same", "other"])
@pytest.mark.parametrize("how", ["in place", "replaced", "times put back"])
def test_a_changed_file_is_read_again(weights, cache, size, how):
    settled(weights)
    digest(weights)
    status = weights.stat()
    new = b"WEIGHTS" if size == "same" else b"more weights"
    if how == "replaced":
        other = weights.with_name("other")
        other.write_bytes(new)
        other.replace(weights)
    else:
        weights.write_bytes(new)
    if how == "times put back":
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digest(weights) == digest_of([weights]) == truth(weights)


def test_nothing_is_kept_of_a_file_that_was_just_written(weights, cache, monkeypatch):
    monkeypatch.setattr(digest_cache, "LEFT_ALONE_NS", 60 * 10**9)
    settled(weights)
    assert digest(weights) == truth(weights)
    assert not cache.exists()


def test_a_clock_too_coarse_to_tell_of_a_change(weights, monkeypatch):
    """A file that was just written is read again, also by the same process."""
    monkeypatch.setattr(digests, "_known", {})

    def coarse(status):
        return Stamp(status.st_dev, status.st_ino, status.st_size, now, now)

    now = time.time_ns()
    monkeypatch.setattr(Stamp, "of", coarse)
    for number in range(3):
        weights.write_bytes(b"%07d" % number)
        assert digest_of([weights]) == truth(weights)


def test_small_files_are_not_kept(weights, cache, monkeypatch):
    monkeypatch.setattr(digest_cache, "LARGE", 2**26)
    settled(weights)
    digest(weights)
    assert not cache.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: b"",
        lambda entry: b"\xff\xfe",
        lambda entry: b"[" * 100_000,
        lambda entry: b"[]",
        lambda entry: b'{"sha256": 3}',
        lambda entry: json.dumps({**entry, "sha256": "x" * 64}).encode(),
        lambda entry: json.dumps({**entry, "sha256": "ab" * 31}).encode(),
        lambda entry: json.dumps({**entry, "sha256": "ab" * 32, "version": 2}).encode(),
        lambda entry: json.dumps({**entry, "sha256": "ab" * 32, "path": "elsewhere"}).encode(),
        lambda entry: json.dumps({**entry, "sha256": "ab" * 32, "inode": 1}).encode(),
        lambda entry: json.dumps({**entry, "sha256": "ab" * 32})[:-5].encode(),
    ],
)
def test_a_damaged_entry_counts_for_nothing(weights, cache, change):
    settled(weights)
    digest(weights)
    (entry,) = cache.iterdir()
    entry.write_bytes(change(json.loads(entry.read_text())))
    assert digest(weights) == truth(weights)


def test_a_cache_that_cannot_be_written_is_none(weights, cache, monkeypatch):
    settled(weights)
    cache.parent.parent.write_text("a file in its place")
    assert digest(weights) == truth(weights)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert digest_cache.cache_folder() == Path.home() / ".cache/smd/digests"


def test_a_file_that_is_written_while_it_is_read(weights, cache, monkeypatch):
    settled(weights)

    def written_meanwhile(path):
        file = whole(path)
        with path.open("ab") as other:
            other.write(b"more")
        return file

    whole = digests.open_regular
    with monkeypatch.context() as context:
        context.setattr(digests, "open_regular", written_meanwhile)
        digest(weights)
    assert digest(weights) == truth(weights)
