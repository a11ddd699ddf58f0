"""`smd generate`, `smd inpaint` and `smd panorama`: a scene to pictures, by a command for each task.

Everything that can fail cheaply is tried before torch is imported.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import MessagePrinter
from smd_cli.cli.document import document
from smd_cli.cli.option_groups import expand_options
from smd_cli.cli.pictures import Pictures, Target
from smd_cli.cli.plan import print_plan
from smd_cli.engine.events import Event, Noted
from smd_cli.errors import UsageError
from smd_cli.media.files import Existing
from smd_cli.messages import Place

if TYPE_CHECKING:
    from smd_cli.app.existing import ComingRecipes
    from smd_cli.app.scenes import OpenedScene
    from smd_cli.app.settings import RenderSettings
    from smd_cli.scene.resolve import Size

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
def render(
    context: typer.Context,
    scene: options.Scene,
    naming: Naming = Naming(),
    seed: options.Seeds = None,
    edits: options.ModelEdits = options.ModelEdits(),  # noqa: B008
    compute: options.Compute = options.Compute(),  # noqa: B008
    dry_run: options.DryRun = False,
    files: options.ExistingFiles = options.ExistingFiles(),  # noqa: B008
    no_metadata: options.NoMetadata = False,
    strict: options.Strict = False,
    deterministic: options.Deterministic = False,
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Render a scene; the name of the command that was called is its task."""
    from smd_cli.app.apart import check_apart
    from smd_cli.app.existing import ComingRecipes
    from smd_cli.app.scenes import load_scene

    if not dry_run:
        document().add(outputs=[], skipped=[])
    existing = files.policy()
    settings = compute.settings(metadata=not no_metadata, strict=strict, deterministic=deterministic)
    options.check_one_place(context, scene, naming.output, naming.name)
    overrides, messages = [*options.seed_override(seed), *edits.overrides()], reporting.messages()
    opened = load_scene(scene, overrides=overrides, task=context.command.name, listener=messages)
    coming = ComingRecipes(opened, offline=settings.offline or dry_run)
    targets = _targets(opened, naming, coming)
    option = "--name" if naming.output is None else "--output"
    for _, path in targets:
        check_apart(opened, path, option)
    _check_formats(targets, opened.plan.size, option, coming if settings.metadata else None)
    wanted = _wanted(targets, opened.plan.size, existing, coming, messages)
    if dry_run:
        print_plan(opened, settings, reporting)
    elif wanted:
        _render(opened, wanted, existing, settings, reporting)


def _targets(opened: OpenedScene, naming: Naming, coming: ComingRecipes) -> list[Target]:
    """Pair each seed with its file. Raises UsageError: one file is named for several seeds."""
    from smd_cli.app.names import name_pictures

    seeds = opened.seeds
    if naming.output is None:
        names = name_pictures(naming.name or DEFAULT_NAME, opened.plan, seeds, coming)
        targets = [(seed, naming.output_dir / name) for seed, name in zip(seeds, names, strict=True)]
    elif len(seeds) == 1:
        targets = [(seeds[0], naming.output)]
    else:
        named = Place.of_option(f"--output {naming.output}")
        raise UsageError(named.says(f"names one file for {len(seeds)} seeds; give --output-dir instead"))
    return targets


def _check_formats(targets: Sequence[Target], size: Size, option: str, coming: ComingRecipes | None) -> None:
    """Raise UsageError or AssetError where a file cannot hold its picture, or its recipe, if it has one."""
    from smd_cli.media.stills import check_still, check_texts

    for seed, path in targets:
        check_still(path, size, option=option)
        if coming:
            check_texts(path, partial(coming.texts, seed), option=option)


def _wanted(
    targets: Sequence[Target],
    size: Size,
    existing: Existing,
    coming: ComingRecipes,
    messages: MessagePrinter,
) -> list[Target]:
    """Return the pictures that are to be made; tell those that are there.

    Raises UsageError: as `check_picture`, a line for each file.
    """
    from smd_cli.app.existing import check_picture, existing_file

    wanted: list[Target] = []
    problems: list[str] = []
    skipped = []
    for seed, path in targets:
        try:
            is_wanted = check_picture(path, existing, partial(coming.of, seed), hint=options.REPLACING)
        except UsageError as error:
            problems += error.problems
            continue
        if is_wanted:
            wanted.append((seed, path))
        else:
            messages(Noted(f"{path}: exists, skipped"))
            skipped.append(asdict(existing_file(path, seed, size)))
    if skipped:
        document().add(skipped=skipped)
    if problems:
        raise UsageError(*problems)
    return wanted


def _render(
    opened: OpenedScene,
    targets: list[Target],
    existing: Existing,
    settings: RenderSettings,
    reporting: options.Reporting,
) -> None:
    """Render and write pictures, showing how it goes. Raises PartialError: some failed, as has been told."""
    from smd_cli.app.renderer import Renderer
    from smd_cli.app.reports import PhaseTimes, RenderReport
    from smd_cli.cli.progress import print_render_report, show_progress

    times, began = PhaseTimes(), time.perf_counter()
    with show_progress(reporting.messages()) as show:

        def listener(event: Event) -> None:
            times(event)
            show(event)

        pictures = Pictures(opened, targets, existing, listener, prints_paths=not reporting.json)
        with Renderer.of(settings, listener) as renderer:
            pictures.make(renderer)
    if pictures.outputs and (last := pictures.last):
        report = RenderReport(
            outputs=tuple(pictures.outputs),
            timing=times.timing(time.perf_counter() - began),
            work={name: count * len(pictures.outputs) for name, count in last.work._asdict().items()},
            device=last.device,
            steps=last.steps,
        )
        document().add(**report.to_dict())
        if not reporting.quiet:
            print_render_report(report)
    pictures.check_whole()
