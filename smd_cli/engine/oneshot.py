"""The one-shot sampler: a stage and a seed to a picture."""

import torch
from PIL import Image
from torch import Tensor

from smd_cli.core.noise import NoiseSource, SeededNoise
from smd_cli.core.sample import sample
from smd_cli.engine.events import Clock
from smd_cli.engine.pixels import to_image
from smd_cli.engine.stage import Stage


def paint(stage: Stage, seed: int, clock: Clock) -> Image.Image:
    """Paint the picture of a seed."""
    latents = denoise(stage, SeededNoise(seed), clock)
    with clock.phase("decode"), torch.inference_mode():
        return to_image(stage.backbone.decode(latents))


@torch.inference_mode()
def denoise(stage: Stage, noise: NoiseSource, clock: Clock) -> Tensor:
    """Sample the clean latents (1, C, h, w) of a stage from a source of noise."""
    table, backbone = stage.table, stage.backbone

    def predict(latents: Tensor, timesteps: Tensor, prompts: Tensor) -> Tensor:
        return backbone.predict(latents, timesteps, table.rows(prompts))

    with clock.phase("denoise", len(stage.method.schedule)) as advance:

        def on_step(step: int, estimate: Tensor) -> None:
            if estimate.is_cuda:  # or the time of this step would be counted where its result is first read
                torch.cuda.synchronize(estimate.device)
            advance()

        start = noise("init", 0, stage.shape).to(backbone.device)
        return sample(start, stage.regions, stage.method, predict, noise, on_step)
