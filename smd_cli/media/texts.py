"""The texts that pictures and videos carry in any format: the program's mark and the recipe.

PNG has a chunk for each text. The other formats have one comment, which holds all texts as a JSON object in
ASCII, which every format accepts.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from PIL import ExifTags, Image

from smd_cli.media.mp4 import is_mp4, read_comment
from smd_cli.media.png import PROGRAM, UNREADABLE, with_program_mark


def pack_texts(texts: Mapping[str, str] | None) -> str:
    """Return the comment that carries `texts` and the program's mark; empty for None."""
    return json.dumps(with_program_mark(texts)) if texts is not None else ""


def read_texts(path: Path) -> dict[str, str]:
    """Read the texts of a PNG, GIF, WebP or MP4 file by keyword; empty where it carries none of smd's.

    Raises what Pillow raises about a file that it cannot read (see UNREADABLE), and DecompressionBombError.
    """
    if is_mp4(path):
        return _unpack_texts(read_comment(path))
    with Image.open(path) as image:
        if image.format == "GIF":
            return _unpack_texts(image.info.get("comment", b""))
        if image.format == "WEBP":
            return _unpack_texts(image.getexif().get(ExifTags.Base.ImageDescription, ""))
        return {str(keyword): text for keyword, text in image.info.items() if isinstance(text, str)}


def is_own(path: Path) -> bool:
    """Tell whether a file is a picture or video that smd wrote and marked as its own."""
    try:
        return read_texts(path).get(PROGRAM, "").startswith("smd ")
    except (*UNREADABLE, Image.DecompressionBombError):
        return False


def _unpack_texts(comment: str | bytes) -> dict[str, str]:
    """Return the texts in a comment; empty where another program wrote it."""
    try:
        texts = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(texts, dict):
        return {}
    return {keyword: text for keyword, text in texts.items() if isinstance(text, str)}
