"""What pictures claim of themselves by the recipes that they carry. Knows no torch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from smd_cli.app.origin import picture_at
from smd_cli.app.scenes import OpenedScene, load_scene
from smd_cli.app.verification.claim import Claim, model_of
from smd_cli.errors import AssetError
from smd_cli.media.frame_files import FIRST_FRAME
from smd_cli.media.recipe import read_recipe
from smd_cli.regular_files import is_directory


def picture_claim(path: Path) -> Claim:
    """Return what a picture, a film or a folder of a film's frames claims.

    Raises AssetError: it is missing or unreadable, or carries no recipe.
    """
    picture = picture_at(path)
    if picture is None and is_directory(path):
        raise AssetError(
            f"{path}: holds no frames of smd's ({FIRST_FRAME}); of other pictures, give the files"
        )
    recipe = read_recipe(picture or path)
    return Claim(
        name=str(path),
        suite=str(path.parent),
        open=partial(_open, path),
        model=model_of(recipe),
        pixels=recipe.pixels,
        latents=recipe.latents,
        computation=recipe.computation,
        versions=recipe.versions,
        rendering=recipe.rendering,
        shown=path,
    )


def _open(path: Path) -> OpenedScene:
    """Open a picture's scene; that other pixels come out is for the verdict to tell, not for a render."""
    scene = load_scene(path)
    return replace(scene, origin=replace(scene.origin, recipe=None))
