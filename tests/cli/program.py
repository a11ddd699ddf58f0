"""Running the program inside a test."""

from typing import Any

import numpy as np
from PIL import Image
from typer.testing import CliRunner, Result

from smd_cli.cli.app import app


def smd(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def told(text: str, **place: Any) -> dict[str, Any]:
    """A problem or warning of a JSON document."""
    return {"file": None, "line": None, "column": None, "key": None, "option": None, "text": text, **place}
