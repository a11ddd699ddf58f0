"""`smd generate`, `smd inpaint` and `smd panorama`: a scene to pictures, by a command for each task.

Everything that can fail cheaply is tried before torch is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from smd_cli.cli import computing, options
from smd_cli.cli.batches import run_batch
from smd_cli.cli.document import document
from smd_cli.cli.locked import Locked
from smd_cli.cli.option_groups import expand_options
from smd_cli.cli.plan import print_plan

DEFAULT_NAME = "{scene}_{seed}.png"
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="A .png, .jpg, .webp or .avif file for the picture of one seed.",
    ),
]
OutputDir = Annotated[Path, options.output_dir(DEFAULT_NAME)]


@dataclass(frozen=True)
class Naming:
    """Options for where pictures go, and under what names."""

    output: Output = None
    output_dir: OutputDir = Path()
    name: options.Name = None


@expand_options
def generate(
    context: typer.Context,
    scene: options.Scene,
    naming: Naming = Naming(),
    seed: options.Seeds = None,
    edits: options.ModelEdits = options.ModelEdits(),  # noqa: B008
    compute: computing.RenderCompute = computing.RenderCompute(),  # noqa: B008
    dry_run: options.DryRun = False,
    files: options.WrittenFiles = options.WrittenFiles(),  # noqa: B008
    locked: Locked = Locked(),  # noqa: B008
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Render a scene; the name of the command that was called is its task."""
    from smd_cli.app.batch.planning import plan_batch
    from smd_cli.app.batch.request import Request

    if not dry_run:
        document().add(outputs=[], skipped=[], failed=[])
    settings = compute.settings(metadata=files.metadata, strict=locked.strict)
    options.check_one_place(context, scene, naming.output, naming.name)
    request = Request(
        scenes=(scene,),
        overrides=(*options.seed_override(seed), *edits.overrides()),
        task=context.command.name,
        output=None if naming.output is None else str(naming.output),
        output_dir=naming.output_dir,
        name=naming.name,
        settings=settings,
        existing=files.policy(),
        hint=options.replacing(files.policy()),
        may_fetch=not dry_run,
    )
    batch = plan_batch(request, reporting.messages(), lock=locked.read([scene]))
    if dry_run:
        print_plan(batch.scenes[0], settings, reporting)
    else:
        run_batch(batch, request, reporting)
