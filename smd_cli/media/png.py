"""PNG files as smd writes them: marked as its own, with the texts that belong to the picture."""

from collections.abc import Mapping
from io import BytesIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from smd_cli import __version__
from smd_cli.media.xmp import SOURCE_TYPE, xmp_packet

PROGRAM = "Software"  # the keyword that the PNG specification defines for it


def with_program_mark(texts: Mapping[str, str] | None) -> dict[str, str]:
    """Return the texts that a file carries: the program's mark and `texts`; none at all for None."""
    return {} if texts is None else {PROGRAM: f"smd {__version__}", **texts}


def encode_png(image: Image.Image, texts: Mapping[str, str] | None) -> bytes:
    """Return a PNG file that carries the program's mark and `texts` by keyword; none of them for None."""
    marked, chunks = with_program_mark(texts), PngInfo()
    if source_type := marked.pop(SOURCE_TYPE, None):
        chunks.add_itxt("XML:com.adobe.xmp", xmp_packet(source_type).decode())
    for keyword, text in marked.items():
        chunks.add_itxt(keyword, text)
    data = BytesIO()
    image.save(data, "png", pnginfo=chunks)
    return data.getvalue()
