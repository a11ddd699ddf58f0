"""The one-shot sampler: rows taken together through the whole schedule."""

from collections.abc import Callable

from torch import Tensor

from smd_cli.core.guidance import Predict
from smd_cli.core.noise import NoiseSource
from smd_cli.core.regions import Regions
from smd_cli.core.rows import Rows
from smd_cli.core.step import Method, denoise_step


def sample(
    rows: Rows,
    regions: Regions,
    method: Method,
    predict: Predict,
    noise: NoiseSource,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Denoise rows that are about to take the first step to their clean latents (N, C, H, W).

    `on_step` is called after each step with its index and its estimates (N, C, H, W).
    """
    for step in range(len(method.schedule)):
        if step > 0:
            rows = rows.renoised(method.schedule, noise("renoise", step, rows.x.shape).to(rows.x.device))
        background_noise = noise("bootstrap", step, rows.x.shape).to(rows.x.device)
        rows = denoise_step(rows, background_noise, regions, method, predict)
        if on_step is not None:
            on_step(step, rows.x)
    return rows.x
