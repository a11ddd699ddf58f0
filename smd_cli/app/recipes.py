"""The recipe of a scene's picture: the scene, and the digests of the files that it names. Knows no torch."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

from smd_cli import __version__
from smd_cli.app.named_files import digests_of, model_files, picture_files
from smd_cli.media.recipe import Recipe
from smd_cli.models.assets import Assets
from smd_cli.scene.resolve import Plan

LIBRARIES = ("torch", "diffusers", "transformers")


def build_recipe(plan: Plan, seed: int, assets: Assets) -> Recipe:
    """Gather what makes the picture of a seed, before it is made. Raises AssetError: a file is gone."""
    return Recipe(
        scene=replace(plan, seed=seed).to_dict(),
        family=assets.facts.family,
        revision=assets.base.revision,
        digests=digests_of([*picture_files(plan), *model_files(plan, assets)]),
        versions={"smd-cli": __version__, **{name: version(name) for name in LIBRARIES}},
    )
