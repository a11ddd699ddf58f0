"""From a prepared scene to pictures and their recipes. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from smd_cli import __version__
from smd_cli.app.models import device_facts
from smd_cli.app.reports import WrittenFile
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import RenderSettings
from smd_cli.core.regions import Work
from smd_cli.engine.device import enough_memory
from smd_cli.engine.events import Clock, Listener
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.engine.render import render
from smd_cli.media.files import Existing, check_png, check_target, write_bytes
from smd_cli.media.paint import SceneImages
from smd_cli.media.png import encode_png
from smd_cli.media.recipe import Recipe
from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone

LIBRARIES = ("torch", "diffusers", "transformers")


@dataclass(frozen=True)
class RenderedPicture:
    """A picture and what it took.

    Attributes:
        image: RGB, of the scene's size.
        seed: of its noise.
        recipe: what made it; None where the renderer leaves metadata out.
        timing: seconds of each phase; a model or scene that was there already took none.
        work: model evaluations, and what they would be without savings.
        device: name, dtype and peak memory.
        steps: of the schedule.
    """

    image: Image.Image
    seed: int
    recipe: Recipe | None
    timing: dict[str, float]
    work: Work
    device: dict[str, Any]
    steps: int
    _listener: Listener = field(repr=False)

    def save(self, path: str | Path, *, overwrite: bool = False) -> WrittenFile:
        """Write a PNG file whole or not at all, with its recipe.

        Raises UsageError: the name is not that of a PNG file or, without `overwrite`, a file is there that is
        no picture of smd's; SmdError: the system refuses.
        """
        target = Path(path)
        check_png(target)
        check_target(target, Existing.OVERWRITE if overwrite else Existing.REPLACE_OWN)
        with Clock(self._listener).phase("save"), enough_memory(torch.device("cpu")):
            data = encode_png(self.image, self.recipe.texts() if self.recipe else None)
            write_bytes(target, data)
        return WrittenFile(str(target), self.seed, sha256(data).hexdigest(), *self.image.size)


def prepare_scene(scene: OpenedScene, backbone: Backbone, settings: RenderSettings) -> PreparedScene:
    """Prepare a scene for its model. Raises DeviceError: the memory is not enough."""
    with enough_memory(backbone.device):
        return prepare(scene.plan, canvas_images(scene.images), backbone, batch=settings.batch)


def render_picture(
    scene: OpenedScene, prepared: PreparedScene, seed: int, settings: RenderSettings, clock: Clock
) -> RenderedPicture:
    """Render the picture of a seed. Raises DeviceError: the memory is not enough."""
    backbone = prepared.backbone
    with enough_memory(backbone.device):
        image = render(prepared, seed, clock)
    return RenderedPicture(
        image=image,
        seed=seed,
        recipe=build_recipe(scene, seed, backbone.assets) if settings.metadata else None,
        timing={f"{phase}_s": seconds for phase, seconds in clock.seconds.items() if phase != "save"},
        work=prepared.work,
        device=device_facts(backbone),
        steps=len(prepared.method.schedule),
        _listener=clock.listen,
    )


def canvas_images(images: SceneImages) -> CanvasImages:
    """Return a scene's images as the engine takes them."""
    return CanvasImages(images.masks, images.background, images.new_area)


def build_recipe(scene: OpenedScene, seed: int, assets: Assets) -> Recipe:
    """Gather what makes a picture."""
    plan, images = scene.plan, scene.images
    masks = zip(plan.regions, images.masks, strict=True)
    return Recipe(
        scene=replace(plan, seed=seed).to_dict(),
        seed=seed,
        model={
            "base": plan.model.base,
            "family": assets.facts.family,
            "revision": assets.base.revision,
            "sha256": assets.sha256,
        },
        masks={region.name: _digest(mask) for region, mask in masks},
        versions={"smd-cli": __version__, **{name: version(name) for name in LIBRARIES}},
        background=_digest(images.background) if images.background else None,
    )


def _digest(image: Image.Image) -> str:
    return sha256(image.tobytes()).hexdigest()
