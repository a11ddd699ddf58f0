"""Pictures that a benchmark paints and keeps, with what each took: a long run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from smd_cli.media.files import write_bytes
from smd_cli.media.png import UNREADABLE, encode_png

KEYWORD = "smd bench quality"


@dataclass(frozen=True)
class Took:
    """What a picture took, and the columns, px, at which its tiles begin or end."""

    seconds: float
    evaluations: int
    seams: tuple[int, ...]


@dataclass(frozen=True)
class Painted:
    """A picture and what it took."""

    image: Image.Image
    took: Took


def keeping(path: Path, conditions: dict[str, Any], paint: Callable[[], Painted]) -> Painted:
    """Return the picture that `path` keeps if it was made under these conditions, else paint and keep it.

    `conditions` are all that a picture follows from, as JSON can say it. Raises SmdError: it cannot be kept.
    """
    found = _read(path, conditions)
    if found is not None:
        return found
    painted = paint()
    note = json.dumps({"conditions": conditions, "took": asdict(painted.took)})
    write_bytes(path, encode_png(painted.image, {KEYWORD: note}))
    return painted


def _read(path: Path, conditions: dict[str, Any]) -> Painted | None:
    if not path.exists():
        return None
    try:
        with Image.open(path) as picture:
            note = json.loads(picture.info.get(KEYWORD, "{}"))
            if note.get("conditions") != json.loads(json.dumps(conditions)):
                return None
            took = note["took"] | {"seams": tuple(note["took"]["seams"])}
            return Painted(picture.convert("RGB"), Took(**took))
    except UNREADABLE:
        return None
