"""`smd inspect`: the recipe that a picture carries, and what a bundle holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.console import print_text
from smd_cli.cli.document import document
from smd_cli.errors import AssetError, UsageError
from smd_cli.messages import Place
from smd_cli.regular_files import is_directory

Picture = Annotated[
    Path,
    typer.Argument(metavar="IMAGE", help="A picture or film of smd's, a folder of its frames, or a bundle."),
]
AsScene = Annotated[bool, typer.Option("--scene", help="Print a scene that renders the picture again.")]


def inspect(
    image: Picture, scene: AsScene = False, json: options.Json = False, verbose: options.Verbose = False
) -> None:
    """Tell what made a picture: its prompts and settings, or with --scene the scene itself.

    Of a bundle it tells the files, or with --scene the text of its scene.
    """
    from smd_cli.app.bundle.place import bundle_at
    from smd_cli.app.origin import picture_at
    from smd_cli.media.frame_files import FIRST_FRAME
    from smd_cli.media.recipe import read_recipe

    if scene and json:
        raise UsageError(Place.of_option("--scene and --json").says("give only one of them"))
    if place := bundle_at(image):
        _inspect_bundle(*place, as_scene=scene, json=json)
        return
    picture = picture_at(image)
    if picture is None and is_directory(image):
        raise AssetError(f"{image}: holds no frames of smd's ({FIRST_FRAME})")
    recipe = read_recipe(picture or image)
    if json:
        document().add(**asdict(recipe))
    elif scene:
        from smd_cli.scene.yaml_types import dump

        print_text(dump(recipe.to_scene()))
    else:
        print_text(recipe.parameters())
        if recipe.computation:
            print_text(recipe.computed())


def _inspect_bundle(file: Path, name: str, *, as_scene: bool, json: bool) -> None:
    """Tell what a bundle holds, or print the scene of that name in it, by default its only one."""
    from smd_cli.app.bundle.opened import open_bundle

    bundle = open_bundle(file)
    if as_scene:
        print_text((bundle.load(bundle.scene_named(name)).text or "").rstrip("\n"))
    elif json:
        document().add(bundle=str(file), scenes=bundle.scenes, files=bundle.files)
    else:
        width = max(len(f"{size:,}") for size in bundle.files.values())
        print_text("\n".join(f"{size:{width},}  {path}" for path, size in sorted(bundle.files.items())))
