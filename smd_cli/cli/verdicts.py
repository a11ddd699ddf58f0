"""Verdicts on the terminal: results as they come, why one is not the same, and all of them as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smd_cli.cli.console import print_error, print_result, rich_console
from smd_cli.cli.document import document
from smd_cli.errors import MismatchError, PartialError, SmdError, kind_of

if TYPE_CHECKING:
    from smd_cli.app.verification.verdict import Measured, Verdict

_COLORS = {"same": "green", "differs": "red", "failed": "yellow"}


@dataclass
class Verdicts:
    """The verdicts of a run.

    Attributes:
        names: what is verified, in the order in which it was named.
        prints_results: whether each goes to stdout as it comes.
        verdicts: those so far, as they came.
    """

    names: Sequence[str]
    prints_results: bool
    verdicts: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Tell a verdict."""
        self.verdicts.append(verdict)
        document().append("verdicts", verdict.to_dict())
        if self.prints_results:
            print_result(f"{verdict.name}: {verdict.status}")
        if verdict.reasons and len(self.names) > 1:
            print_error(SmdError(*verdict.reasons))
            document().problems += verdict.reasons

    def in_order(self) -> list[Verdict]:
        """Return them in the order in which the pictures were named."""
        from smd_cli.app.verification.verdict import in_order

        return in_order(self.verdicts, self.names)

    def check_all(self) -> None:
        """Raise MismatchError: one differs; PartialError: one could not be compared; or why none could."""
        total = len(self.verdicts)
        document().add(verdicts=[verdict.to_dict() for verdict in self.in_order()])
        differing, failed = (
            [verdict for verdict in self.verdicts if verdict.status == status]
            for status in ("differs", "failed")
        )
        if total == 1 and (differing or failed):
            kind = MismatchError if differing else kind_of(failed[0].exit_code)
            raise kind(*self.verdicts[0].reasons)
        if differing:
            rest = f"; {len(failed)} could not be compared" if failed else ""
            raise MismatchError(f"{len(differing)} of {total} differ{rest}")
        if len(failed) == total:
            raise kind_of(failed[0].exit_code)(f"none of {total} could be compared")
        if failed:
            raise PartialError(f"{len(failed)} of {total} could not be compared; the others are the same")


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print verdicts as a table on stderr."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("picture", "result", "measured"):
        table.add_column(name)
    table.add_column("seconds", justify="right")
    for verdict in verdicts:
        result = Text(verdict.status, style=_COLORS[verdict.status])
        table.add_row(Text(verdict.name), result, _measured(verdict.measured), f"{verdict.seconds:.2f}")
    rich_console().print(table)


def _measured(measured: Measured | None) -> str:
    if measured is None:
        return ""
    if measured.similarity is not None:
        return f"{measured.metric} {measured.similarity:.4f}"
    if not measured.largest:
        return "the same pixels"
    return f"largest {measured.largest}, mean {measured.mean:.3g}, {measured.beyond:.2%} of pixels"
