"""The texts that pictures and films carry, whatever their format: the program's mark and the recipe.

PNG has a chunk a text. The other formats have one place for a comment: there all texts stand as one JSON
object, in ASCII, which every format takes.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from PIL import ExifTags, Image

from smd_cli.media.mp4 import is_mp4, read_comment
from smd_cli.media.png import PROGRAM, UNREADABLE, marked


def packed(texts: Mapping[str, str] | None) -> str:
    """Return the comment that carries `texts` and the program's mark; nothing for None."""
    return json.dumps(marked(texts)) if texts is not None else ""


def read_texts(path: Path) -> dict[str, str]:
    """Read the texts of a PNG, GIF, WebP or MP4 file by keyword; none where it carries none of smd's.

    Raises what Pillow raises of a file that it cannot read (see UNREADABLE), and DecompressionBombError.
    """
    if is_mp4(path):
        return _unpacked(read_comment(path))
    with Image.open(path) as image:
        if image.format == "GIF":
            return _unpacked(image.info.get("comment", b""))
        if image.format == "WEBP":
            return _unpacked(image.getexif().get(ExifTags.Base.ImageDescription, ""))
        return {str(keyword): text for keyword, text in image.info.items() if isinstance(text, str)}


def is_own(path: Path) -> bool:
    """Tell whether a file is a picture or film that smd wrote and marked."""
    try:
        return read_texts(path).get(PROGRAM, "").startswith("smd ")
    except (*UNREADABLE, Image.DecompressionBombError):
        return False


def _unpacked(comment: str | bytes) -> dict[str, str]:
    """The texts in a comment; none in one that someone else wrote."""
    try:
        texts = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(texts, dict):
        return {}
    return {keyword: text for keyword, text in texts.items() if isinstance(text, str)}
