"""The recipe of a scene's picture: the scene, and the digests of the files that it names. Knows no torch."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

from smd_cli import __version__
from smd_cli.app.named_files import model_files, picture_files
from smd_cli.app.scenes import OpenedScene
from smd_cli.media.recipe import Recipe
from smd_cli.messages import Message
from smd_cli.models.assets import Assets
from smd_cli.scene.resolve import Plan

_CHANGED = "is not the file that the recipe was made with"
LIBRARIES = ("torch", "diffusers", "transformers")


def build_recipe(plan: Plan, seed: int, assets: Assets) -> Recipe:
    """Gather what makes the picture of a seed, before it is made. Raises AssetError: a file is gone."""
    return Recipe(
        scene=replace(plan, seed=seed).to_dict(),
        family=assets.facts.family,
        revision=assets.base.revision,
        digests={file.key: file.sha256 for file in (*picture_files(plan), *model_files(plan, assets))},
        versions={"smd-cli": __version__, **{name: version(name) for name in LIBRARIES}},
    )


def model_digests(plan: Plan, assets: Assets) -> dict[str, str]:
    """Return the digests of a scene's model by their places. Raises AssetError: a file cannot be read."""
    return {file.key: file.sha256 for file in model_files(plan, assets)}


def changed_files(scene: OpenedScene, assets: Assets | None = None) -> list[Message]:
    """Compare the files that a scene names with its `digests`; return a message for each that differs.

    Without `assets`, the files of its model, those are left out. Raises AssetError: a file cannot be read.
    """
    wanted = {key: value for key, value in scene.digests.items() if assets or not key.startswith("model.")}
    if not wanted:
        return []
    named = [*picture_files(scene.plan), *(model_files(scene.plan, assets) if assets else ())]
    changed = [
        scene.locate(*file.loc).says(f"{file.what}{file.name and f', {file.name},'} {_CHANGED}")
        for file in named
        if file.sha256 != wanted.get(file.key, file.sha256)
    ]
    places = [file.key for file in named]
    unused = [key for key in wanted if key not in places]
    return [*changed, *(scene.locate("digests").says(f"the scene names no file at {key}") for key in unused)]
