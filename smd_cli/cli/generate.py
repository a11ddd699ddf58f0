"""`smd generate`: a scene to pictures. Everything that can fail cheaply is tried before torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import Messages, result, result_json
from smd_cli.errors import SceneError, UsageError
from smd_cli.media.files import check_target

if TYPE_CHECKING:
    from smd_cli.cli.rendering import Report
    from smd_cli.cli.scenes import OpenScene
    from smd_cli.scene.overrides import Override

Scene = Annotated[str, typer.Argument(metavar="SCENE", help="A scene file; - reads standard input.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="PNG", help="Write the picture to this file; for one seed."),
]
OutputDir = Annotated[
    Path,
    typer.Option(
        "--output-dir",
        envvar="SMD_OUTPUT_DIR",
        metavar="DIR",
        help="Write {scene}_{seed}_{index:04}.png into this folder.",
        show_default="the working directory",
    ),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option(
        "--seed",
        metavar="SEED",
        help="Instead of the scene's seed; repeatable, a picture for each.",
    ),
]
Device = Annotated[str, typer.Option("--device", envvar="SMD_DEVICE", help="auto, cpu, cuda, cuda:N or mps.")]
Dtype = Annotated[
    str, typer.Option("--dtype", envvar="SMD_DTYPE", help="auto, float32, bfloat16 or float16.")
]
Batch = Annotated[
    int,
    typer.Option("--batch", envvar="SMD_BATCH", min=1, max=1024, help="Views the model evaluates at once."),
]
Offline = Annotated[
    bool, typer.Option("--offline", envvar="SMD_OFFLINE", help="Never use the network, only the model cache.")
]
NoMetadata = Annotated[bool, typer.Option("--no-metadata", help="Leave the recipe out of the picture.")]
LAST_SEED = 2**63 - 1


def generate(
    scene: Scene,
    output: Output = None,
    output_dir: OutputDir = Path(),
    seed: Seeds = None,
    set_: options.Set = None,
    width: options.Width = None,
    height: options.Height = None,
    model: options.Model = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch: Batch = 8,
    offline: Offline = False,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    fail_existing: options.FailExisting = False,
    no_metadata: NoMetadata = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Render a scene: each prompt in its own region.

    The path of each picture goes to stdout, progress and timing to stderr.
    """
    existing = options.existing_policy(overwrite=overwrite, skip=skip_existing, fail=fail_existing)
    messages = Messages(quiet)
    opened = _open(scene, options.scene_overrides(set_, width, height, model), messages)
    targets = _targets(opened.plan.name, seed or [opened.plan.seed], output, output_dir)
    wanted = [target for target in targets if check_target(target[1], existing, way_out=options.REPLACING)]
    messages.notes(f"{path}: exists, skipped" for number, path in targets if (number, path) not in wanted)
    if not wanted:
        if json:
            result_json({"outputs": []})
        return
    how = options.Rendering(device, dtype, offline, batch, metadata=not no_metadata)
    report = _render(opened, wanted, how, messages, say_paths=not json)
    if json:
        result_json(report.to_dict())


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

            backbone = rendering.load_model(opened.plan, how)
        on_written = (lambda output: result(output.path)) if say_paths else None
        report = rendering.render(rendering.Job(opened, targets, how), backbone, clock, on_written)
    if not messages.quiet:
        show_timing(report)
    return report


def _open(scene: str, overrides: Sequence[Override], messages: Messages) -> OpenScene:
    """Open a scene that this command can render."""
    from smd_cli.cli.scenes import open_scene

    opened = open_scene(scene, overrides, messages)
    if opened.plan.task != "generate":
        raise SceneError(
            f"{opened.locate('task')}: {opened.plan.task} is not for this command, which renders generate "
            "(change it in the scene, or give --set task=generate)"
        )
    return opened


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
