"""The texts that pictures and videos carry in any format: the program's mark and the recipe.

PNG has a chunk for each text. The other formats have one comment, which holds all texts as a JSON object in
ASCII, which every format accepts: in GIF and MP4 a comment of their own, in the others in their XMP.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from smd_cli.media.mp4 import is_mp4, read_comment
from smd_cli.media.png import PROGRAM, with_program_mark
from smd_cli.media.rasters import UNREADABLE, open_raster
from smd_cli.media.xmp import SOURCE_TYPE, read_xmp_comment, xmp_packet


def pack_texts(texts: Mapping[str, str] | None) -> str:
    """Return the comment that carries `texts` and the program's mark; empty for None."""
    return json.dumps(with_program_mark(texts)) if texts is not None else ""


def xmp_of(texts: Mapping[str, str]) -> bytes:
    """Return the XMP that carries `texts` and the program's mark, and says in IPTC's words what it is."""
    return xmp_packet(texts.get(SOURCE_TYPE), pack_texts(texts))


def read_texts(path: Path) -> dict[str, str]:
    """Read the texts of a picture or film by keyword; empty where it carries none of smd's.

    Raises what Pillow raises about a file that it cannot read (see UNREADABLE).
    """
    if is_mp4(path):
        return _unpack_texts(read_comment(path))
    with open_raster(path) as image:
        if image.format == "GIF":
            return _unpack_texts(image.info.get("comment", b""))
        if image.format != "PNG":
            return _unpack_texts(read_xmp_comment(image.info.get("xmp", b"")))
        return {str(keyword): text for keyword, text in image.info.items() if isinstance(text, str)}


def is_own(path: Path) -> bool:
    """Tell whether a file is a picture or video that smd wrote and marked as its own."""
    return why_foreign(path) is None


def why_foreign(path: Path) -> str | None:
    """Return what shows that a file may be somebody else's; None: smd marked it as its own.

    A picture without metadata could be smd's all the same.
    """
    try:
        texts = read_texts(path)
    except UNREADABLE:
        return "is no picture of smd's"
    return None if texts.get(PROGRAM, "").startswith("smd ") else "carries no recipe"


def _unpack_texts(comment: str | bytes) -> dict[str, str]:
    """Return the texts in a comment; empty where another program wrote it."""
    try:
        texts = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(texts, dict):
        return {}
    return {keyword: text for keyword, text in texts.items() if isinstance(text, str)}
