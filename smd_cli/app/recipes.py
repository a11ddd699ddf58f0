"""The recipe of a scene's picture: the scene, and the digests of the files that it names. Knows no torch."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from smd_cli import __version__
from smd_cli.app.named_files import digests_of, model_files, picture_files
from smd_cli.media.recipe import Recipe
from smd_cli.messages import Message
from smd_cli.models.assets import Assets
from smd_cli.scene.resolve import Plan

if TYPE_CHECKING:
    from smd_cli.app.scenes import OpenedScene

LIBRARIES = ("torch", "diffusers", "transformers")


RENDERING_VERSION = 3
"""The version of the way in which this program makes pictures, which recipes keep.

Raise it by one with every change that makes another picture of the same scene, seed and files, beyond
rounding: of the noise, the schedules, the masks, the tiles, how prompts or configs are read, how a picture is
brought to the canvas. Whatever was made before is another picture then, and rendered again.
"""


def build_recipe(scene: OpenedScene, seed: int, assets: Assets) -> Recipe:
    """Gather what makes the picture of a seed, before it is made. Raises AssetError: a file is gone.

    The digests are of what has been read: of the pictures that were painted, of the model that was found.
    """
    plan = scene.plan
    is_stream = plan.task == "stream"  # whose pictures are read again with every frame
    pictures = digests_of(picture_files(plan)) if is_stream else scene.painted_digests
    return Recipe(
        scene=_resolved(plan, assets) | {"seed": seed},
        family=assets.facts.family,
        revision=assets.base.revision,
        digests={**pictures, **digests_of(model_files(plan, assets))},
        versions={"smd-cli": __version__, **_versions()},
        rendering=RENDERING_VERSION,
    )


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """Return the recipe of another seed's picture."""
    return replace(recipe, scene={**recipe.scene, "seed": seed})


def _resolved(plan: Plan, assets: Assets) -> dict[str, Any]:
    """Return a plan as a scene that names the words of its textual inversions, which files have else."""
    scene = plan.to_dict()
    for given, found in zip(scene["model"]["textual_inversions"], assets.textual_inversions, strict=True):
        given["token"] = found.token
    return scene


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


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
