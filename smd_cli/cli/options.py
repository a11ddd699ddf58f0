"""Options that several commands share, spelled and explained once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from smd_cli.errors import UsageError
from smd_cli.media.files import Existing

if TYPE_CHECKING:
    from smd_cli.scene.overrides import Override

Scene = Annotated[str, typer.Argument(metavar="SCENE", help="A scene file; - reads standard input.")]
Scenes = Annotated[list[str], typer.Argument(metavar="SCENE", help="Scene files; - reads standard input.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of the scene, such as regions[0].prompt=a cat, regions[boy].mask_std=4 or "
        "sampler.indices=[0,12]. Repeatable.",
    ),
]
Width = Annotated[int | None, typer.Option("--width", "-W", help="Width of the canvas in px.")]
Height = Annotated[int | None, typer.Option("--height", "-H", help="Height of the canvas in px.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", envvar="SMD_MODEL", help="Model: a name, a Hub id, a folder or a .safetensors file."
    ),
]
Device = Annotated[str, typer.Option("--device", envvar="SMD_DEVICE", help="auto, cpu, cuda, cuda:N or mps.")]
Dtype = Annotated[
    str, typer.Option("--dtype", envvar="SMD_DTYPE", help="auto, float32, bfloat16 or float16.")
]
Batch = Annotated[
    str,
    typer.Option(
        "--batch",
        envvar="SMD_BATCH",
        metavar="N",
        help="Views the model evaluates at once: auto, what memory allows; or a number.",
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", envvar="SMD_OFFLINE", help="Never use the network, only the model cache.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the traceback of an internal error.")]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace any file that exists; by default only pictures that smd made are.",
    ),
]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Leave files that exist, and go on.")]
FailExisting = Annotated[bool, typer.Option("--fail-existing", help="Stop before any work if a file exists.")]


MAX_BATCH = 1024
REPLACING = "--overwrite replaces it, --skip-existing leaves it"
"""What to do about a file that exists, in commands that take these options."""


@dataclass(frozen=True)
class Rendering:
    """How to render, as the options say; `batch` views are evaluated at once, `auto`: as memory allows."""

    device: str
    dtype: str
    offline: bool
    batch: int | Literal["auto"]
    metadata: bool


def output_dir(name: str) -> Any:  # noqa: ANN401 - what Typer makes an option of
    """The option that names a folder for files of a name."""
    return typer.Option(
        "--output-dir",
        envvar="SMD_OUTPUT_DIR",
        metavar="DIR",
        help=f"Write {name} into this folder.",
        show_default="the working directory",
    )


def batch_size(text: str) -> int | Literal["auto"]:
    """What --batch asks for. Raises UsageError: neither the word auto nor a number in range."""
    if text == "auto":
        return "auto"
    try:
        size = int(text)
    except ValueError:
        size = 0
    if not 1 <= size <= MAX_BATCH:
        raise UsageError(f"--batch {text}: give auto or a number from 1 to {MAX_BATCH}")
    return size


def existing_policy(*, overwrite: bool, skip: bool, fail: bool) -> Existing:
    """The policy that the three options ask for. Raises UsageError: more than one is given."""
    if overwrite + skip + fail > 1:
        raise UsageError("--overwrite, --skip-existing and --fail-existing: give only one of them")
    if skip:
        return Existing.SKIP
    if fail:
        return Existing.FAIL
    return Existing.OVERWRITE if overwrite else Existing.REPLACE_OWN


def one_place(context: typer.Context, output: Path | str | None) -> None:
    """Raise UsageError where the command line names both a file and a folder; the environment may."""
    source = context.get_parameter_source("output_dir")
    if output is not None and source is not None and source.name == "COMMANDLINE":
        raise UsageError(f"--output {output}: --output-dir names a folder as well; give only one of them")


def check_png(option: str, path: Path) -> None:
    """Raise UsageError where a name does not say that the file will be a PNG."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"{option} {path}: pictures are written as PNG; give a name that ends in .png")


def scene_overrides(
    sets: list[str] | None, width: int | None = None, height: int | None = None, model: str | None = None
) -> list[Override]:
    """What the options change in a scene. Raises UsageError.

    --set has the last word: a named option may come from the environment.

    The path of a model is meant from the working directory here, from the scene's folder in a scene.
    """
    from smd_cli.scene.overrides import override, parse_override
    from smd_cli.scene.paths import model_source

    named = [
        (f"--width {width}", ("canvas", "width"), width),
        (f"--height {height}", ("canvas", "height"), height),
        (f"--model {model}", ("model", "base"), model and model_source(model, Path.cwd())),
    ]
    changes = [override(option, keys, value) for option, keys, value in named if value is not None]
    return changes + [parse_override(text) for text in sets or ()]


def stream_overrides(
    frames: int | None, seconds: float | None, fps: float | None, loop: int | None, source: str | None
) -> list[Override]:
    """What the options of a stream change in its section. Raises UsageError.

    A number of frames replaces the scene's seconds, and the other way round. The path of an input is meant
    from the working directory here, from the scene's folder in a scene.
    """
    from smd_cli.scene.overrides import override

    if frames is not None and seconds is not None:
        raise UsageError("--frames and --seconds: give only one of them")
    named: list[tuple[str, str, str | float | None]] = [
        (f"--frames {frames}", "frames", frames),
        (f"--seconds {seconds}", "seconds", seconds),
        (f"--fps {fps}", "fps", fps),
        (f"--loop {loop}", "loop", loop),
        (f"--input {source}", "input", source and str(Path.cwd() / source)),
    ]
    changes = [override(option, ("stream", key), value) for option, key, value in named if value is not None]
    if frames is not None or seconds is not None:
        other = "seconds" if seconds is None else "frames"
        changes.append(override(named[0][0], ("stream", other), None))
    return changes
