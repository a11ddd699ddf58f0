"""What a file holds that is not what its name says."""

from pathlib import Path

from smd_cli.regular_files import open_regular

_READ = 512  # bytes that tell
_PICKLES = (
    b"PK\x03\x04",
    b"\x80\x02",
    b"\x80\x03",
    b"\x80\x04",
    b"\x80\x05",
)  # PyTorch's archives, bare pickles
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")  # PNG, JPEG, GIF, WebP
_QUOTED = 40  # characters of a text that an error shows


def real_kind(path: Path) -> str:
    """Return in words what is in place of a model's file, and the way out; '' where that is not known.

    Raises:
        OSError: it cannot be read.
    """
    start = _start(path)
    if not start:
        return "an empty file; download it again"
    if start.startswith(b"version https://git-lfs"):
        return (
            "a pointer of Git LFS in place of the file; run `git lfs pull` there, or download the file itself"
        )
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page saved under this name, such as a login or error page; download the file itself"
    if start.startswith(_PICKLES):
        return "pickled weights under this name; pickles can run code and are never opened; convert them"
    if start.startswith(_PICTURES):
        return "a picture; give the file of the model itself"
    if start.startswith(b"GGUF"):
        return "weights in the GGUF format, which is not read; get them as .safetensors"
    return ""


def text_in_place(path: Path) -> str:
    """Return in words that a short text is in place of weights; '' where it is none. Raises OSError."""
    try:
        text = _start(path).decode("ascii").strip()
    except UnicodeDecodeError:
        return ""
    is_text = "".join(text.split()).isprintable()
    return f"a text that begins {text[:_QUOTED]!r}; download the file itself" if is_text else ""


def _start(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_READ)
