"""What can go wrong for a user, each kind with the exit code that the command line answers with.

Every error carries one line per problem; a line says where, what, and the way out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Self

from smd_cli.messages import Message, Place

Part = tuple[str | int, ...]
"""Which part of a model a problem is about, by its keys: ("loras", 0)."""

INTERRUPTED = 130  # the exit code of Ctrl-C, which is no error


class SmdError(Exception):
    """A render or a write failed. `problems` holds one line each, a `Message`."""

    exit_code: ClassVar[int] = 1

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = tuple(map(Message.of, problems))

    @classmethod
    def joined(cls, errors: Sequence[SmdError]) -> SmdError:
        """Return the problems of several errors as one: of their kind, if all have one; else of this."""
        kinds = {type(error) for error in errors}
        kind = kinds.pop() if len(kinds) == 1 else cls
        return kind(*(problem for error in errors for problem in error.problems))

    def at(self, place: Place) -> Self:
        """Return the error with a place for its problems that have none."""
        return type(self)(*(problem.at(place) for problem in self.problems))

    def __str__(self) -> str:
        return "\n".join(self.problems)


def kind_of(exit_code: int) -> type[SmdError]:
    """Return the kind of error that ends with an exit code."""
    return {kind.exit_code: kind for kind in SmdError.__subclasses__()}.get(exit_code, SmdError)


class UsageError(SmdError):
    """The command line itself is wrong: options, output places."""

    exit_code = 2


class SceneError(SmdError):
    """A scene cannot be read, or says something that no picture can be made of."""

    exit_code = 3


class AssetError(SmdError):
    """A picture, a mask file or a model is missing or unreadable.

    `parts` has one for each problem; an empty one is about no model, or nobody has said so far.
    """

    exit_code = 4

    def __init__(self, *problems: str, parts: Sequence[Part] = ()) -> None:
        super().__init__(*problems)
        self.parts = tuple(parts) or ((),) * len(problems)

    def of_part(self, *part: str | int) -> Self:
        """Return the error with a part for its problems that have none."""
        return type(self)(*self.problems, parts=[each or part for each in self.parts])

    def of_model(self, place_of: Callable[[Part], Place]) -> Self:
        """Return the error with a place for its problems that are about a part of a model."""
        return type(self)(
            *(
                problem.at(place_of(part)) if part else problem
                for problem, part in zip(self.problems, self.parts, strict=True)
            ),
            parts=self.parts,
        )


class DeviceError(SmdError):
    """The asked device or dtype is not there, or its memory is not enough."""

    exit_code = 5


class PartialError(SmdError):
    """Some of several pictures failed; the others were written."""

    exit_code = 6


class MismatchError(SmdError):
    """A file is not the one that a recipe was made with, or two pictures differ."""

    exit_code = 7


class Collected:
    """Errors of several things that are looked at, to be raised together."""

    MOST = 20  # lines

    def __init__(self) -> None:
        self._errors: list[SmdError] = []

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Keep the error that ends a block, if one does."""
        try:
            yield
        except SmdError as error:
            self._errors.append(error)

    def check(self) -> None:
        """Raise what was kept, each line once, as an error of the first one's kind."""
        if not self._errors:
            return
        first, lines = self._errors[0], dict.fromkeys(line for each in self._errors for line in each.problems)
        more = [f"and {len(lines) - self.MOST} more"] if len(lines) > self.MOST else []
        raise type(first)(*[*lines][: self.MOST], *more) from first
