"""A contact sheet of 24 prompts, rendered by the same engine as every scene:

`python -m smd_cli.workshop.sheet docs/images/flatland.png`
"""

import argparse
from functools import partial
from pathlib import Path
from textwrap import wrap

import torch
import yaml
from PIL import Image

from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import render
from smd_cli.media.sheet import Cell, Sheet
from smd_cli.models.assets import locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load
from smd_cli.models.spec import ModelSpec
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from smd_cli.workshop.prompts import PROMPTS, SIZE, scene_of

COLUMNS = 6
LINE = 42  # letters


def paint_prompt(prompt: str, seed: int, backbone: Backbone, settings: str = "") -> Image.Image:
    """Render a prompt at 256 px; `settings` are further lines of YAML for the scene."""
    text = yaml.safe_dump(scene_of(prompt)) + settings
    plan = resolve(load_text(text, "sheet").scene, "sheet", Path())
    with torch.inference_mode():
        stage = prepare(plan, CanvasImages(()), backbone, batch=1)
    return render(stage, seed, Clock()).image


def contact_sheet(backbone: Backbone, seed: int, settings: str = "") -> Image.Image:
    """Render every prompt once and lay the pictures out with the prompts below them."""
    cells = [
        Cell((SIZE, SIZE), tuple(wrap(prompt, LINE)), partial(paint_prompt, prompt, seed, backbone, settings))
        for prompt in PROMPTS
    ]
    return next(Sheet(cells, COLUMNS).draw())


def main() -> None:
    """Parse the options and write the sheet."""
    parser = argparse.ArgumentParser(prog="python -m smd_cli.workshop.sheet", description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--model", default="flatland", help="flatland, or a folder that the training exported"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--settings", default="", help="further lines of YAML for the scene, such as a sampler"
    )
    parser.add_argument(
        "--base", action="store_true", help="leave the LCM-LoRA out, for samplers with many steps"
    )
    options = parser.parse_args()
    assets = locate(ModelSpec(options.model), few_step=not options.base)
    backbone = load(assets, torch.device("cpu"), torch.float32)
    contact_sheet(backbone, options.seed, options.settings).save(options.output)


if __name__ == "__main__":
    main()
