"""The `smd` program: its commands and global options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Annotated

import typer

from smd_cli import __version__
from smd_cli.cli.command import Command

_OUTPUT = "The path of each picture goes to stdout, progress and timing to stderr."
_HELP = {
    "generate": f"Render a scene: each prompt in its own region.\n\n{_OUTPUT}",
    "inpaint": f"Paint into a picture, or beyond its edges.\n\nWhat no mask covers stays as it is. {_OUTPUT}",
    "panorama": f"Render a panorama of any size.\n\nRegions may be bands along it. {_OUTPUT}",
}
"""The help of commands that share a function, which takes its task from their names."""

_COMMANDS: Mapping[str, str] = {
    **dict.fromkeys(_HELP, "render"),
    **{name: name for name in ("stream", "plan", "check", "new", "schema", "inspect")},
}
"""The function of each command, and of that name the module that holds it."""


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

    To import and set up all the commands takes longer than one of them takes to check a scene.
    """
    app = typer.Typer(
        name="smd",
        help="Compose pictures region by region with few-step diffusion, from declarative scene files.",
        no_args_is_help=True,
        rich_markup_mode=None,  # plain help: Rich's costs as much time as the whole command
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(smd)
    alone = [name for name in _COMMANDS if name == asked]
    for name in alone or _COMMANDS:
        app.command(name, help=_HELP.get(name), cls=Command)(_function(name))
    if not alone:
        from smd_cli.cli.bench import bench

        app.add_typer(bench, name="bench")
    return app


def _function(command: str) -> Callable[..., None]:
    name = _COMMANDS[command]
    found: Callable[..., None] = getattr(import_module(f"smd_cli.cli.{name}"), name)
    return found
