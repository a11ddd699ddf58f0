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
from smd_cli.messages import Place
from smd_cli.regular_files import is_directory


def picture_claim(path: Path, base_dir: Path | None = None) -> Claim:
    """Return what a picture, a film or a folder of a film's frames claims.

    Files that its recipe names are looked for in `base_dir`, by default in the picture's folder.

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
        open=partial(_open, path, base_dir),
        model=model_of(recipe),
        pixels=recipe.pixels,
        latents=recipe.latents,
        computation=recipe.computation,
        versions=recipe.versions,
        rendering=recipe.rendering,
        shown=path,
    )


def _open(path: Path, base_dir: Path | None) -> OpenedScene:
    """Open a picture's scene; that other pixels come out is for the verdict to tell, not for a render."""
    try:
        scene = load_scene(path, base_dir=base_dir)
    except AssetError as error:
        hint = f"its recipe names files from {base_dir or path.parent}; --base-dir gives another folder"
        raise AssetError(*error.problems, Place.of_file(path).says(hint)) from error
    return replace(scene, origin=replace(scene.origin, recipe=None))
