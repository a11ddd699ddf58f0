"""The recipe of a scene's picture: the scene, and the digests of the files that it names. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from smd_cli import __version__
from smd_cli.digests import digest_of
from smd_cli.errors import AssetError
from smd_cli.media.recipe import Recipe
from smd_cli.media.sources import frame_files
from smd_cli.models.assets import Assets
from smd_cli.scene.mask_specs import ColorMask, ImageMask
from smd_cli.scene.resolve import Plan

LIBRARIES = ("torch", "diffusers", "transformers")


def build_recipe(plan: Plan, seed: int, assets: Assets) -> Recipe:
    """Gather what makes the picture of a seed, before it is made. Raises AssetError: a file is gone."""
    return Recipe(
        scene=replace(plan, seed=seed).to_dict(),
        family=assets.facts.family,
        revision=assets.base.revision,
        digests={**picture_digests(plan), **model_digests(plan, assets)},
        versions={"smd-cli": __version__, **{name: version(name) for name in LIBRARIES}},
    )


def picture_digests(plan: Plan) -> dict[str, str]:
    """Return the SHA-256 of each picture and film that a scene names, by its place, as `--set` names places.

    Raises AssetError: a file cannot be read.
    """
    return {place: _digest(files) for place, files in _pictures(plan)}


def model_digests(plan: Plan, assets: Assets) -> dict[str, str]:
    """Return the SHA-256 of the weights that a scene's model has from each place of `model`.

    Raises AssetError: a file cannot be read.
    """
    vae = assets.components[assets.family.autoencoder].weights if plan.model.vae else ()
    found = {"model.base": [path for path in assets.weights if path not in vae], "model.vae": list(vae)}
    for index, (path, _) in enumerate(assets.loras):
        is_named = index < len(plan.model.loras)
        found[f"model.loras[{index}]" if is_named else "model.lcm_lora"] = [path]
    for index, inversion in enumerate(assets.textual_inversions):
        found[f"model.textual_inversions[{index}]"] = [inversion.path]
    return {place: _digest(files) for place, files in found.items() if files}


def _pictures(plan: Plan) -> Iterator[tuple[str, list[Path]]]:
    if plan.background.image:
        yield "background.image", [plan.background.image.path]
    for region in plan.regions:
        if isinstance(region.mask, (ImageMask, ColorMask)):
            yield f"regions[{region.name}].mask", [region.mask.image.path]
    if plan.task != "stream":
        return
    if plan.stream.input:
        yield "stream.input", frame_files(plan.stream.input.path)
    for index, keyframe in enumerate(plan.stream.timeline):
        mask, image = keyframe.get("mask"), keyframe.get("image")
        if isinstance(mask, (ImageMask, ColorMask)):
            yield f"stream.timeline[{index}].mask", [mask.image.path]
        if image:
            yield f"stream.timeline[{index}].background.image", [image.path]


def _digest(files: list[Path]) -> str:
    try:
        return digest_of(files)
    except OSError as error:
        raise AssetError(f"{error.filename}: cannot be read: {error.strerror}") from error
