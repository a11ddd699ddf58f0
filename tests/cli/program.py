"""Running the program inside a test."""

from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import smd_cli
from smd_cli.cli.program import program

FLATLAND = Path(smd_cli.__file__).parent / "flatland" / "weights"


_program = cache(program)


def smd(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command line as the program does, which sets up the command that is asked for alone."""
    return CliRunner().invoke(_program(*arguments[:1]), list(arguments), input=stdin)


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def told(text: str, **place: Any) -> dict[str, Any]:
    """A problem or warning of a JSON document."""
    return {"file": None, "line": None, "column": None, "key": None, "option": None, "text": text, **place}


def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test fail where weights are loaded."""

    def load(*_: object) -> NoReturn:
        raise SystemExit("weights were loaded")

    monkeypatch.setattr("smd_cli.app.models.load", load)
