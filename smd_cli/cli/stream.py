"""`smd stream`: a scene over time, to an animation, a film, a folder of pictures or raw frames."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import computing, options
from smd_cli.cli.console import MessagePrinter, print_result
from smd_cli.cli.document import Document, document
from smd_cli.cli.locked import Locked
from smd_cli.cli.option_groups import expand_options
from smd_cli.cli.plan import print_plan
from smd_cli.engine.events import Noted, Warned
from smd_cli.errors import SceneError, UsageError
from smd_cli.interrupts import finishing, last_words
from smd_cli.media.files import Existing
from smd_cli.messages import Place
from smd_cli.regular_files import is_directory
from smd_cli.scene.seeds import parse_seeds

if TYPE_CHECKING:
    from smd_cli.app.existing import ComingRecipes
    from smd_cli.app.lock.drift import Held
    from smd_cli.app.lock.lockfile import Lock
    from smd_cli.app.scenes import OpenedScene
    from smd_cli.app.settings import RenderSettings
    from smd_cli.app.stream_input import StreamInput
    from smd_cli.app.streaming import SceneStream
    from smd_cli.scene.overrides import Override

DEFAULT_NAME = "{scene}_{seed}.gif"
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
OutputDir = Annotated[Path, options.output_dir(DEFAULT_NAME)]
Seed = Annotated[
    list[str] | None,
    typer.Option("--seed", metavar="SEED", help="Instead of the scene's seed: a number or random."),
]
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


@dataclass(frozen=True)
class Naming:
    """Options for where frames go, and under what names."""

    output: Output = None
    output_dir: OutputDir = Path()
    name: options.Name = None


@dataclass(frozen=True)
class StreamEdits:
    """Options that change a scene's stream."""

    frames: Frames = None
    seconds: Seconds = None
    fps: Fps = None
    loop: Loop = None
    input_: Input = None

    def overrides(self) -> list[Override]:
        """Return the changes. Raises UsageError.

        A number of frames replaces the scene's seconds, and the other way round. The path of an input is
        relative to the working directory, not to the scene's folder.
        """
        from smd_cli.scene.overrides import file_override, override

        if self.frames is not None and self.seconds is not None:
            raise UsageError(Place.of_option("--frames and --seconds").says("give only one of them"))
        values = {"frames": self.frames, "seconds": self.seconds, "fps": self.fps, "loop": self.loop}
        changes = [
            override(f"--{key} {value}", ("stream", key), value)
            for key, value in values.items()
            if value is not None
        ]
        if self.input_ is not None:
            changes.append(file_override(f"--input {self.input_}", ("stream", "input"), self.input_))
        for key, other in (("frames", "seconds"), ("seconds", "frames")):
            if values[key] is not None:
                changes.append(override(f"--{key} {values[key]}", ("stream", other), None))
        return changes


@expand_options
def stream(
    context: typer.Context,
    scene: options.Scene,
    naming: Naming = Naming(),
    seed: Seed = None,
    stream_edits: StreamEdits = StreamEdits(),
    edits: options.ModelEdits = options.ModelEdits(),  # noqa: B008
    compute: computing.RenderCompute = computing.RenderCompute(),  # noqa: B008
    dry_run: options.DryRun = False,
    files: options.WrittenFiles = options.WrittenFiles(),  # noqa: B008
    locked: Locked = Locked(),  # noqa: B008
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Render a scene as a stream of frames.

    The scene's timeline edits it as it runs. The path of the file goes to stdout, progress and timing to
    stderr.
    """
    if not dry_run:
        document().add(outputs=[], skipped=[])
    existing = files.policy()
    settings = compute.settings(metadata=files.metadata, strict=locked.strict)
    options.check_one_place(context, scene, naming.output, naming.name)
    if reporting.json and naming.output == "-":
        raise UsageError(
            Place.of_option("--output -").says("frames and --json both go to stdout; give a file name")
        )
    overrides = [*_seed_override(seed), *stream_edits.overrides(), *edits.overrides()]
    messages = reporting.messages()
    job = _open(scene, overrides, naming, messages, settings=settings, may_fetch=not dry_run)
    if lock := locked.read([scene]):
        job = _held(job, lock, messages)
    is_wanted = _is_wanted(job, existing, messages)
    if dry_run:
        print_plan(job.scene, settings, reporting, stream=job.source)
        return
    if not is_wanted:
        return
    _render(job, existing, settings, reporting)
    if job.target != "-" and not reporting.json:
        print_result(job.target)


@dataclass(frozen=True)
class _Job:
    """A scene to stream, what comes in, and where frames go."""

    scene: OpenedScene
    source: StreamInput
    target: str
    coming: ComingRecipes
    held: Held | None = None


def _seed_override(seeds: list[str] | None) -> list[Override]:
    """Return what --seed changes. Raises UsageError: it names no seed, or several."""
    overrides = options.seed_override(seeds)
    if seeds and len(parse_seeds(seeds)) > 1:
        raise UsageError(overrides[0].place.says("a stream has one seed; give one"))
    return overrides


def _open(
    path: str,
    overrides: list[Override],
    naming: Naming,
    messages: MessagePrinter,
    *,
    settings: RenderSettings,
    may_fetch: bool,
) -> _Job:
    """Open a scene and its input, and name the target; without `may_fetch`, no model is fetched for its hash.

    Raises UsageError: the target is written over the input.
    """
    from smd_cli.app.apart import check_apart
    from smd_cli.app.existing import ComingRecipes
    from smd_cli.app.names import NamedPicture, fill_name
    from smd_cli.app.scenes import load_scene
    from smd_cli.app.stream_input import check_room, find_stream_input

    fetch = may_fetch and not settings.offline
    scene = load_scene(path, overrides=overrides, task="stream", listener=messages, fetch=fetch)
    if (opened := scene.at_only_point(messages)) is None:
        hint = "is for several streams; `smd render` makes one for each point"
        raise SceneError(scene.locate("matrix").says(hint))
    plan, target, option = opened.plan, naming.output, "--output"
    coming = ComingRecipes(opened, settings, may_fetch=may_fetch)
    if target is None:
        picture = NamedPicture(plan, 0, lambda: coming.of(plan.seed).sha256)
        name = fill_name(naming.name or DEFAULT_NAME, picture)
        target, option = f"{naming.output_dir / name}{'/' * name.endswith('/')}", "--name"
    _check_target(target, option)
    check_apart(opened, target, option)
    source = find_stream_input(opened, messages)
    check_room(source, target, option)
    return _Job(opened, source, target, coming)


def _held(job: _Job, lock: Lock, messages: MessagePrinter) -> _Job:
    """Return a stream that a lock holds. Raises MismatchError: it holds none, or another."""
    from smd_cli.app.lock.drift import hold

    held = hold(lock, job.scene, [job.scene.plan.seed], job.coming.of)
    for note in held.notes:
        messages(Noted(note))
    return replace(job, held=held)


def _check_target(target: str, option: str) -> None:
    """Raise UsageError where a name could be a file's or a folder's."""
    is_named = Path(target).suffix or target == "-" or target.endswith("/")
    if not is_named and not is_directory(target):
        raise UsageError(f"{option} {target}: no suffix; a folder ends in /, a film in .gif or .mp4, say")


def _is_wanted(job: _Job, existing: Existing, messages: MessagePrinter) -> bool:
    """Tell whether a stream is to be made, as one that was cut short is; if not, say that it is there.

    Raises UsageError.
    """
    from smd_cli.app.existing import check_stream, existing_file, is_whole

    seed = job.scene.plan.seed
    if check_stream(job.target, existing, lambda: job.coming.of(seed), hint=options.replacing(existing)):
        return True
    if not is_whole(job.target, job.source.frames, messages):
        return True
    messages(Noted(f"{job.target}: exists, skipped"))
    document().add(skipped=[asdict(existing_file(job.target, seed, job.scene.plan.size))])
    return False


def _render(job: _Job, existing: Existing, settings: RenderSettings, reporting: options.Reporting) -> None:
    """Render and write a stream, showing how it goes."""
    from smd_cli.app.renderer import Renderer
    from smd_cli.cli.progress import print_stream_report, show_progress
    from smd_cli.media.sinks import reserved

    messages = reporting.messages()
    with (
        reserved(job.target) as lock,
        show_progress(messages) as listener,
        Renderer.of(settings, listener) as renderer,
    ):
        stream = renderer.stream(job.scene, source=job.source)
        kept = partial(_add_report, document(), stream)
        with finishing(stream.close), last_words(lambda _: kept()):
            try:
                report = stream.write_as(job.target, existing, hint=options.replacing(existing), lock=lock)
            finally:
                kept()
    is_whole = report.progress.frames == job.source.frames
    if job.held and is_whole and (message := job.held.other_pixels(report.outputs[0])):
        messages(Warned(message))
    if not reporting.quiet:
        print_stream_report(report)


def _add_report(told: Document, stream: SceneStream) -> None:
    """Add to the document what was kept of a stream, if anything was."""
    if stream.report:
        told.add(**stream.report.to_dict())
