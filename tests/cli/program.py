"""Running the program inside a test."""

import numpy as np
from PIL import Image
from typer.testing import CliRunner, Result

from smd_cli.cli.app import app


def smd(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)
