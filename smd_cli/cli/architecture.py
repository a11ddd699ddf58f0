"""`smd bench speed --arch`: a family's published network with random weights, instead of scenes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import print_report
from smd_cli.cli.document import document
from smd_cli.engine.events import WarningRoute
from smd_cli.errors import UsageError
from smd_cli.messages import Place

if TYPE_CHECKING:
    from rich.table import Table

    from smd_cli.app.settings import RenderSettings
    from smd_cli.bench.report import ArchRow

MIB = 2**20
Arch = Annotated[
    str | None,
    typer.Option(
        "--arch",
        metavar="FAMILY",
        help="Instead of scenes, the published network of a family with random weights, without its files: "
        "sd15, sdxl, sd3, klein or zimage. Only --size, --steps and the options of computing go with it.",
    ),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--size",
        metavar="WxH",
        help="With --arch: a canvas in px. Repeatable.",
        show_default="768x512, 1024x1024 and 1920x768",
    ),
]
Steps = Annotated[int, typer.Option("--steps", min=1, max=100, help="With --arch: steps of a picture.")]

SIZES = ("768x512", "1024x1024", "1920x768")


@dataclass(frozen=True)
class Built:
    """Options for a network that is built instead of loaded."""

    arch: Arch = None
    size: Sizes = None
    steps: Steps = 3

    def check_for_scenes(self, settings: RenderSettings) -> None:
        """Raise UsageError where an option is given that only --arch takes."""
        given = {
            "--size": self.size is not None,
            "--memory": settings.memory not in ("auto", "high"),
            "--weights": settings.weights != "full",
        }
        for option, is_given in given.items():
            if is_given:
                raise UsageError(Place.of_option(option).says("goes with --arch alone"))

    def measure(
        self, name: str, scenes: Sequence[str] | None, settings: RenderSettings, reporting: options.Reporting
    ) -> None:
        """Measure an architecture and print what was found. Raises UsageError: it or a size is unknown."""
        from smd_cli.bench.architectures import ARCHITECTURES

        given = Place.of_option(f"--arch {name}")
        if scenes:
            raise UsageError(given.says("goes without scenes: its pictures have one prompt"))
        if name not in ARCHITECTURES:
            raise UsageError(given.says(f"unknown; choose {', '.join(ARCHITECTURES)}"))
        canvases = [_size(text) for text in self.size or SIZES]
        with WarningRoute(reporting.messages()):
            from smd_cli.bench.arch_speed import measure_architecture  # imports torch
            from smd_cli.cli.progress import show_count

            with show_count(self.steps * len(canvases), quiet=reporting.quiet) as advance:
                report = measure_architecture(name, canvases, self.steps, settings, advance)
        document().add(**report.to_dict())
        print_report(_table(report.rows), json=reporting.json, quiet=reporting.quiet)


def _size(text: str) -> tuple[int, int]:
    """Return the width and height that a text names. Raises UsageError."""
    found = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", text)
    if not found:
        raise UsageError(Place.of_option(f"--size {text}").says("give a width and a height in px: 768x512"))
    return int(found[1]), int(found[2])


def _table(rows: Sequence[ArchRow]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("architecture", "size"):
        table.add_column(name)
    for number in ("tiles", "at once", "s a step", "evals a s", "decode s", "peak MiB", "estimate"):
        table.add_column(number, justify="right")
    for row in rows:
        table.add_row(
            row.architecture,
            "{}x{}".format(*row.size),
            str(row.tiles),
            str(row.batch),
            f"{row.seconds_a_step:.3f}",
            f"{row.evaluations_a_second:.2f}",
            f"{row.decode_seconds:.2f}",
            f"{row.peak_bytes / MIB:,.0f}",
            f"{row.estimated_bytes / MIB:,.0f}",
        )
    return table
