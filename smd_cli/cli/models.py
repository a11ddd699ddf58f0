"""`smd models`: the models of this machine, what they are, and fetching and removing them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import computing, options
from smd_cli.cli.command import Command
from smd_cli.cli.console import print_layout, print_result
from smd_cli.cli.document import document
from smd_cli.cli.option_groups import expand_options
from smd_cli.engine.events import WarningRoute
from smd_cli.errors import AssetError, Collected, UsageError
from smd_cli.messages import Place
from smd_cli.references import WEIGHTS

if TYPE_CHECKING:
    from smd_cli.app.scenes import OpenedScene
    from smd_cli.models.cache import Removal
    from smd_cli.scene.overrides import Override

Reference = Annotated[
    str, typer.Argument(metavar="REF", help="A model, or a part of one, as a scene names it.")
]
Wanted = Annotated[
    list[str],
    typer.Argument(
        metavar="REF|SCENE", help="Models or parts of them on the hub, or scenes, by their paths."
    ),
]
Revision = Annotated[
    str | None,
    typer.Option("--revision", metavar="NAME", help="The branch, tag or commit of it; as owner/name@NAME."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Remove nothing; tell what would go.")]

models = typer.Typer(help="List, fetch and remove models.", no_args_is_help=True)


@models.command("list", cls=Command)
@expand_options
def list_(reporting: options.Reporting = options.Reporting()) -> None:  # noqa: B008 - frozen
    """List the models of this machine: the embedded one, and those in Hugging Face's cache.

    Of each its family, size and revisions, whether it is a model, a LoRA or something else, and what is odd
    about it. Models that are files and folders of your own are not looked for. Nobody is asked for anything.
    """
    from smd_cli.app.model_list import listed_models
    from smd_cli.cli.model_tables import list_of
    from smd_cli.models.hub import cache_folder

    found = list(listed_models())
    document().add(cache=str(cache_folder()), models=[each.to_dict() for each in found])
    if not reporting.json:
        print_layout(list_of(found))


@models.command(cls=Command)
@expand_options
def info(
    reference: Reference,
    offline: computing.Offline = False,
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Tell what a model is: its networks, their sizes and types of numbers, its family, what it predicts, its
    licence.

    It can be a folder or a file too, a LoRA, a textual inversion, an autoencoder or a captioner. Of the hub,
    configs alone are fetched.
    """
    _go_offline(offline)
    from smd_cli.app.model_info import model_info
    from smd_cli.cli.model_tables import facts_of

    with WarningRoute(reporting.messages()):
        found = model_info(_reference(reference), offline=offline)
    document().add(**found.to_dict())
    if not reporting.json:
        print_layout(facts_of(found))


@models.command(cls=Command)
@expand_options
def pull(
    wanted: Wanted,
    revision: Revision = None,
    offline: computing.Offline = False,
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Fetch what a render needs of models, or all that scenes need, into Hugging Face's cache.

    Their references with the commits go to stdout: a scene that names those stays as it is when the
    repository changes. A download that was cut off goes on where it ended.
    """
    _go_offline(offline)
    from smd_cli.cli.progress import show_downloads
    from smd_cli.models.download import telling

    messages, problems, pulled = reporting.messages(), Collected(), []
    for each in wanted:
        with (
            problems.catching(),
            WarningRoute(messages),
            show_downloads(quiet=reporting.quiet) as fetched,
            telling(fetched),
        ):
            for line in _pulled(each, revision, reporting, offline=offline):
                pulled.append(line)
                if not reporting.json:
                    print_result(line)
    document().add(pulled=pulled)
    problems.check()


def _pulled(wanted: str, revision: str | None, reporting: options.Reporting, *, offline: bool) -> list[str]:
    """Fetch a reference or what a scene needs; return where it lies, with its commit. Raises SmdError."""
    from smd_cli.app.model_pull import pull as pull_reference
    from smd_cli.models.hub import with_revision

    if _is_scene(wanted):
        if revision is not None:
            raise UsageError(Place.of_option(f"--revision {revision}").says("is of a model, not of a scene"))
        from smd_cli.app.model_needs import pull_scene

        return [*pull_scene(_open(wanted, reporting), offline=offline)]
    reference = _reference(wanted)
    return [pull_reference(with_revision(reference, revision) if revision else reference, offline=offline)]


@models.command(cls=Command)
@expand_options
def rm(
    reference: Reference,
    yes: Yes = False,
    dry_run: DryRun = False,
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Remove a model from Hugging Face's cache, or one revision of it: owner/name@revision.

    Files that other revisions need stay. Nothing else is ever removed: what lies in a folder of your own is
    yours to remove.
    """
    from smd_cli.models.cache import removal_of
    from smd_cli.models.sources import check_cached

    check_cached(reference)
    removal = removal_of(reference)
    text = _told(removal)
    document().add(removed=removal.name, revisions=list(removal.commits), freed_bytes=removal.frees)
    if not dry_run and not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{text}: would be removed; confirm it by --yes")
        if not typer.confirm(f"Remove {text}?", err=True):
            raise typer.Exit(1)
    if not dry_run:
        removal.execute()
    if not reporting.json:
        print_result(f"{'would be removed' if dry_run else 'removed'}: {text}")


def _told(removal: Removal) -> str:
    from smd_cli.models.files import in_bytes

    revisions = ", ".join(commit[:7] for commit in removal.commits)
    return f"{removal.name}{revisions and f' ({revisions})'}, {in_bytes(removal.frees)}"


@models.command(cls=Command)
@expand_options
def needs(
    scenes: options.Scenes,
    offline: computing.Offline = False,
    edits: options.ModelEdits = options.ModelEdits(),  # noqa: B008
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Tell what scenes need of models, how much of it is here, and how much a pull would fetch.

    The hub is asked for sizes, and nothing is fetched. The exit code is 4 where something is not here, which
    with --quiet is the whole answer.
    """
    _go_offline(offline)
    from smd_cli.app.model_needs import needs as needs_of
    from smd_cli.app.scenes import check_sources
    from smd_cli.cli.model_tables import needs_table

    check_sources(scenes)
    overrides, found = edits.overrides(), {}
    with WarningRoute(reporting.messages()):
        for scene in scenes:
            found[scene] = needs_of(_open(scene, reporting, overrides), offline=offline)
    document().add(
        scenes=[{"scene": name, "needs": [need.to_dict() for need in each]} for name, each in found.items()]
    )
    if not reporting.json and not reporting.quiet:
        print_layout(needs_table(found))
    if missing := [each.problem for group in found.values() for each in group if each.problem]:
        raise AssetError(*dict.fromkeys(missing))


def _open(scene: str, reporting: options.Reporting, overrides: Sequence[Override] = ()) -> OpenedScene:
    from smd_cli.app.scenes import load_scene

    return load_scene(scene, overrides=overrides, listener=reporting.messages())


def _is_scene(text: str) -> bool:
    """Tell whether something is a scene rather than a model: standard input, or a file that is no weights."""
    return text == "-" or (Path(text).is_file() and not text.endswith(WEIGHTS))


def _reference(text: str) -> str:
    """Return a reference as the loader takes it: a path from the working directory, where there is one."""
    from smd_cli.scene.paths import Reference as Named

    return Named(text, Path.cwd()).source


def _go_offline(offline: bool) -> None:
    if offline:
        from smd_cli.models.hub import go_offline

        go_offline()
