"""`smd new`: a commented scene to begin with."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import print_result
from smd_cli.errors import UsageError
from smd_cli.media.files import Existing, check_target, write_bytes

Name = Annotated[
    Path, typer.Argument(metavar="NAME", help="File to write; .yaml is added where it is missing.")
]


def new(name: Name, verbose: options.Verbose = False) -> None:
    """Write a commented starter scene. A file that exists is never replaced."""
    if not name.name:
        raise UsageError("NAME: give a file name")
    path = name if name.suffix in (".yaml", ".yml") else Path(f"{name}.yaml")
    check_target(path, Existing.FAIL)
    starter = files("smd_cli.scene").joinpath("starter.yaml").read_bytes()
    write_bytes(path, starter, partial(check_target, path, Existing.FAIL))
    print_result(str(path))
