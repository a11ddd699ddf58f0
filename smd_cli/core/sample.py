"""The one-shot sampler: a single row taken through the whole schedule."""

from collections.abc import Callable

from torch import Tensor

from smd_cli.core.guidance import Predict
from smd_cli.core.noise import NoiseSource
from smd_cli.core.regions import Regions
from smd_cli.core.step import Method, denoise_step


def sample(
    x: Tensor,
    regions: Regions,
    method: Method,
    predict: Predict,
    noise: NoiseSource,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Denoise x (1, C, H, W) from the first step of the schedule to the clean latent.

    `on_step` is called after each step with its index and its estimate (1, C, H, W).
    """
    for step in range(len(method.schedule)):
        if step > 0:
            x = method.schedule.renoise(x, noise("renoise", step, x.shape).to(x.device), [step])
        x = denoise_step(x, [step], regions, method, predict, noise("bootstrap", step, x.shape).to(x.device))
        if on_step is not None:
            on_step(step, x)
    return x
