"""`smd schema`: the JSON Schema of the scene language, for editors."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import result
from smd_cli.media.files import check_target, write_bytes

Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it here instead of to stdout.")
]


def schema(
    output: Output = None,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    fail_existing: options.FailExisting = False,
    verbose: options.Verbose = False,
) -> None:
    """Print the JSON Schema of scene files, with which an editor completes and checks them.

    A scene names it in its first line: # yaml-language-server: $schema=scene.schema.json
    """
    text = files("smd_cli.scene").joinpath("scene.schema.json").read_text("utf-8")
    policy = options.existing_policy(overwrite=overwrite, skip=skip_existing, fail=fail_existing)
    if output is None:
        result(text.rstrip())
    elif check_target(output, policy, hint=options.REPLACING):
        write_bytes(output, text.encode())
        result(str(output))
