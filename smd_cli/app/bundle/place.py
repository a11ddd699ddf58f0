"""Whether what is given as a scene is a bundle, or leads into one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from smd_cli.regular_files import is_there, open_regular

ZIP = ".zip"
_BEGINS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


def bundle_at(source: str | Path) -> tuple[Path, str] | None:
    """Return the bundle that a path leads to, and which scene in it, if it names one: `a.smd.zip/b.yaml`.

    None: it leads to none.
    """
    path = Path(source)
    for file in (path, *path.parents):
        if _is_zip(file):
            return file, "" if file == path else path.relative_to(file).as_posix()
        if is_there(file):
            return None
    return None


def _is_zip(path: Path) -> bool:
    """Tell whether a file is a zip file by how it begins, or by its name."""
    with suppress(OSError, ValueError), open_regular(path) as file:
        return file.read(4) in _BEGINS or path.suffix.lower() == ZIP
    return False
