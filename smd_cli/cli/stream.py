"""`smd stream`: a scene over time, to an animation, a film, a folder of pictures or raw frames."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smd_cli.cli import options
from smd_cli.cli.console import Messages, result, result_json
from smd_cli.cli.plan import tell_plan
from smd_cli.cli.tasks import LAST_SEED, DryRun, NoMetadata
from smd_cli.errors import UsageError

if TYPE_CHECKING:
    from smd_cli.cli.running import Running
    from smd_cli.cli.scenes import OpenScene
    from smd_cli.cli.streaming import StreamReport

Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="A .gif, .webp, .apng (or .png) or .mp4 file, a folder (ending in /) for numbered pictures, or "
        "- for raw RGB frames on stdout.",
    ),
]
OutputDir = Annotated[Path, options.output_dir("{scene}_{seed}_0000.gif")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="SEED", help="Instead of the scene's seed.")]
Frames = Annotated[int | None, typer.Option("--frames", metavar="N", help="How many frames.")]
Seconds = Annotated[float | None, typer.Option("--seconds", metavar="S", help="For how long instead.")]
Fps = Annotated[float | None, typer.Option("--fps", metavar="RATE", help="Frames a second.")]
Loop = Annotated[
    int | None, typer.Option("--loop", metavar="N", help="How often an animation plays; 0: for ever.")
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="PATH",
        help="Frames to repaint: a picture, an animation, a video, a folder or a pattern.",
    ),
]


def stream(
    context: typer.Context,
    scene: options.Scene,
    output: Output = None,
    output_dir: OutputDir = Path(),
    seed: Seed = None,
    frames: Frames = None,
    seconds: Seconds = None,
    fps: Fps = None,
    loop: Loop = None,
    input_: Input = None,
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
    """Render a scene as a stream of frames.

    The scene's timeline edits it as it runs. The path of the file goes to stdout, progress and timing to
    stderr.
    """
    from smd_cli.cli.running import check_apart, find_running
    from smd_cli.cli.scenes import open_scene
    from smd_cli.media.sinks import check_sink

    existing = options.existing_policy(overwrite=overwrite, skip=skip_existing, fail=fail_existing)
    how = options.Rendering(device, dtype, offline, options.batch_size(batch), metadata=not no_metadata)
    messages = Messages(quiet)
    options.one_place(context, output)
    if json and output == "-":
        raise UsageError("--output -: frames and --json both go to stdout; give a file name")
    if seed is not None and not 0 <= seed <= LAST_SEED:
        raise UsageError(f"--seed {seed}: must lie between 0 and {LAST_SEED}")
    overrides = options.stream_overrides(frames, seconds, fps, loop, input_)
    overrides += options.scene_overrides(set_, width, height, model)
    opened = open_scene(scene, overrides, messages, task="stream")
    running = find_running(opened)
    number = opened.plan.seed if seed is None else seed
    is_named = Path(output or "-").suffix or output in (None, "-") or str(output).endswith("/")
    if not is_named and not os.path.isdir(str(output)):  # noqa: PTH112 - of a name too long, Path's raises
        raise UsageError(f"--output {output}: no suffix; a folder ends in /, a film in .gif or .mp4, say")
    target = output or str(output_dir / f"{opened.plan.name}_{number}_0000.gif")
    check_apart(opened, target)
    wanted = check_sink(target, existing, hint=options.REPLACING)
    if dry_run:
        tell_plan(opened, how, messages, json=json)
        return
    if not wanted:
        messages.notes([f"{target}: exists, skipped"])
        if json:
            result_json({"outputs": []})
        return
    with _stopped_alike():
        report = _render(opened, running, target, number, how, messages)
    if json:
        result_json(report.to_dict())
    elif target != "-":
        result(target)


def _render(
    opened: OpenScene,
    running: Running,
    target: str,
    seed: int,
    how: options.Rendering,
    messages: Messages,
) -> StreamReport:
    """Load the model and render a stream, showing how it goes."""
    from smd_cli.cli.progress import hear_warnings, show_stream, watch_stream
    from smd_cli.models.sources import go_offline

    if how.offline:
        go_offline()
    hear_warnings(messages)
    began = time.perf_counter()
    from smd_cli.cli import rendering, streaming  # they import torch

    backbone = rendering.load_model(opened, how)
    job = streaming.StreamJob(opened, running, seed, target, how)
    with watch_stream(running.frames, quiet=messages.quiet) as watch:
        report = streaming.stream(job, backbone, watch, time.perf_counter() - began)
    if running.frames is not None and report.progress.frames < running.frames:
        messages.warnings([f"the input ended after {report.progress.frames} of {running.frames} frames"])
    if not messages.quiet:
        show_stream(report)
    return report


@contextmanager
def _stopped_alike() -> Iterator[None]:
    """Let a request to terminate end the stream as Ctrl-C does: what is written plays."""

    def interrupt(*_: Any) -> None:  # noqa: ANN401 - a signal's number and frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
