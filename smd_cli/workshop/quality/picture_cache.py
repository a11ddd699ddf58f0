"""Cached benchmark pictures, each stored with its cost, so that an interrupted run can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from smd_cli.media.files import write_bytes
from smd_cli.media.png import encode_png
from smd_cli.media.rasters import UNREADABLE

KEYWORD = "smd bench quality"


@dataclass(frozen=True)
class PictureCost:
    """What one picture cost.

    Attributes:
        seconds: from noise to pixels.
        evaluations: rows that the model evaluated.
        seams: columns, px, at which a tile begins or ends.
    """

    seconds: float
    evaluations: int
    seams: tuple[int, ...]


@dataclass(frozen=True)
class TimedPicture:
    """A picture with its cost."""

    image: Image.Image
    cost: PictureCost


def cached_picture(path: Path, conditions: dict[str, Any], paint: Callable[[], TimedPicture]) -> TimedPicture:
    """Return the picture stored at `path` if it was made under `conditions`; else paint and store it.

    `conditions` are everything that determines the picture, as JSON values. Raises SmdError: the picture
    cannot be stored.
    """
    found = _read(path, conditions)
    if found is not None:
        return found
    painted = paint()
    note = json.dumps({"conditions": conditions, "cost": asdict(painted.cost)})
    write_bytes(path, encode_png(painted.image, {KEYWORD: note}))
    return painted


def _read(path: Path, conditions: dict[str, Any]) -> TimedPicture | None:
    """Read a stored picture; return None where it is missing, damaged or made under other conditions."""
    if not path.exists():
        return None
    try:
        with Image.open(path) as picture:
            note = json.loads(picture.info.get(KEYWORD, "{}"))
            if note.get("conditions") != json.loads(json.dumps(conditions)):
                return None
            cost = note["cost"] | {"seams": tuple(note["cost"]["seams"])}
            return TimedPicture(picture.convert("RGB"), PictureCost(**cost))
    except UNREADABLE:
        return None
