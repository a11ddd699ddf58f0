"""Colour profiles (ICC.1, version 2), made byte by byte."""

import struct
from collections.abc import Mapping, Sequence

# Red, green and blue as XYZ columns, adapted to D50 (Lindbloom, "RGB/XYZ matrices").
SRGB = ((0.4361, 0.3851, 0.1431), (0.2225, 0.7169, 0.0606), (0.0139, 0.0971, 0.7141))
ADOBE = ((0.6097, 0.2053, 0.1492), (0.3111, 0.6257, 0.0632), (0.0195, 0.0609, 0.7446))
D50 = (0.9642, 1.0, 0.8249)


def rgb_profile(
    name: str = "Adobe-like", primaries: Sequence[Sequence[float]] = ADOBE, gamma: float = 2.2
) -> bytes:
    columns = zip(*primaries, strict=True)
    tags = {f"{band}XYZ": _xyz(column) for band, column in zip("rgb", columns, strict=True)}
    return _profile("RGB ", name, {**tags, **{f"{band}TRC": _gamma(gamma) for band in "rgb"}})


def grey_profile(gamma: float, name: str = "grey") -> bytes:
    return _profile("GRAY", name, {"kTRC": _gamma(gamma)})


def cmyk_profile(name: str = "ink") -> bytes:
    """Black makes everything black; of the other inks only magenta leaves a colour: a strong green."""
    corners = []
    for corner in range(16):
        cyan, magenta, yellow, black = (corner >> bit & 1 for bit in (3, 2, 1, 0))
        lab = (
            (0, 128, 128)
            if black
            else (200, 60, 190)
            if magenta and not (cyan or yellow)
            else (255, 128, 128)
        )
        corners.append(bytes(lab))
    ramp = bytes(range(256))
    lut = (
        b"mft1"
        + bytes(4)
        + bytes((4, 3, 2, 0))
        + struct.pack(">9i", *(65536 * (i in (0, 4, 8)) for i in range(9)))
    )
    return _profile(
        "CMYK", name, {"A2B0": lut + ramp * 4 + b"".join(corners) + ramp * 3}, kind="prtr", pcs="Lab "
    )


def _profile(
    space: str, name: str, tags: Mapping[str, bytes], kind: str = "mntr", pcs: str = "XYZ "
) -> bytes:
    tags = {"desc": _description(name), "wtpt": _xyz(D50), **tags}
    start, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        table += tag.encode() + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", start + len(data), b"", 0x02400000, kind.encode(), space.encode(), pcs.encode()
    )
    header += bytes(12) + b"acsp" + bytes(28) + _xyz(D50)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def _xyz(value: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * part) for part in value))


def _gamma(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma)) + bytes(2)


def _description(name: str) -> bytes:
    text = name.encode("latin-1") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
