"""What views do to samplers, on pictures whose best denoisers are known: Gaussian ones of a given spectrum.

docs/method-averaging.md has the figures and what follows from them.
"""

import pytest
import torch
from torch import Tensor

from smd_cli.core.flow import FlowSchedules
from smd_cli.core.guidance import Guidance, ModelInput
from smd_cli.core.noise import SeededNoise
from smd_cli.core.regions import Regions, arrange_regions
from smd_cli.core.rows import Rows
from smd_cli.core.sample import sample
from smd_cli.core.samplers import SamplerSteps
from smd_cli.core.schedule import Schedule
from smd_cli.core.step import Method, denoise_step

SIDE, SHIFT = 64, 3.0


def spectrum() -> Tensor:
    """Deviations of the frequencies of pictures of variance 1, which fall as those of photographs do."""
    axis = torch.fft.fftfreq(SIDE, dtype=torch.float64) * SIDE
    deviations = (1 + (axis[:, None] ** 2 + axis**2).sqrt() / 4) ** -1.5
    return deviations / deviations.square().mean().sqrt()


def expected(sigma: Tensor) -> Tensor:
    """What of each frequency of x is the mean of the pictures that x may come from."""
    deviations = spectrum()
    return deviations**2 * (1 - sigma) / (((1 - sigma) * deviations) ** 2 + sigma**2)


def endpoint(sigma: Tensor) -> Tensor:
    """What of each frequency of x the flow makes a picture of: a sample of them, as distilled models give."""
    deviations = spectrum()
    return deviations / (((1 - sigma) * deviations) ** 2 + sigma**2).sqrt()


def model(gain):
    """A model that predicts the velocity towards such estimates."""

    def predict(asked: ModelInput) -> Tensor:
        sigma = asked.timesteps.double().view(-1, 1, 1, 1) / 1000
        x = asked.latents.double()
        clean = torch.fft.ifft2(torch.fft.fft2(x) * gain(sigma)).real
        return ((x - clean) / sigma).float()

    return predict


def schedule(sampler: str, steps: int) -> Schedule:
    def sigmas(steps: SamplerSteps) -> Tensor:
        even = torch.linspace(1, 1 / steps.grid, steps.grid, dtype=torch.float64)
        return SHIFT * even / (1 + (SHIFT - 1) * even)

    taken = SamplerSteps(steps, tuple(range(steps)), (SIDE, SIDE))
    return FlowSchedules(sigmas).make_schedule(sampler, taken)


def tiles(width: int, steps: int) -> Regions:
    """A canvas without regions, on tiles that overlap by half."""
    return arrange_regions(torch.ones(1, steps, 1, SIDE, width), SIDE)


def picture(gain, sampler: str, steps: int, width: int) -> Tensor:
    noise = SeededNoise(3)
    rows = Rows(noise("init", 0, (1, 8, SIDE, width)), (0,))
    method = Method(schedule(sampler, steps), Guidance("none", 1.0))
    return sample(rows, tiles(width, steps), method, model(gain), noise)


def test_next_levels_are_averages_of_clean_estimates_and_of_the_noise_that_these_leave():
    """So nothing of the noise is averaged away: all views of a place have the same x."""
    x = SeededNoise(4)("init", 0, (1, 8, SIDE, 2 * SIDE))
    for step in (0, 3, 6):
        after = {}
        for sampler in ("euler", "lcm"):
            method = Method(schedule(sampler, 8), Guidance("none", 1.0))
            rows = denoise_step(Rows(x, (step,)), x, tiles(2 * SIDE, 8), method, model(expected))
            after[sampler] = rows.x
        levels = schedule("euler", 8)
        start, end = levels.start.sigma[step], levels.end.sigma[step]
        left = (x - (1 - start) * after["lcm"]) / start
        torch.testing.assert_close(
            after["euler"], (1 - end) * after["lcm"] + end * left, atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("width", [SIDE, 2 * SIDE], ids=["one view", "tiles"])
def test_samples_want_new_noise_and_means_want_to_keep_theirs(width):
    """Pictures have a variance of 1. Tiles cost little of it, the wrong sampler much."""
    steps = 8
    variances = {
        (gain.__name__, sampler): float(picture(gain, sampler, steps, width).var())
        for gain in (endpoint, expected)
        for sampler in ("lcm", "euler")
    }
    assert variances["endpoint", "lcm"] == pytest.approx(1, abs=0.1)
    assert variances["endpoint", "euler"] > 2
    assert variances["expected", "lcm"] < 0.5 < variances["expected", "euler"] < 1
    assert float(picture(expected, "euler", 50, width).var()) > 0.85
