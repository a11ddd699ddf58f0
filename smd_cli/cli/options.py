"""Options that several commands share, spelled and explained once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smd_cli.cli.completion import complete_model
from smd_cli.cli.console import MessagePrinter
from smd_cli.errors import UsageError
from smd_cli.media.files import Existing
from smd_cli.messages import Place

if TYPE_CHECKING:
    from smd_cli.scene.overrides import Override

Scene = Annotated[
    str,
    typer.Argument(
        metavar="SCENE", help="A scene file, or a picture of smd's to make again; - reads standard input."
    ),
]
Scenes = Annotated[list[str], typer.Argument(metavar="SCENE", help="Scene files; - reads standard input.")]
Seeds = Annotated[
    list[str] | None,
    typer.Option(
        "--seed",
        metavar="SEED",
        help="Instead of the scene's seed: a number, several as 1-4,9, or random. Repeatable, a picture for "
        "each.",
    ),
]
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
        "--model",
        envvar="SMD_MODEL",
        help="Model: a name, a Hub id, a folder or a .safetensors file.",
        autocompletion=complete_model,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, on failure too.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but results and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the traceback of an internal error.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Render nothing; print what it would take, as smd plan does.")
]
NoMetadata = Annotated[bool, typer.Option("--no-metadata", help="Leave the recipe out of the picture.")]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace any file that exists; by default only the same picture, of the same recipe, is.",
    ),
]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        help="Leave pictures that exist with the same recipe, and go on. With --overwrite, all others that "
        "exist are replaced.",
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="TEMPLATE",
        help="Name files by a template, such as {scene}_{seed}_{hash:8}.png. It knows {scene}, {task}, "
        "{seed}, {index}, {model}, {hash}, {point} (what a matrix sets) and every key, such as "
        "{sampler.guidance_scale} or {regions[0].prompt}.",
    ),
]
FailExisting = Annotated[bool, typer.Option("--fail-existing", help="Stop before any work if a file exists.")]

BaseDir = Annotated[
    Path | None,
    typer.Option(
        "--base-dir",
        metavar="DIR",
        help="Where relative paths of recipes start: the folder of the scene that made the pictures.",
        show_default="each picture's folder",
    ),
]

REPLACING = "--overwrite replaces it"
"""What to do about a file that exists, where this is an option: no other picture is ever skipped."""


def replacing(existing: Existing) -> str:
    """Return what to do about another picture in the way; beside --skip-existing, what leaves the others."""
    return f"{'--skip-existing ' * (existing is Existing.SKIP)}{REPLACING}"


@dataclass(frozen=True)
class Edits:
    """Options that change values of a scene."""

    set_: Set = None
    width: Width = None
    height: Height = None

    def overrides(self) -> list[Override]:
        """Return the changes. --set has the last word: a named option may come from the environment.

        Raises UsageError.
        """
        from smd_cli.scene.overrides import override, parse_override

        sizes = {"width": self.width, "height": self.height}
        changes = [
            override(f"--{key} {value}", ("canvas", key), value)
            for key, value in sizes.items()
            if value is not None
        ]
        return [*changes, *self._more(), *(parse_override(text) for text in self.set_ or ())]

    def _more(self) -> list[Override]:
        return []


@dataclass(frozen=True)
class ModelEdits(Edits):
    """Options that change values of a scene, its model among them."""

    model: Model = None

    def _more(self) -> list[Override]:
        return model_override(self.model)


def seed_override(seeds: list[str] | None) -> list[Override]:
    """Return what --seed changes. Raises UsageError: it names no seeds."""
    from smd_cli.messages import Place
    from smd_cli.scene.data import from_data
    from smd_cli.scene.overrides import Override
    from smd_cli.scene.seeds import parse_seeds

    if not seeds:
        return []
    option = " ".join(f"--seed {text}" for text in seeds)
    place = Place.of_option(option)
    try:
        parse_seeds(seeds)
    except ValueError as error:
        raise UsageError(place.says(str(error))) from error
    return [Override(option, ("seed",), from_data(seeds, place))]


def model_override(model: str | None) -> list[Override]:
    """Return what --model changes; a path is relative to the working directory, not to the scene's folder."""
    from smd_cli.scene.overrides import file_override, override
    from smd_cli.scene.paths import Reference

    if model is None:
        return []
    is_name = Reference(model, Path.cwd()).source == model
    return [(override if is_name else file_override)(f"--model {model}", ("model", "base"), model)]


@dataclass(frozen=True)
class ExistingFiles:
    """Options for files that exist already."""

    overwrite: Overwrite = False
    skip_existing: SkipExisting = False
    fail_existing: FailExisting = False

    def policy(self) -> Existing:
        """Return what to do about them. Raises UsageError: --fail-existing is given with another option."""
        if self.fail_existing:
            if self.overwrite or self.skip_existing:
                other = "--overwrite" if self.overwrite else "--skip-existing"
                raise UsageError(Place.of_option("--fail-existing").says(f"is the opposite of {other}"))
            return Existing.FAIL
        if self.skip_existing:
            return Existing.UPDATE if self.overwrite else Existing.SKIP
        return Existing.OVERWRITE if self.overwrite else Existing.REPLACE_OWN


@dataclass(frozen=True)
class WrittenFiles(ExistingFiles):
    """Options for the pictures that are written."""

    no_metadata: NoMetadata = False

    @property
    def metadata(self) -> bool:
        """Tell whether they carry their recipe."""
        return not self.no_metadata


@dataclass(frozen=True)
class Reporting:
    """Options for what is printed; `verbose` is for internal errors (see `Command`)."""

    json: Json = False
    quiet: Quiet = False
    verbose: Verbose = False

    def messages(self) -> MessagePrinter:
        """Return the printer of notes and warnings."""
        return MessagePrinter(self.quiet)


def output_dir(name: str) -> Any:  # noqa: ANN401 - what Typer makes an option of
    """Return the option that names a folder for files of a name."""
    return typer.Option(
        "--output-dir",
        envvar="SMD_OUTPUT_DIR",
        metavar="DIR",
        help=f"Write {name} into this folder.",
        show_default="the working directory",
    )


def check_one_place(context: typer.Context, scene: str, output: Path | str | None, name: str | None) -> None:
    """Check that the command line says where a file goes, and once: the environment may name a folder too.

    Raises UsageError.
    """
    given = Place.of_option(f"--output {output}")
    if output is not None and name is not None:
        raise UsageError(given.says("--name names files as well; give only one of them"))
    if scene == "-" and output is None and name is None:
        raise UsageError("-: a scene from standard input has no name; give --name or --output")
    source = context.get_parameter_source("output_dir")
    if output is not None and source is not None and source.name == "COMMANDLINE":
        raise UsageError(given.says("--output-dir names a folder as well; give only one of them"))
