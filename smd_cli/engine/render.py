"""One-shot rendering: a prepared scene and a seed to a picture."""

import logging
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from smd_cli.core.noise import NoiseSource, SeededNoise
from smd_cli.core.sample import sample
from smd_cli.engine.autoencoder import decode
from smd_cli.engine.batching import Evaluator
from smd_cli.engine.events import Clock
from smd_cli.engine.finite import is_finite, not_finite
from smd_cli.engine.pixels import to_image
from smd_cli.engine.prepare import PreparedScene
from smd_cli.models.backbone import dtype_name

_log = logging.getLogger(__name__)


class Rendered(NamedTuple):
    """A picture, and the clean latents (1, C, h, w) that it was decoded from, in float32 on the CPU."""

    image: Image.Image
    latents: Tensor


def render(scene: PreparedScene, seed: int, clock: Clock) -> Rendered:
    """Render the picture of a seed.

    Raises:
        AssetError: a file of the model holds NaN or infinity.
        SmdError: the model makes them of finite numbers.
    """
    latents = denoise(scene, SeededNoise(seed), clock)
    with clock.phase("decode"):
        image = decode_image(scene, latents)  # has waited for the device
        return Rendered(image, latents.to("cpu", torch.float32, copy=True))


@torch.inference_mode()
def denoise(scene: PreparedScene, noise: NoiseSource, clock: Clock) -> Tensor:
    """Sample the clean latents (1, C, h, w) of a scene from a source of noise. Raises as `render`."""
    steps = len(scene.method.schedule)
    with clock.phase("denoise", steps) as advance:

        def on_step(step: int, estimate: Tensor) -> None:
            if not is_finite(estimate):  # waits, so that the time of this step is counted here
                raise not_finite(scene.backbone, f"step {step + 1} of {steps}", scene.method.guidance)
            advance()

        rows = scene.starting_rows(noise("init", 0, scene.shape))
        predict = Evaluator(scene.backbone, scene.table)
        return sample(rows, scene.regions, scene.method, predict, noise, on_step)


@torch.inference_mode()
def decode_image(scene: PreparedScene, latents: Tensor) -> Image.Image:
    """Decode clean latents (1, C, h, w) to the picture, over the background where that is preserved.

    Raises as `render`.
    """
    image = decode_if_finite(scene, latents)
    if image is None:
        raise not_finite(scene.backbone, "decoding the picture")
    return image


@torch.inference_mode()
def decode_if_finite(scene: PreparedScene, latents: Tensor) -> Image.Image | None:
    """Decode as `decode_image`; None where the latents or the pixels are not finite.

    An autoencoder whose numbers are too large for the model's dtype is used in float32, with a warning.
    """
    dtype = scene.backbone.dtype
    pixels = _decode(scene, latents)
    is_good = is_finite(pixels)
    if not is_good and dtype != torch.float32 and is_finite(latents):
        pixels = _decode(scene, latents, precise=True)
        if is_good := is_finite(pixels):
            _log.warning("the autoencoder overflows in %s; decoded in float32", dtype_name(dtype))
    return to_image(pixels).crop((0, 0, *scene.size)) if is_good else None


def _decode(scene: PreparedScene, latents: Tensor, *, precise: bool = False) -> Tensor:
    """Return the pixels of the whole canvas on the CPU, whose first reading is what waits for the device."""
    pixels = decode(scene.backbone, latents, wrap=scene.wraps, precise=precise)
    if scene.preserved is not None:
        pixels = scene.preserved.blend(pixels)
    return pixels.float().cpu()
