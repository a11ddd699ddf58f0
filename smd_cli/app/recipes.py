"""The recipe of a scene's picture: the scene, and the digests of the files that it names. Knows no torch."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from smd_cli import __version__
from smd_cli.app.named_files import digests_of, model_files, picture_files
from smd_cli.media.recipe import Recipe
from smd_cli.messages import Message
from smd_cli.models.assets import Assets
from smd_cli.scene.resolve import Plan

if TYPE_CHECKING:
    from smd_cli.app.scenes import OpenedScene

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


def other_pixels(scene: OpenedScene, now: Recipe) -> Message | None:
    """Tell why a picture that is made again has, or may have, other pixels than the one it is made from.

    Nothing is told of a scene that is no picture's, of one that was changed, and where the pixels are the
    same. Those of a stream are not known beforehand.
    """
    made = scene.recipe
    if made is None or (now.pixels and now.pixels == made.pixels) or made.differences(now):
        return None
    rounded = ", ".join(made.rounding_differences(now))
    if now.pixels and made.pixels:
        reason = rounded or "nothing that recipes record"
        return scene.locate().says(f"its pixels are not made again to the bit; what differs: {reason}")
    return scene.locate().says(f"its pixels may not be made again to the bit: {rounded}") if rounded else None
