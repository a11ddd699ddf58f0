"""`smd verify`: pictures rendered again, and compared with what their files show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import computing, options
from smd_cli.cli.document import document
from smd_cli.cli.option_groups import expand_options
from smd_cli.cli.verdicts import Verdicts, print_verdicts

if TYPE_CHECKING:
    from smd_cli.app.verification.criterion import Criterion

Pictures = Annotated[
    list[Path],
    typer.Argument(
        metavar="PICTURE",
        help="Pictures and films of smd's, folders of a film's frames, or locks (smd.lock, or a bundle's).",
    ),
]
Metric = Annotated[
    str,
    typer.Option(
        "--metric",
        metavar="METRIC",
        help="What is compared: pixels; or, for other hardware, latent (what the picture is decoded from) or "
        "ssim (the structure of what it shows).",
    ),
]
Tolerance = Annotated[
    int | None,
    typer.Option(
        "--tolerance",
        metavar="LEVELS",
        help="By how many levels of 255 a pixel may differ in a channel.",
        show_default="0",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="VALUE",
        help="The least similarity of --metric latent or ssim, of which 1 is equal.",
        show_default="0.995 and 0.95",
    ),
]
Diff = Annotated[
    Path | None,
    typer.Option(
        "--diff",
        metavar="DIR",
        help="Draw, for each picture that differs, what its file shows, what comes out now, and where they "
        "differ.",
    ),
]
JUnit = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write a report as JUnit XML, for CI systems.")
]


@dataclass(frozen=True)
class Judging:
    """Options for how pictures are compared."""

    metric: Metric = "pixels"
    tolerance: Tolerance = None
    threshold: Threshold = None

    def criterion(self) -> Criterion:
        """Return the criterion. Raises UsageError."""
        from smd_cli.app.verification.criterion import Criterion

        return Criterion.of(self.metric, self.tolerance, self.threshold)


@dataclass(frozen=True)
class Reports:
    """Options for what is written about them."""

    diff: Diff = None
    junit: JUnit = None


@expand_options
def verify(
    pictures: Pictures,
    judging: Judging = Judging(),
    reports: Reports = Reports(),
    base_dir: options.BaseDir = None,
    device: computing.Device = "auto",
    dtype: computing.Dtype = "auto",
    offline: computing.Offline = False,
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Render pictures again from their recipes, and compare them with what their files show.

    Of a lock, every picture that it holds is rendered, and compared with what it holds of it. A picture is
    computed as it was: on a CPU or not, in its precision, batch and number of threads. All pictures are
    tried. The exit code is 0 if all are the same, 7 if one differs or a file that it is made of has changed,
    and 6 if one could not be compared.
    """
    from smd_cli.app.verification.claims import gather_claims
    from smd_cli.app.verification.computation import Wanted
    from smd_cli.app.verification.differences import DifferenceFolder
    from smd_cli.app.verification.junit import JUnitReport
    from smd_cli.app.verification.run import Verifier
    from smd_cli.cli.progress import show_progress

    document().add(verdicts=[])
    criterion, wanted = judging.criterion(), Wanted(device, dtype, offline)
    differences = DifferenceFolder(reports.diff) if reports.diff else None
    junit = JUnitReport(reports.junit) if reports.junit else None
    if differences:
        differences.check()
    if junit:
        junit.check()
    began = datetime.now(UTC)
    with show_progress(reporting.messages()) as listener:
        found = gather_claims(pictures, base_dir=base_dir, offline=offline)
        verdicts = Verdicts([each.name for each in found], prints_results=not reporting.json)
        for verdict in Verifier(criterion, wanted, differences, listener).verify(found):
            verdicts.add(verdict)
    if junit:
        junit.write(verdicts.in_order(), criterion, began)
    if not reporting.quiet:
        print_verdicts(verdicts.in_order())
    verdicts.check_all()
