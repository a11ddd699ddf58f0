"""`smd schema`: the JSON Schema of the scene language, for editors."""

from __future__ import annotations

from functools import partial
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import print_result, print_text
from smd_cli.cli.option_groups import expand_options
from smd_cli.media.files import Existing, check_plain_target, write_bytes

Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it here instead of to stdout.")
]


@expand_options
def schema(
    output: Output = None,
    files: options.ExistingFiles = options.ExistingFiles(),  # noqa: B008 - frozen
    verbose: options.Verbose = False,
) -> None:
    """Print the JSON Schema of scene files, with which an editor completes and checks them.

    A scene names it in its first line: # yaml-language-server: $schema=scene.schema.json
    """
    text = resources.files("smd_cli.scene").joinpath("scene.schema.json").read_text("utf-8")
    policy = files.policy()
    if output is None:
        print_text(text.rstrip())
        return
    hint = f"{options.REPLACING}, --skip-existing leaves it"
    if check_plain_target(output, policy, hint=hint):
        again = Existing.FAIL if policy is Existing.SKIP else policy
        write_bytes(output, text.encode(), partial(check_plain_target, output, again, hint=hint))
        print_result(str(output))
