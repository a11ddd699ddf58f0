"""The `smd` program: its commands and global options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from smd_cli import __version__
from smd_cli.cli.command import Command
from smd_cli.cli.console import print_error, print_internal_error, print_result
from smd_cli.cli.streams import visible_streams
from smd_cli.errors import SmdError

_OUTPUT = "The path of each picture goes to stdout, progress and timing to stderr."
_HELP = {
    "generate": f"Render a scene: each prompt in its own region.\n\n{_OUTPUT}",
    "inpaint": f"Paint into a picture, or beyond its edges.\n\nWhat no mask covers stays as it is. {_OUTPUT}",
    "panorama": f"Render a panorama of any size.\n\nRegions may be bands along it. {_OUTPUT}",
}
"""The help of commands that share a function, which takes its task from their names."""

_COMMANDS: Mapping[str, str] = {
    **dict.fromkeys(_HELP, "generate"),
    **{
        name: name
        for name in (
            "stream",
            "render",
            "lock",
            "plan",
            "check",
            "bundle",
            "new",
            "schema",
            "inspect",
            "diff",
            "verify",
        )
    },
}
"""The function of each command, and of that name the module that holds it."""

_VERBOSE = {"-v", "--verbose"}


def _version(asked: bool) -> None:
    if asked:
        print_result(f"smd {__version__}")
        raise typer.Exit


def smd(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compose pictures region by region with few-step diffusion, from declarative scene files."""


class Program(TyperGroup):
    """All commands. Whatever they print, and whatever is printed of them, is visible text."""

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - click's own signature
        """Run a command line, and exit."""
        with visible_streams() as results:
            code = _exit_code(partial(super().main, *args, **options))
            if results.problem:
                print_error(results.problem)
            sys.exit(code or (results.problem.exit_code if results.problem else 0))


def _exit_code(run: Callable[[], object]) -> Any:  # noqa: ANN401 - what sys.exit takes
    """Run a command line; return the exit code."""
    try:
        run()
        return 0
    except SystemExit as ended:
        return ended.code
    except SmdError as error:
        print_error(error)
        return error.exit_code
    except Exception as error:  # of what is no command's: options, help, the version
        print_internal_error(error, verbose=not _VERBOSE.isdisjoint(sys.argv))
        return 1


def program(asked: str | None = None) -> typer.Typer:
    """Make the program; where `asked` names a command, with that one alone.

    To import and set up all the commands takes longer than one of them takes to check a scene.
    """
    app = typer.Typer(
        name="smd",
        cls=Program,
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
        from smd_cli.cli.models import models

        app.add_typer(models, name="models")
        app.add_typer(bench, name="bench")
    return app


def _function(command: str) -> Callable[..., None]:
    name = _COMMANDS[command]
    found: Callable[..., None] = getattr(import_module(f"smd_cli.cli.{name}"), name)
    return found
