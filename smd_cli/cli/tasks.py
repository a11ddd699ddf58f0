"""`smd generate`, `smd inpaint` and `smd panorama`: a scene to pictures, by a command for each task.

Everything that can fail cheaply is tried before torch is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import Messages, result, result_json
from smd_cli.cli.plan import tell_plan
from smd_cli.errors import UsageError
from smd_cli.media.files import Existing, check_target

if TYPE_CHECKING:
    from smd_cli.cli.rendering import Report
    from smd_cli.cli.scenes import OpenScene

_OUTPUT = "The path of each picture goes to stdout, progress and timing to stderr."
TASKS = {
    "generate": f"Render a scene: each prompt in its own region.\n\n{_OUTPUT}",
    "inpaint": f"Paint into a picture, or beyond its edges.\n\nWhat no mask covers stays as it is. {_OUTPUT}",
    "panorama": f"Render a panorama of any size.\n\nRegions may be bands along it. {_OUTPUT}",
}
"""The tasks that `render` does, and the help of each one's command."""

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="PNG", help="Write the picture to this file; for one seed."),
]
OutputDir = Annotated[Path, options.output_dir("{scene}_{seed}_{index:04}.png")]
Seeds = Annotated[
    list[int] | None,
    typer.Option(
        "--seed",
        metavar="SEED",
        help="Instead of the scene's seed; repeatable, a picture for each.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Render nothing; tell what it would take, as smd plan does.")
]
NoMetadata = Annotated[bool, typer.Option("--no-metadata", help="Leave the recipe out of the picture.")]
LAST_SEED = 2**63 - 1


def render(
    context: typer.Context,
    scene: options.Scene,
    output: Output = None,
    output_dir: OutputDir = Path(),
    seed: Seeds = None,
    set_: options.Set = None,
    width: options.Width = None,
    height: options.Height = None,
    model: options.Model = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    batch: options.Batch = "auto",
    offline: options.Offline = False,
    dry_run: DryRun = False,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    fail_existing: options.FailExisting = False,
    no_metadata: NoMetadata = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Render a scene; the name of the command that was called is its task."""
    from smd_cli.cli.scenes import open_scene

    existing = options.existing_policy(overwrite=overwrite, skip=skip_existing, fail=fail_existing)
    how = options.Rendering(device, dtype, offline, options.batch_size(batch), metadata=not no_metadata)
    messages = Messages(quiet)
    options.one_place(context, output)
    overrides = options.scene_overrides(set_, width, height, model)
    opened = open_scene(scene, overrides, messages, task=context.command.name)
    targets = _targets(opened.plan.name, seed or [opened.plan.seed], output, output_dir)
    wanted = _unskipped(targets, existing, messages)
    if dry_run:
        tell_plan(opened, how, messages, json=json)
        return
    report = _render(opened, wanted, how, messages, say_paths=not json) if wanted else None
    if json:
        result_json(report.to_dict() if report else {"outputs": []})


def _targets(name: str, seeds: list[int], output: Path | None, folder: Path) -> list[tuple[int, Path]]:
    """Pair each seed with its file.

    Raises UsageError: a seed is out of range or given twice, or one file is named for several seeds.
    """
    for number in seeds:
        if not 0 <= number <= LAST_SEED:
            raise UsageError(f"--seed {number}: must lie between 0 and {LAST_SEED}")
    if len(set(seeds)) < len(seeds):
        raise UsageError("--seed: the same seed is given twice")
    if output is None:
        return [(number, folder / f"{name}_{number}_{index:04}.png") for index, number in enumerate(seeds)]
    if len(seeds) > 1:
        raise UsageError(
            f"--output {output}: names one file for {len(seeds)} seeds; give --output-dir instead"
        )
    options.check_png("--output", output)
    return [(seeds[0], output)]


def _unskipped(
    targets: list[tuple[int, Path]], existing: Existing, messages: Messages
) -> list[tuple[int, Path]]:
    """The targets that are to be written; the others are named. Raises UsageError: one must not be."""
    wanted = [target for target in targets if check_target(target[1], existing, hint=options.REPLACING)]
    messages.notes(f"{path}: exists, skipped" for number, path in targets if (number, path) not in wanted)
    return wanted


def _render(
    opened: OpenScene,
    targets: list[tuple[int, Path]],
    how: options.Rendering,
    messages: Messages,
    *,
    say_paths: bool,
) -> Report:
    """Render a scene's pictures, showing how it goes; each path is said as soon as its file is there."""
    from smd_cli.cli.progress import hear_warnings, show_timing, watch
    from smd_cli.engine.events import Clock
    from smd_cli.models.sources import go_offline

    if how.offline:
        go_offline()
    hear_warnings(messages)
    with watch(quiet=messages.quiet) as listener:
        clock = Clock(listener)
        with clock.phase("load"):
            from smd_cli.cli import rendering  # imports torch

            backbone = rendering.load_model(opened, how)
        on_written = (lambda output: result(output.path)) if say_paths else None
        report = rendering.render(rendering.Job(opened, targets, how), backbone, clock, on_written)
    if not messages.quiet:
        show_timing(report)
    return report
