"""`smd lock`: what scenes make, held in a file, so that a change is noticed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smd_cli.cli import computing, options
from smd_cli.cli.console import MessagePrinter, print_result
from smd_cli.cli.document import document
from smd_cli.cli.locked import LOCK
from smd_cli.cli.option_groups import expand_options
from smd_cli.cli.render import Matrix, seeds_of
from smd_cli.errors import UsageError
from smd_cli.media.files import Existing
from smd_cli.messages import Place

if TYPE_CHECKING:
    from smd_cli.app.batch.request import Request
    from smd_cli.app.lock.lockfile import Lock
    from smd_cli.app.lock.pictures import LockedPicture

Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="The lock; one that is there is updated.")
]
InputsOnly = Annotated[
    bool,
    typer.Option(
        "--inputs-only",
        help="Render nothing, and hold only what pictures are made of: scenes, masks, pictures and models.",
    ),
]
Pictures = Annotated[
    Path | None,
    typer.Option("--output-dir", metavar="DIR", help="Write the pictures too, into this folder."),
]


@dataclass(frozen=True)
class Writing:
    """Options for the pictures that are rendered, which are not kept unless they have a folder."""

    output_dir: Pictures = None
    name: options.Name = None
    overwrite: options.Overwrite = False

    def check(self, *, inputs_only: bool) -> None:
        """Raise UsageError where options do not go together."""
        if self.output_dir is None and (self.name is not None or self.overwrite):
            given = Place.of_option("--overwrite" if self.name is None else f"--name {self.name}")
            raise UsageError(given.says("is of pictures, which only --output-dir writes"))
        if self.output_dir is not None and inputs_only:
            raise UsageError(Place.of_option("--inputs-only").says("renders no pictures for --output-dir"))


@expand_options
def lock(
    scenes: options.Scenes,
    output: Output = Path(LOCK),
    inputs_only: InputsOnly = False,
    seed: options.Seeds = None,
    matrix: Matrix = Matrix(),  # noqa: B008
    edits: options.ModelEdits = options.ModelEdits(),  # noqa: B008 - frozen
    compute: computing.RenderCompute = computing.RenderCompute(),  # noqa: B008
    writing: Writing = Writing(),
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Lock scenes: render their pictures, and hold in a file what they are made of and what they show.

    With it, `--locked` refuses to render anything else, and `smd verify` tells whether the pictures come out
    again. Pictures of scenes that are not named stay in the lock. Its path goes to stdout.
    """
    from smd_cli.app.batch.locking import lock_to_update, update_lock
    from smd_cli.app.batch.request import Request

    writing.check(inputs_only=inputs_only)
    messages = reporting.messages()
    before = lock_to_update(output)
    request = Request(
        scenes=scenes,
        seeds=seeds_of(seed, messages),
        overrides=edits.overrides(),
        points=matrix.points(),
        output_dir=writing.output_dir or Path(),
        name=writing.name,
        settings=compute.settings(metadata=True),
        existing=Existing.OVERWRITE if writing.overwrite else Existing.REPLACE_OWN,
        hint=options.REPLACING,
    )
    if inputs_only:
        pictures = _inputs(before, request, messages)
    else:
        pictures = _rendered(before, request, messages, writes=writing.output_dir is not None)
    update_lock(output, pictures, messages)
    document().add(lock=str(output), pictures=[_told(picture) for picture in pictures])
    if not reporting.json:
        print_result(str(output))


def _inputs(lock: Lock, request: Request, messages: MessagePrinter) -> list[LockedPicture]:
    from smd_cli.app.batch.locking import check_lockable, lock_inputs
    from smd_cli.app.batch.variants import open_variants

    variants = open_variants(request, messages)
    check_lockable(lock, [variant.scene for variant in variants], messages)
    return list(lock_inputs(lock, variants))


def _rendered(lock: Lock, request: Request, messages: MessagePrinter, *, writes: bool) -> list[LockedPicture]:
    """Render pictures, showing how it goes."""
    from smd_cli.app.batch.locking import Locking, check_lockable, jobs_of
    from smd_cli.app.batch.planning import plan_batch
    from smd_cli.app.batch.variants import check_models, open_variants
    from smd_cli.cli.progress import show_progress

    jobs = plan_batch(request, messages).jobs if writes else jobs_of(open_variants(request, messages))
    check_lockable(lock, [job.scene for job in jobs], messages)
    check_models(jobs, offline=request.settings.offline)
    with show_progress(messages) as listener:
        return list(Locking(lock, request, listener).run(jobs))


def _told(picture: LockedPicture) -> dict[str, Any]:
    """Return what `--json` prints of a picture."""
    return {
        "scene": picture.scene,
        "overrides": dict(picture.overrides),
        "seed": picture.seed,
        "sha256": picture.recipe.sha256,
        "pixels_sha256": picture.recipe.pixels,
        "file": picture.file,
    }
