"""Captions of background pictures: they take the place of `auto` in plans before anything is rendered.

The captioner is loaded for as long as captions are made, and never beside a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from smd_cli.app.model_fit import find_fitting
from smd_cli.app.model_spec import at_model, find_scene_captioner
from smd_cli.digests import Stamp, stamp_of
from smd_cli.engine.events import Listener, Noted, WarningRoute
from smd_cli.errors import AssetError, SceneError
from smd_cli.media.pixel_digest import pixel_digest
from smd_cli.models.spec import asked_for

if TYPE_CHECKING:
    from smd_cli.app.batch.jobs import Job
    from smd_cli.app.scenes import OpenedScene
    from smd_cli.app.settings import RenderSettings
    from smd_cli.models.captioner_files import CaptionerFiles

_PROMPT = ("background", "prompt")
_WITH_MEANING = re.compile(r"[()\[\]{}<>|\\]")  # in prompts

_made: dict[tuple[str, tuple[tuple[Path, Stamp], ...]], str] = {}
"""Captions of this process, by what was captioned and by what: the same picture is not captioned twice."""


def captioned(scene: OpenedScene, settings: RenderSettings, listener: Listener) -> OpenedScene:
    """Return a scene with a caption as its prompt, where it asks for one; its model is found before.

    Raises:
        AssetError: the model or the captioner is not available, or makes no caption.
        SceneError: the scene does not suit the model, or none of its background picture lies on the canvas.
        DeviceError: the device is not there, or its memory is not enough.
    """
    if scene.plan.model.captioner is None:
        return scene
    with at_model(scene):
        find_fitting(scene, offline=settings.offline)
        return scene.with_caption(_caption(scene, settings, listener))


def caption_jobs(jobs: Iterable[Job], settings: RenderSettings, listener: Listener) -> list[Job]:
    """Return jobs whose scenes have their captions; those of one scene share one. Raises as `captioned`."""
    scenes: dict[int, OpenedScene] = {}
    found = []
    with WarningRoute(listener):
        for job in jobs:
            if id(job.scene) not in scenes:
                scenes[id(job.scene)] = captioned(job.scene, settings, listener)
            found.append(replace(job, scene=scenes[id(job.scene)]))
    return found


def _caption(scene: OpenedScene, settings: RenderSettings, listener: Listener) -> str:
    files = find_scene_captioner(scene.plan, offline=settings.offline)
    if files is None:
        raise RuntimeError("a scene with a prompt asks for a caption")
    picture = _picture(scene)
    key = pixel_digest(picture), tuple((path, stamp_of(path)) for path in files.network.weights)
    if key not in _made:
        _made[key] = _ask(files, picture, settings)
    listener(Noted(scene.locate(*_PROMPT).says(f'captioned "{_made[key]}"')))
    return _WITH_MEANING.sub(r"\\\g<0>", _made[key])


def _ask(files: CaptionerFiles, picture: Image.Image, settings: RenderSettings) -> str:
    """Load a captioner, ask it, and let go of it."""
    from smd_cli.engine.device import choose_device, enough_memory, is_out_of_memory, release_memory
    from smd_cli.models.captioner import Captioner
    from smd_cli.models.components import summary

    device = choose_device(settings.device)
    with enough_memory(device), asked_for(files.reference, "captioner"):
        captioner = Captioner.load(files, device)
        try:
            caption = captioner.caption(picture)
        except (RuntimeError, ValueError, IndexError) as error:  # of weights or numbers that fit nothing
            if is_out_of_memory(error):
                raise
            raise AssetError(f"{files.reference}: makes no caption ({summary(error)})") from error
    del captioner  # before its memory is given back
    release_memory(device)
    return caption


def _picture(scene: OpenedScene) -> Image.Image:
    """Return what is seen of the background picture on the canvas, without new area around it."""
    images = scene.images
    if images.background is None:
        raise RuntimeError("a scene without a background picture asks for a caption")
    box = ImageOps.invert(images.new_area).getbbox() if images.new_area else (0, 0, *images.background.size)
    if box is None:
        text = "nothing of the picture lies on the canvas: write a prompt"
        raise SceneError(scene.locate(*_PROMPT).says(text))
    return images.background.crop(box)
