"""The one place where errors become a line on stderr and an exit code."""

from __future__ import annotations

import errno
from typing import Any

import typer
from typer.core import TyperCommand

from smd_cli.cli.console import print_error, print_internal_error
from smd_cli.errors import INTERRUPTED, SmdError


class Command(TyperCommand):
    """A command that ends with the exit code of what went wrong; a traceback is shown only with -v."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - click's own signature
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except SmdError as error:
            print_error(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            print_error(SmdError("interrupted"))
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader of our output has gone: click ends quietly
            print_internal_error(error, verbose=bool(ctx.params.get("verbose")))
            raise typer.Exit(1) from error
