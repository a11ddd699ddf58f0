"""Rendering again what a claim is of, as a file like the one that shows it would show it. Knows no torch.

Formats that lose something lose the same again, so that their files can be compared to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from smd_cli.app.picture_diff import Shown
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.verification.claim import Claim
from smd_cli.interrupts import last_words
from smd_cli.media.files import write_bytes
from smd_cli.media.images import open_image
from smd_cli.media.pixel_digest import PixelDigest
from smd_cli.media.recipe import Recipe
from smd_cli.media.sinks import is_folder
from smd_cli.media.stills import encode_still

if TYPE_CHECKING:
    from smd_cli.app.renderer import Renderer

_LOSING = {"JPEG": ".jpg", "AVIF": ".avif"}
"""Pillow's names of the formats of stills that do not keep every pixel, and how such files are called."""


@dataclass(frozen=True)
class Again:
    """A picture or film that was rendered again.

    Attributes:
        recipe: what made it now.
        pixels: the digest of its pixels; None where that of a film is not known.
        latents: the coarse copy of its latents; None of a film.
        shown: it in a file like the one that the claim names; None: the claim names none.
    """

    recipe: Recipe
    pixels: str | None
    latents: str | None
    shown: Shown | None


@contextmanager
def rendered_again(claim: Claim, scene: OpenedScene, renderer: Renderer) -> Iterator[Again]:
    """Render a claim's picture or film; during the block, a file shows it.

    The renderer must leave metadata in. Raises as `Renderer.render` and `SceneStream.write`.
    """
    with (
        TemporaryDirectory(prefix="smd-verify-") as folder,
        last_words(lambda _: rmtree(folder, ignore_errors=True)),
    ):
        make = _film if scene.plan.task == "stream" else _picture
        yield make(claim, scene, renderer, Path(folder))


def keeps_pixels(picture: Path) -> bool:
    """Tell whether a still's format keeps every pixel. Raises AssetError: it cannot be read."""
    return _format(picture) not in _LOSING


def _picture(claim: Claim, scene: OpenedScene, renderer: Renderer, folder: Path) -> Again:
    picture, shown = renderer.render(scene, seed=claim.seed), None
    if claim.shown:
        target = folder / f"again{_LOSING.get(_format(claim.shown), '.png')}"
        write_bytes(target, encode_still(picture.image, target.suffix, None))
        shown = Shown.at(target)
    recipe = _left_in(picture.recipe)
    return Again(recipe, picture.pixels_sha256, recipe.latents, shown)


def _film(claim: Claim, scene: OpenedScene, renderer: Renderer, folder: Path) -> Again:
    stream = renderer.stream(scene, seed=claim.seed)
    recipe = _left_in(stream.recipe)
    if claim.shown is None:
        pixels = PixelDigest()
        for frame in stream:
            if frame.image is not None:
                pixels.add(frame.image)
        return Again(recipe, pixels.hexdigest(), None, None)
    target = folder / ("again" if is_folder(claim.shown) else f"again{claim.shown.suffix}")
    report = stream.write(target)
    return Again(recipe, report.outputs[0].pixels_sha256, None, Shown.at(target))


def _left_in(recipe: Recipe | None) -> Recipe:
    if recipe is None:
        raise RuntimeError("claims need a renderer that leaves metadata in")
    return recipe


def _format(picture: Path) -> str:
    with open_image(picture) as image:
        return image.format or ""
