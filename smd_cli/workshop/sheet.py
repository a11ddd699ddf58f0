"""A contact sheet: what the model paints for 24 prompts, through the same engine as every scene.

`python -m smd_cli.workshop.sheet docs/images/flatland.png`
"""

import argparse
from pathlib import Path

import torch
import yaml
from PIL import Image, ImageDraw, ImageFont

from smd_cli.engine.events import Clock
from smd_cli.engine.masks import Setting
from smd_cli.engine.oneshot import paint
from smd_cli.engine.stage import set_stage
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from smd_cli.workshop.prompts import PROMPTS, SIZE, scene_of

COLUMNS = 6
LABEL = 30


def picture(prompt: str, seed: int, backbone: Backbone, settings: str = "") -> Image.Image:
    """Paint one 256 px picture of a prompt; `settings` are further lines of the scene."""
    text = yaml.safe_dump(scene_of(prompt)) + settings
    plan = resolve(load_text(text, "sheet").scene, "sheet", Path())
    with torch.inference_mode():
        stage = set_stage(plan, Setting(()), backbone, batch=1)
    return paint(stage, seed, Clock())


def sheet(backbone: Backbone, seed: int, settings: str = "") -> Image.Image:
    """Paint every prompt once and lay the pictures out with their prompts beneath."""
    rows = -(-len(PROMPTS) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (SIZE + 8), rows * (SIZE + LABEL + 8)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for index, prompt in enumerate(PROMPTS):
        x, y = index % COLUMNS * (SIZE + 8), index // COLUMNS * (SIZE + LABEL + 8)
        page.paste(picture(prompt, seed, backbone, settings), (x + 4, y))
        half = prompt.rfind(" ", 0, 42) if len(prompt) > 42 else len(prompt)
        draw.text(
            (x + 6, y + SIZE + 2),
            f"{prompt[:half]}\n{prompt[half:].strip()}",
            fill="black",
            font=font,
            spacing=1,
        )
    return page


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(prog="python -m smd_cli.workshop.sheet", description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="flatland", help="flatland, or a folder that a training exported")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--settings", default="", help="further lines of the scene, for example a sampler")
    parser.add_argument(
        "--base", action="store_true", help="without the LCM-LoRA, for samplers of many steps"
    )
    options = parser.parse_args()
    assets = locate(ModelSpec(options.model), few_step=not options.base)
    backbone = load(assets, torch.device("cpu"), torch.float32)
    sheet(backbone, options.seed, options.settings).save(options.output)


if __name__ == "__main__":
    main()
