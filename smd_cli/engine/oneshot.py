"""The one-shot sampler: a stage and a seed to a picture."""

import torch
from PIL import Image
from torch import Tensor

from smd_cli.core.noise import NoiseSource, SeededNoise
from smd_cli.core.rows import Rows
from smd_cli.core.sample import sample
from smd_cli.engine.autoencoder import decode
from smd_cli.engine.batching import Evaluator
from smd_cli.engine.events import Clock
from smd_cli.engine.pixels import to_image
from smd_cli.engine.stage import Stage


def paint(stage: Stage, seed: int, clock: Clock) -> Image.Image:
    """Paint the picture of a seed."""
    latents = denoise(stage, SeededNoise(seed), clock)
    with clock.phase("decode"):
        return develop(stage, latents)


@torch.inference_mode()
def develop(stage: Stage, latents: Tensor) -> Image.Image:
    """Make the picture of clean latents (1, C, h, w)."""
    pixels = decode(stage.backbone, latents, wrap=stage.wraps)
    if stage.keep is not None:
        pixels = stage.keep.under(pixels)
    return to_image(pixels).crop((0, 0, *stage.size))


@torch.inference_mode()
def denoise(stage: Stage, noise: NoiseSource, clock: Clock) -> Tensor:
    """Sample the clean latents (1, C, h, w) of a stage from a source of noise."""
    schedule = stage.method.schedule
    with clock.phase("denoise", len(schedule)) as advance:

        def on_step(step: int, estimate: Tensor) -> None:
            if estimate.is_cuda:  # or the time of this step would be counted where its result is first read
                torch.cuda.synchronize(estimate.device)
            advance()

        began = noise("init", 0, stage.shape).to(stage.backbone.device)
        x = began if stage.source is None else schedule.noised(stage.source, began, [0])
        predict = Evaluator(stage.backbone, stage.table)
        return sample(Rows(x, (0,), began), stage.regions, stage.method, predict, noise, on_step)
