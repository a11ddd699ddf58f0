"""The one place where errors become a line on stderr, a part of the JSON document, and an exit code."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import Any

import typer
from typer.core import TyperCommand

from smd_cli.cli.console import print_error, print_internal_error, print_json
from smd_cli.cli.document import Document, begin_document
from smd_cli.errors import INTERRUPTED, DeviceError, SmdError
from smd_cli.interrupts import finishing, forget, last_words
from smd_cli.messages import Message, Place

_NO_MEMORY = ("failed to map segment from shared object", "Cannot allocate memory", "bad_alloc")
"""What the loader of libraries, the system and C++ say then."""


class Command(TyperCommand):
    """A command that ends with the exit code of what went wrong; a traceback is shown only with -v.

    With --json its document is printed however it ends.
    """

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return a line for the list of commands; one that is too long ends where a part of it does."""
        text = super().get_short_help_str(limit)
        return re.sub(r"[:;,][^:;,]*\.\.\.$", "", text)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's own signature
        """Read the command line."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # What Typer raises about options is private to it. It prints that, and exits with 2.
            if "--json" in given and hasattr(error, "format_message"):
                print_json(Document(problems=[_problem_of(error)]).to_dict())
            raise

    def invoke(self, ctx: Any) -> None:  # noqa: ANN401
        """Run the command."""
        document, is_told = begin_document(), ctx.params.get("json")

        def tell(word: str) -> None:
            document.problems.append(Message(word))
            print_json(document.to_dict())

        with last_words(tell) if is_told else nullcontext():
            code = self._run(ctx, document)
            if is_told:
                with finishing():
                    forget(tell)
                    print_json(document.to_dict())
        if code:
            raise typer.Exit(code)

    def _run(self, ctx: Any, document: Document) -> int:  # noqa: ANN401
        """Run the command; return the exit code."""
        try:
            super().invoke(ctx)
            return 0
        except typer.Exit as ended:
            return ended.exit_code
        except typer.Abort:
            raise
        except SmdError as error:
            print_error(error)
            document.problems += error.problems
            return error.exit_code
        except KeyboardInterrupt:
            print_error(SmdError("interrupted"))
            document.problems.append(Message("interrupted"))
            return INTERRUPTED
        except BrokenPipeError:
            raise  # the reader of our output has gone: click ends quietly
        except Exception as error:
            if _is_out_of_memory(error):
                lack = DeviceError("this machine's memory is not enough, or what a process may have of it")
                print_error(lack)
                document.problems += lack.problems
                return lack.exit_code
            document.problems.append(print_internal_error(error, verbose=bool(ctx.params.get("verbose"))))
            return 1


def _is_out_of_memory(error: Exception) -> bool:
    """Tell whether the system gave no memory, to a library that is imported for example."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY)


def _problem_of(error: Any) -> Message:  # noqa: ANN401 - one of Typer's, whose class is private to it
    """Return what Typer says about an option or argument, at its place where it names one."""
    names = getattr(error, "option_name", None) or getattr(getattr(error, "param", None), "opts", [""])[-1]
    place = Place.of_option(names) if names.startswith("-") else None
    return Message(error.format_message(), place)
