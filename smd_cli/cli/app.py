"""The `smd` program: its commands and global options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from smd_cli import __version__
from smd_cli.cli.bench import bench
from smd_cli.cli.check import check
from smd_cli.cli.command import Command
from smd_cli.cli.inspect import inspect
from smd_cli.cli.new import new
from smd_cli.cli.plan import plan
from smd_cli.cli.quality import quality
from smd_cli.cli.render import TASKS, render
from smd_cli.cli.schema import schema
from smd_cli.cli.stream import stream

bench.command(cls=Command)(quality)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"smd {__version__}")
        raise typer.Exit


def smd(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compose pictures region by region with few-step diffusion, from declarative scene files."""


def program(asked: str | None = None) -> typer.Typer:
    """Make the program; where `asked` names a command, with that one alone.

    Typer takes longer to set up all the commands than one of them takes to check a scene.
    """
    commands: dict[str, tuple[Callable[..., None], str | None]] = {
        **{task: (render, help_) for task, help_ in TASKS.items()},
        **{command.__name__: (command, None) for command in (stream, plan, check, new, schema, inspect)},
    }
    app = typer.Typer(
        name="smd",
        help="Compose pictures region by region with few-step diffusion, from declarative scene files.",
        no_args_is_help=True,
        rich_markup_mode=None,  # plain help: Rich's costs as much time as the whole command
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(smd)
    for name, (command, help_) in commands.items():
        if asked == name or asked not in commands:
            app.command(name, help=help_, cls=Command)(command)
    if asked not in commands:
        app.add_typer(bench, name="bench")
    return app


app = program()
