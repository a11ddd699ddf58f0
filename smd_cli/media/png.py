"""PNG files as smd writes them: marked as its own, with whatever texts belong to the picture."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from smd_cli import __version__

PROGRAM = "Software"  # the keyword that the PNG specification reserves for it
UNREADABLE = (OSError, SyntaxError, ValueError)  # what Pillow raises of files whose header it cannot read


def encode_png(image: Image.Image, texts: Mapping[str, str] | None) -> bytes:
    """Return a PNG file that carries `texts` by keyword; None leaves even the program's mark out."""
    chunks = PngInfo()
    if texts is not None:
        for keyword, text in {PROGRAM: f"smd {__version__}", **texts}.items():
            chunks.add_itxt(keyword, text)
    data = BytesIO()
    image.save(data, "png", pnginfo=chunks)
    return data.getvalue()


def is_own(path: Path) -> bool:
    """Tell whether a file is a picture that smd wrote and marked."""
    try:
        with Image.open(path) as image:
            return str(image.info.get(PROGRAM, "")).startswith("smd ")
    except (*UNREADABLE, Image.DecompressionBombError):
        return False
