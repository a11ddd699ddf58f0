"""The `smd` program: its commands and global options."""

from __future__ import annotations

from typing import Annotated

import typer

from smd_cli import __version__
from smd_cli.cli.bench import bench
from smd_cli.cli.check import check
from smd_cli.cli.command import Command
from smd_cli.cli.inspect import inspect
from smd_cli.cli.new import new
from smd_cli.cli.plan import plan
from smd_cli.cli.schema import schema
from smd_cli.cli.stream import stream
from smd_cli.cli.tasks import TASKS, render

app = typer.Typer(
    name="smd",
    help="Compose pictures region by region with few-step diffusion, from declarative scene files.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: Rich's costs as much time as the whole command
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _task, _help in TASKS.items():
    app.command(_task, help=_help, cls=Command)(render)
for _command in (stream, plan, check, new, schema, inspect):
    app.command(cls=Command)(_command)
app.add_typer(bench, name="bench")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"smd {__version__}")
        raise typer.Exit


@app.callback()
def smd(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compose pictures region by region with few-step diffusion, from declarative scene files."""
