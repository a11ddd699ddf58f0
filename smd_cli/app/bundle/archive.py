"""Reading zip files that other people made: looked at as a whole first, then each file of one once.

Python's zipfile reads the entries. What it takes on trust is checked here: that an entry is what both of its
headers say, that no two share bytes, that nobody else reads other files of it, and how much it becomes.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from smd_cli.app.bundle.names import TakenNames, why_unfit
from smd_cli.errors import SceneError
from smd_cli.messages import Message, Place
from smd_cli.regular_files import open_regular, why_unread

MAX_ENTRIES = 20_000
MAX_DIRECTORY = 2**23
"""Bytes of the list of all files at a zip file's end."""
MAX_BYTES = 2**32 - 2
"""Of a bundle, and of all its files: from there on, zip files are of another format."""
SMALL = 2**28
"""Bytes that any bundle may become; others at most so many times their own:"""
MAX_RATIO = 20

_END = struct.Struct("<4s4H2LH")  # signature, disks, entries, size and offset of the list, comment
_LOCAL = struct.Struct("<4s5H3L2H")  # signature, version, flags, method, time, CRC, sizes, lengths
_LATER, _UTF8 = 0x08, 0x800  # flags: sizes follow the data; the name is UTF-8
_KNOWN_FLAGS = 0x06 | _LATER | _UTF8
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LOCATOR = 20  # bytes of what leads to zip64's record, right before this one
_ELSEWHERE = 0xFFFFFFFF  # a size that a zip64 field gives
_PIECE = 2**20
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, LookupError),
    *(NotImplementedError, RuntimeError, OverflowError),
)
"""What zipfile raises about files that are damaged."""


@dataclass(frozen=True)
class Archive:
    """A zip file that can be trusted to be one, and is open; `folders` and `files` by their paths in it."""

    path: Path
    files: dict[str, zipfile.ZipInfo]
    folders: tuple[str, ...]
    _opened: zipfile.ZipFile

    @property
    def size(self) -> int:
        """Return how many bytes its files have."""
        return sum(entry.file_size for entry in self.files.values())

    def copy(self, name: str, target: BinaryIO) -> None:
        """Write a file's bytes. Raises SceneError: it is damaged; OSError: it cannot be written."""
        done = 0
        for piece in self._pieces(name):
            done += len(piece)
            target.write(piece)
        if done != self.files[name].file_size:
            raise SceneError(self.place(name).says("is damaged: it is shorter than the bundle says"))

    def place(self, name: str = "") -> Place:
        """Return the place of a file in it, or its own."""
        return Place(f"{self.path}/{name}" if name else str(self.path))

    def _pieces(self, name: str) -> Iterator[bytes]:
        try:
            with self._opened.open(self.files[name]) as source:
                while piece := source.read(_PIECE):
                    yield piece
        except _DAMAGED as error:
            raise SceneError(self.place(name).says(f"is damaged ({_line(error)})")) from error


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a zip file, after a look at all of it but its files' bytes.

    Raises SceneError: it cannot be read, or is anything but plain files and folders, each once, of names that
    every system takes, and of a size that makes sense.
    """
    with ExitStack() as stack:
        with _told_of(path):
            file = stack.enter_context(open_regular(path))
            end, entries = _check_end(file)
            opened = stack.enter_context(zipfile.ZipFile(file))
            archive = _checked(path, file, opened, end, entries)
        yield archive


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Turn what is raised about a zip file into a SceneError that begins with its path."""
    place = Place(str(path))
    try:
        yield
    except OSError as error:
        raise SceneError(place.says(why_unread(error))) from error
    except _Unfit as error:
        raise SceneError(place.says(str(error))) from None
    except _DAMAGED as error:
        raise SceneError(place.says(f"is no whole zip file ({_line(error)})")) from error


class _Unfit(Exception):  # noqa: N818 - becomes a SceneError
    """What is wrong with a zip file."""


def _check_end(file: BinaryIO) -> tuple[int, int]:
    """Look at the record at a zip file's end; return where the list of its files begins, and its length.

    Where anything stood behind that record, or before the first file, programs could read other files of it.
    """
    size = os.fstat(file.fileno()).st_size
    if size > MAX_BYTES:
        raise _Unfit("is larger than 4 GiB")
    if size < _END.size:
        raise _Unfit("is no whole zip file")
    file.seek(max(size - _END.size - _LOCATOR, 0))
    is_zip64 = file.read(4) == b"PK\x06\x07" and size >= _END.size + _LOCATOR
    file.seek(size - _END.size)
    offset: int
    signature, disk, first_disk, here, entries, length, offset, comment = _END.unpack(file.read(_END.size))
    file.seek(0)
    if signature != b"PK\x05\x06" or comment:
        raise _Unfit("is no whole zip file: it is cut off, or something follows its end, such as a comment")
    if is_zip64 or 0xFFFF in (here, entries) or _ELSEWHERE in (length, offset):
        raise _Unfit("is a zip64 file, which bundles are not")
    if (disk, first_disk, here) != (0, 0, entries):
        raise _Unfit("is a part of a zip file in several")
    if entries > MAX_ENTRIES or length > MAX_DIRECTORY:
        raise _Unfit(f"holds more than {MAX_ENTRIES:,} files, or a list of them that is too long")
    if offset + length != size - _END.size:
        raise _Unfit("is no whole zip file: its parts do not lie where it says")
    return offset, entries


def _checked(path: Path, file: BinaryIO, opened: zipfile.ZipFile, end: int, entries: int) -> Archive:
    """Check every entry of a zip file, whose list begins at `end`, and has as many `entries`."""
    if len(opened.infolist()) != entries:
        raise _Unfit("is no whole zip file: it does not hold as many files as it says")
    taken, files, folders = TakenNames(), {}, []
    for entry in opened.infolist():
        name = entry.orig_filename
        if reason := _why_unfit(entry) or taken.why_taken(name.rstrip("/"), is_folder=entry.is_dir()):
            raise _Unfit(f"{_shown(name)} {reason}")
        taken.take(name.rstrip("/"), is_folder=entry.is_dir())
        if entry.is_dir():
            folders.append(name.rstrip("/"))
        else:
            files[name] = entry
    spans = sorted(_span(file, entry) for entry in opened.infolist())
    for (_, ends, name), (begins, _, other) in pairwise([*spans, (end, end, "the list of files")]):
        if ends > begins:
            raise _Unfit(f"{_shown(name)} and {_shown(other)} share bytes")
    archive = Archive(path, files, tuple(folders), opened)
    if archive.size > min(MAX_BYTES, max(SMALL, MAX_RATIO * end)):
        large = f"{archive.size / 2**20:,.0f} MiB, {archive.size / max(end, 1):,.0f} times its own size"
        raise _Unfit(f"would become {large}")
    return archive


def _why_unfit(entry: zipfile.ZipInfo) -> str | None:
    """Return what is wrong with an entry, as the list describes it."""
    name = entry.orig_filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if not name.isascii() and not entry.flag_bits & _UTF8:
        return "has a name that is not UTF-8"
    if reason := why_unfit(name.removesuffix("/")):
        return reason
    if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        return "is a link or a device"
    if entry.flag_bits & 0x41:
        return "is encrypted"
    if entry.flag_bits & ~_KNOWN_FLAGS or entry.compress_type not in _METHODS:
        return "is packed in a way that bundles are not; stored and deflated are read"
    if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
        return "has two sizes"
    return "is a folder of some size" if entry.is_dir() and entry.file_size else None


def _span(file: BinaryIO, entry: zipfile.ZipInfo) -> tuple[int, int, str]:
    """Return where an entry begins and ends; its own header says the same of it as the list does."""
    begin = entry.header_offset
    file.seek(begin)
    signature, _, flags, method, _, _, crc, packed, size, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
    told = entry.orig_filename.encode("utf-8" if flags & _UTF8 else "cp437")
    is_same = (signature, flags, method) == (b"PK\x03\x04", entry.flag_bits, entry.compress_type)
    sizes = ((crc, entry.CRC), (packed, entry.compress_size), (size, entry.file_size))
    is_told = flags & _LATER or all(here in (there, _ELSEWHERE) for here, there in sizes)
    if not is_same or not is_told or file.read(name) != told:
        raise _Unfit(f"{_shown(entry.orig_filename)} has two headers that differ")
    return begin, begin + _LOCAL.size + name + extra + entry.compress_size, entry.orig_filename


def _shown(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:79]}…"


def _line(error: Exception) -> str:
    return Message(" ".join(str(error).split()) or type(error).__name__)
