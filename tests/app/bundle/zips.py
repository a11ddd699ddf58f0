"""Zip files that no program writes: good ones, with some of their bytes changed."""

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping

from PIL import Image

SCENE = (
    "smd: 1\ncanvas: {width: 64, height: 64}\nsampler: {indices: [0, 25]}\nregions:\n"
    "  - {name: cat, prompt: a cat, mask: m.png}\n"
)


def mask() -> bytes:
    """A picture of a mask."""
    image, out = Image.new("L", (64, 64)), io.BytesIO()
    image.paste(255, (0, 0, 24, 24))
    image.save(out, "PNG")
    return out.getvalue()


FILES = {"day.yaml": SCENE, "m.png": mask()}


def packed(
    files: Mapping[str, str | bytes] | None = None,
    *more: tuple[str | zipfile.ZipInfo, str | bytes],
    method: int = zipfile.ZIP_STORED,
) -> bytes:
    """A zip file of the good files, or others, and more; a name may come twice."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that comes twice
        for name, content in (*(FILES if files is None else files).items(), *more):
            opened.writestr(name, content)
    return out.getvalue()


def entry(name: str, mode: int = 0o100644, **changes: object) -> zipfile.ZipInfo:
    """An entry of a mode, with other attributes than `zipfile` would give it."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    for key, value in changes.items():
        setattr(info, key, value)
    return info


def renamed(old: str, new: bytes) -> bytes:
    """The good bundle with one more file, whose name is other bytes, as many, in both of its headers."""
    assert len(old) == len(new)
    return packed(None, (old, "x")).replace(old.encode(), new)


def patched(data: bytes, name: str, offset: int, value: bytes, *, local: int | None = None) -> bytes:
    """A zip file with other bytes at an offset of an entry in the list, and at one of its own header."""
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        own = opened.getinfo(name).header_offset
    listed = data.rindex(name.encode()) - 46
    changed = bytearray(data)
    changed[listed + offset : listed + offset + len(value)] = value
    if local is not None:
        changed[own + local : own + local + len(value)] = value
    return bytes(changed)


def ended(data: bytes, offset: int, value: bytes) -> bytes:
    """A zip file with other bytes at an offset of the record at its end."""
    at = data.rindex(b"PK\x05\x06") + offset
    return data[:at] + value + data[at + len(value) :]


def quoted(copies: int) -> bytes:
    """A bomb whose entries share a kernel, and quote the headers between as data (Fifield 2019)."""
    kernel = bytes(2**20)
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = squeezed.compress(kernel) + squeezed.flush()
    headers, listed, body = [], [], b""
    local = struct.Struct("<4s5H3L2H")
    data, crc, size = stream, zlib.crc32(kernel), len(kernel)
    for number in reversed(range(copies)):
        name = f"{number:04}.bin".encode()
        head = local.pack(b"PK\x03\x04", 20, 0, 8, 0, 33, crc, len(data), size, len(name), 0) + name
        listed.insert(0, (name, crc, len(data), size))
        headers.insert(0, head)
        quote = bytes([0]) + struct.pack("<HH", len(head), len(head) ^ 0xFFFF) + head
        data, body = quote + data, head + body
        crc, size = zlib.crc32(head + bytes(0)), size + len(head)
    out, directory = b"", b""
    for head, (name, crc, length, size) in zip(headers, listed, strict=True):
        directory += struct.pack(
            "<4s6H3L5H2L",
            b"PK\x01\x02",
            20,
            20,
            0,
            8,
            0,
            33,
            crc,
            length,
            size,
            len(name),
            0,
            0,
            0,
            0,
            0,
            len(out),
        )
        directory += name
        out += head
        if head is not headers[-1]:
            out += bytes([0]) + struct.pack("<HH", len(headers[0]), len(headers[0]) ^ 0xFFFF)
    out += stream
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, copies, copies, len(directory), len(out), 0)
    return out + directory + end
