"""`smd render`: scenes to pictures and streams, each by its own task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smd_cli.cli import computing, options
from smd_cli.cli.batches import Beside, run_batch
from smd_cli.cli.console import MessagePrinter, print_result
from smd_cli.cli.document import document
from smd_cli.cli.engines import Engines
from smd_cli.cli.locked import Locked
from smd_cli.cli.option_groups import expand_options
from smd_cli.cli.preview import check_drawing
from smd_cli.engine.events import Noted
from smd_cli.errors import UsageError
from smd_cli.messages import Place

if TYPE_CHECKING:
    from smd_cli.app.batch.planning import Batch
    from smd_cli.app.batch.sheet import BatchSheet
    from smd_cli.scene.matrix import Point

OutputDir = Annotated[Path, options.output_dir("{scene}_{seed}.png, or .gif for a stream,")]
MatrixAxes = Annotated[
    list[str] | None,
    typer.Option(
        "--matrix",
        metavar="KEY=VALUES",
        help="Values for a key, such as bootstrap.steps=0,1,2 or 'regions[0].prompt=a cat,a dog': a picture "
        "for each. Repeatable, for every combination. Replaces the scene's matrix.",
    ),
]
Zip = Annotated[
    bool,
    typer.Option("--zip", help="Take the first values of every --matrix, the second ones, and so on."),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write a line of JSON to this file as each job ends; -: to stdout, instead of the paths.",
    ),
]
FailFast = Annotated[
    bool,
    typer.Option("--fail-fast", help="Begin nothing after a job has failed; otherwise the others are made."),
]
SheetFile = Annotated[
    Path | None,
    typer.Option(
        "--sheet",
        metavar="PNG",
        help="At the end, lay out all pictures on a contact sheet, with labels; one or two keys of a matrix "
        "make it a table.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Render nothing; print the file of each job.")]


@dataclass(frozen=True)
class Naming:
    """Options for where files go, and under what names."""

    output_dir: OutputDir = Path()
    name: options.Name = None


@dataclass(frozen=True)
class Matrix:
    """Options for variants of each scene."""

    matrix: MatrixAxes = None
    zip_: Zip = False

    def points(self) -> tuple[Point, ...]:
        """Return the points; none where no option names any. Raises UsageError."""
        from smd_cli.scene.matrix import parse_axis, points_of

        if self.zip_ and not self.matrix:
            raise UsageError(Place.of_option("--zip").says("pairs the values of several --matrix: give them"))
        axes = [parse_axis(text) for text in self.matrix or ()]
        return points_of(axes, zipped=self.zip_) if axes else ()


@dataclass(frozen=True)
class Extras:
    """Options for what a batch leaves beside its files."""

    sheet: SheetFile = None
    report: ReportFile = None

    def check(self, reporting: options.Reporting) -> None:
        """Raise UsageError where two things would be printed to stdout."""
        place = Place.of_option(f"--report {self.report}")
        if str(self.report) == "-" and reporting.json:
            raise UsageError(place.says("--json prints to stdout as well; give a file"))

    def beside(self, batch: Batch) -> Beside:
        """Return what a batch leaves beside its files. Raises UsageError: it cannot be written."""
        beside = Beside(_plan_sheet(self.sheet, batch) if self.sheet else None, self.report)
        if self.report and not beside.is_result:
            from smd_cli.app.batch.report import check_report

            check_report(self.report, batch)
            if beside.sheet and beside.sheet.has_page(self.report):
                place = Place.of_file(self.report, "--report")
                raise UsageError(place.says("is a page of the --sheet; give another name"))
        return beside


@expand_options
def render(
    scenes: options.Scenes,
    naming: Naming = Naming(),
    seed: options.Seeds = None,
    matrix: Matrix = Matrix(),
    edits: options.ModelEdits = options.ModelEdits(),  # noqa: B008 - frozen
    compute: computing.RenderCompute = computing.RenderCompute(),  # noqa: B008
    engines: Engines = Engines(),  # noqa: B008
    extras: Extras = Extras(),
    fail_fast: FailFast = False,
    dry_run: DryRun = False,
    files: options.WrittenFiles = options.WrittenFiles(),  # noqa: B008
    locked: Locked = Locked(),  # noqa: B008
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Render scenes, each by its own task: a file for every seed and every point of its matrix.

    All scenes are read and checked, and all files named, before the first is rendered. Each model is loaded
    once. Where a job fails, the others are made, and the exit code is 6. The path of each file goes to stdout
    as soon as it is there, progress and timing to stderr.
    """
    from smd_cli.app.batch.planning import plan_batch
    from smd_cli.app.batch.request import Request
    from smd_cli.app.batch.variants import check_models

    document().add(outputs=[], skipped=[], failed=[])
    if "-" in scenes and naming.name is None:
        raise UsageError("-: a scene from standard input has no name; give --name")
    extras.check(reporting)
    messages = reporting.messages()
    request = Request(
        scenes=scenes,
        seeds=seeds_of(seed, messages),
        overrides=edits.overrides(),
        points=matrix.points(),
        output_dir=naming.output_dir,
        name=naming.name,
        settings=compute.settings(metadata=files.metadata, strict=locked.strict),
        existing=files.policy(),
        hint=options.replacing(files.policy()),
        may_fetch=not dry_run,
        fail_fast=fail_fast,
    )
    make_engine = engines.make(compute.device)
    batch = plan_batch(request, messages, lock=locked.read(scenes))
    beside = extras.beside(batch)
    if dry_run:
        _print_jobs(batch, reporting)
        return
    check_models(batch.jobs, offline=request.settings.offline)
    run_batch(batch, request, reporting, beside, make_engine)


def _plan_sheet(path: Path, batch: Batch) -> BatchSheet:
    from smd_cli.app.batch.sheet import BatchSheet

    check_drawing(path, "--sheet", "contact sheets")
    return BatchSheet.of(path, batch)


def seeds_of(given: list[str] | None, messages: MessagePrinter) -> tuple[int, ...]:
    """Return the seeds of --seed, which are the same for every scene; tell those that were drawn."""
    from smd_cli.scene.seeds import has_random, parse_seeds

    if not given:
        return ()
    (override,) = options.seed_override(given)
    seeds = parse_seeds(given)
    if has_random(given):
        messages(Noted(override.place.says(f"this time: {', '.join(map(str, seeds))}")))
    return seeds


def _print_jobs(batch: Batch, reporting: options.Reporting) -> None:
    """Print as a result what would be made."""
    jobs: list[dict[str, Any]] = [
        {
            "path": job.target,
            "scene": job.scene.locate().source,
            "task": job.scene.plan.task,
            "seed": job.seed,
            "point": job.point,
        }
        for job in batch.jobs
    ]
    document().add(jobs=jobs)
    if not reporting.json and not reporting.quiet:
        for job in jobs:
            print_result(job["path"])
