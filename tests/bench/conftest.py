"""Small scenes made ready on the embedded model."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.media.paint import paint_scene
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.embedded import backbone


@pytest.fixture
def stage() -> Callable[[str], PreparedScene]:
    """Set the stage of a scene of 192x128 px."""

    def make(settings: str) -> PreparedScene:
        text = f"smd: 1\ncanvas: {{width: 192, height: 128}}\nbackground: {{prompt: grass}}\n{settings}\n"
        plan = resolve(load_text(text, "scene").scene, "scene", Path())
        painted = paint_scene(plan)
        with torch.inference_mode():
            return prepare(plan, CanvasImages(painted.masks, painted.background), backbone(), batch=2)

    return make


@pytest.fixture
def calls():
    """The rows of every call of the model."""
    rows: list[int] = []
    hook = (
        backbone()
        .networks["unet"]
        .register_forward_pre_hook(lambda unet, inputs: rows.append(len(inputs[0])))
    )
    yield rows
    hook.remove()
