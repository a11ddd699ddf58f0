"""One-shot rendering: a prepared scene and a seed to a picture."""

import torch
from PIL import Image
from torch import Tensor

from smd_cli.core.noise import NoiseSource, SeededNoise
from smd_cli.core.sample import sample
from smd_cli.engine.autoencoder import decode
from smd_cli.engine.batching import Evaluator
from smd_cli.engine.events import Clock
from smd_cli.engine.pixels import to_image
from smd_cli.engine.prepare import PreparedScene


def render(scene: PreparedScene, seed: int, clock: Clock) -> Image.Image:
    """Render the picture of a seed."""
    latents = denoise(scene, SeededNoise(seed), clock)
    with clock.phase("decode"):
        return decode_image(scene, latents)


@torch.inference_mode()
def denoise(scene: PreparedScene, noise: NoiseSource, clock: Clock) -> Tensor:
    """Sample the clean latents (1, C, h, w) of a scene from a source of noise."""
    with clock.phase("denoise", len(scene.method.schedule)) as advance:

        def on_step(step: int, estimate: Tensor) -> None:
            if estimate.is_cuda:  # or the time of this step would be counted where its result is first read
                torch.cuda.synchronize(estimate.device)
            advance()

        rows = scene.starting_rows(noise("init", 0, scene.shape))
        predict = Evaluator(scene.backbone, scene.table)
        return sample(rows, scene.regions, scene.method, predict, noise, on_step)


@torch.inference_mode()
def decode_image(scene: PreparedScene, latents: Tensor) -> Image.Image:
    """Decode clean latents (1, C, h, w) to the picture, over the background where that is preserved."""
    pixels = decode(scene.backbone, latents, wrap=scene.wraps)
    if scene.preserved is not None:
        pixels = scene.preserved.blend(pixels)
    return to_image(pixels).crop((0, 0, *scene.size))
