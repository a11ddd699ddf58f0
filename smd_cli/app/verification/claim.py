"""What is recorded of a picture, and has to come out again. Knows no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smd_cli.messages import Place

if TYPE_CHECKING:
    from smd_cli.app.scenes import OpenedScene
    from smd_cli.media.recipe import Recipe


@dataclass(frozen=True)
class Claim:
    """A picture or film as a recipe or a lock records it: rendered again, it should be the same.

    Attributes:
        name: of it, for people: the path of the picture, or a scene and a seed.
        suite: what reports list it under: the folder of the picture, or the lock.
        open: opens its scene. Raises MismatchError: what it is made of has changed since; SmdError: it
            cannot be opened.
        seed: of its noise; None: the scene's own.
        model: equal for pictures that can share a loaded model (see `model_of`).
        pixels: the digest of its pixels, of a film of those of all frames (see `PixelDigest`); None: not
            recorded.
        latents: the coarse copy of its latents (see `app.latents`); None: not recorded.
        computation: on what it was computed and in what precision (see `Recipe.computation`).
        versions: of the program and libraries that computed it.
        rendering: the version of the way in which pictures were made (see `Recipe.rendering`); None: any.
        shown: the file, or the folder of frames, that shows it; None: none is kept.
    """

    name: str
    suite: str
    open: Callable[[], OpenedScene] = field(repr=False)
    seed: int | None = None
    model: str = ""
    pixels: str | None = None
    latents: str | None = None
    computation: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    rendering: int | None = None
    shown: Path | None = None

    @property
    def is_of_inputs(self) -> bool:
        """Tell whether only what the picture is made of is recorded, which `open` compares."""
        return self.pixels is None and self.latents is None and self.shown is None

    @property
    def place(self) -> Place:
        """Return the place with which messages about it begin."""
        return Place(str(self.shown)) if self.shown else Place.of_option(self.name)


def model_of(recipe: Recipe) -> str:
    """Return what is equal for recipes whose pictures can share a loaded model."""
    return json.dumps([recipe.scene["model"], recipe.scene["sampler"]["kind"]], sort_keys=True)
