"""From a prepared scene to pictures and their recipes. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from smd_cli.app.apart import check_apart
from smd_cli.app.existing import GIVE_ANOTHER, again, check_picture
from smd_cli.app.latents import coarse_text
from smd_cli.app.models import computation, computing, device_facts
from smd_cli.app.recipes import build_recipe, other_pixels
from smd_cli.app.reports import WrittenFile
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import RenderSettings
from smd_cli.core.regions import Work
from smd_cli.engine.device import enough_memory
from smd_cli.engine.encoder import Encoder
from smd_cli.engine.events import Clock, Listener, Warned
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.engine.render import render
from smd_cli.media.files import Existing, write_bytes
from smd_cli.media.pixel_digest import pixel_digest
from smd_cli.media.recipe import Recipe
from smd_cli.media.scene_images import SceneImages
from smd_cli.media.stills import check_still, check_texts, encode_still
from smd_cli.models.backbone import Backbone


@dataclass(frozen=True)
class RenderedPicture:
    """A picture and what it took.

    Attributes:
        image: RGB, of the scene's size.
        latents: what it was decoded from, (1, C, h, w) in float32 on the CPU.
        seed: of its noise.
        recipe: what made it; None where the renderer leaves metadata out.
        pixels_sha256: digest of what it shows (see `pixel_digest`).
        timing: seconds of each phase; a model or scene that was there already took none.
        work: model evaluations, and what they would be without savings.
        device: name, dtype and peak memory.
        steps: of the schedule.
    """

    image: Image.Image
    latents: Tensor = field(repr=False, compare=False)
    seed: int
    recipe: Recipe | None
    pixels_sha256: str
    timing: dict[str, float]
    work: Work
    device: dict[str, Any]
    steps: int
    _scene: OpenedScene = field(repr=False)
    _listener: Listener = field(repr=False)

    def save(self, path: str | Path, *, overwrite: bool = False) -> WrittenFile:
        """Write a PNG, JPEG, WebP or AVIF file by its suffix, whole or not at all, with its recipe.

        Raises UsageError: the suffix is none of these, the scene is made of that file or, without
        `overwrite`, a file is there that is not this picture; SmdError: the system refuses.
        """
        return self.save_as(Path(path), Existing.OVERWRITE if overwrite else Existing.REPLACE_OWN)

    def save_as(self, target: Path, existing: Existing, *, hint: str = GIVE_ANOTHER) -> WrittenFile:
        """Write a file as `save` does; `hint` is what the user can do about one that must stay.

        What lies there is looked at again when the picture takes its place: it may have appeared meanwhile.
        """
        texts = self.recipe.texts() if self.recipe else None
        check_still(target, self.image.size)
        check_texts(target, lambda: texts or {})
        check_apart(self._scene, target)
        admit = partial(check_picture, target, again(existing), lambda: self.recipe, hint=hint)
        admit()
        with Clock(self._listener).phase("save"), enough_memory(torch.device("cpu")):
            data = encode_still(self.image, target.suffix, texts)
            write_bytes(target, data, admit)
        digest = sha256(data).hexdigest()
        return WrittenFile(str(target), self.seed, digest, self.pixels_sha256, *self.image.size)


def prepare_scene(
    scene: OpenedScene, backbone: Backbone, encoder: Encoder, settings: RenderSettings
) -> PreparedScene:
    """Prepare a scene for its model. Raises DeviceError: the memory is not enough."""
    with computing(scene, backbone):
        images = canvas_images(scene.images)
        return prepare(scene.plan, images, backbone, encoder=encoder, batch=settings.batch)


def render_picture(
    scene: OpenedScene, prepared: PreparedScene, seed: int, settings: RenderSettings, clock: Clock
) -> RenderedPicture:
    """Render the picture of a seed. Raises DeviceError: the memory is not enough."""
    backbone = prepared.backbone
    recipe = build_recipe(scene, seed, backbone.assets) if settings.metadata else None
    with computing(scene, backbone):
        image, latents = render(prepared, seed, clock)
    pixels = pixel_digest(image)
    if recipe:
        recipe = replace(
            recipe,
            pixels=pixels,
            computation=computation(backbone, settings, prepared.method.batch),
            latents=coarse_text(latents[0].numpy()),
        )
        if message := other_pixels(scene, recipe):
            clock.listen(Warned(message))
    return RenderedPicture(
        image=image,
        latents=latents,
        seed=seed,
        recipe=recipe,
        pixels_sha256=pixels,
        timing={f"{phase}_s": seconds for phase, seconds in clock.seconds.items() if phase != "save"},
        work=prepared.work,
        device=device_facts(backbone, settings),
        steps=len(prepared.method.schedule),
        _scene=scene,
        _listener=clock.listen,
    )


def canvas_images(images: SceneImages) -> CanvasImages:
    """Return a scene's images as the engine takes them."""
    return CanvasImages(images.masks, images.background, images.new_area)
