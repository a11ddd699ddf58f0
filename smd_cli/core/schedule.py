"""Schedules: the noise level each step stands at, and the way from one level to the next.

Every sampler of this project is affine in the latent, the model's prediction and fresh noise. A schedule is
therefore a value, a table of coefficients, and neither the step nor the sampler asks which kind it is.
Latents have the form `signal · clean + noise · n`; the two weights make up a level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction"]

LCM_GRID = 50  # steps of the teacher that latent consistency models were distilled from
LCM_TIMESTEP_SCALING = 10.0  # boundary condition of arXiv 2310.04378, with the published scheduler's values
LCM_SIGMA_DATA = 0.5


class Level(NamedTuple):
    """Weights of the clean latent and of the noise at each step, (S,) each."""

    signal: Tensor
    noise: Tensor


@dataclass(frozen=True)
class Schedule:
    """A sampler of S steps, as float32 tables of S entries on the CPU.

    Step i takes latents at level `start[i]` and makes the estimate `keep[i] · x + gain[i] · prediction`.
    Estimates are what views average. They stand at level `end[i]`: clean for consistency models and flow, the
    next step's start for deterministic samplers.
    """

    timesteps: Tensor
    start: Level
    end: Level
    keep: Tensor
    gain: Tensor

    def __len__(self) -> int:
        """Return the number of steps S."""
        return len(self.timesteps)

    @property
    def noise_levels(self) -> Tensor:
        """Noise level of each step, (S,) in [0, 1], falling: what masks are quantized against."""
        return self.start.noise

    def last(self, count: int) -> "Schedule":
        """Return the last `count` steps, which start from a picture rather than from noise."""
        start, end = (Level(*(table[-count:] for table in level)) for level in (self.start, self.end))
        return Schedule(self.timesteps[-count:], start, end, self.keep[-count:], self.gain[-count:])

    def estimate(self, x: Tensor, prediction: Tensor, steps: Sequence[int]) -> Tensor:
        """Denoise x (N, C, h, w), row n at `steps[n]`, by the model's prediction; float32."""
        return _rows(self.keep, steps, x) * x + _rows(self.gain, steps, x) * prediction.float()

    def noised(self, clean: Tensor, noise: Tensor, steps: Sequence[int]) -> Tensor:
        """Bring clean latents (N, C, h, w) to the level at which their steps start."""
        return _mix(self.start, clean, noise, steps)

    def settled(self, clean: Tensor, noise: Tensor, steps: Sequence[int]) -> Tensor:
        """Bring clean latents (N, C, h, w) to the level at which the estimates of their steps stand."""
        return _mix(self.end, clean, noise, steps)

    def as_noise(self, noise: Tensor, steps: Sequence[int]) -> Tensor:
        """Return the share of x (N, C, h, w) at the start of steps that is its noise."""
        return _rows(self.start.noise, steps, noise) * noise

    def noise_in(self, share: Tensor, steps: Sequence[int]) -> Tensor:
        """Undo `as_noise`."""
        return share / _rows(self.start.noise, steps, share)

    def renoise(self, estimate: Tensor, noise: Tensor, steps: Sequence[int]) -> Tensor:
        """Take estimates (N, C, h, w) of the steps before to the level at which `steps`, all above 0, start.

        Adds only the noise that they lack: all of it to a clean estimate, none to one already at that level.
        """
        after, before = list(steps), [step - 1 for step in steps]
        signal = self.start.signal[after] / self.end.signal[before]
        lacking = self.start.noise[after].square() - (signal * self.end.noise[before]).square()
        return _mix(Level(signal, lacking.clamp(min=0).sqrt()), estimate, noise, range(len(after)))


def lcm(
    alphas_cumprod: Tensor,
    indices: Sequence[int],
    *,
    grid: int = LCM_GRID,
    prediction: Prediction = "epsilon",
) -> Schedule:
    """Build the multistep consistency sampler (Luo et al., arXiv 2310.04378, algorithm 3).

    `alphas_cumprod` (T,) is the training schedule; `indices` rise and count into a sampler of `grid` steps, 0
    the noisiest. Raises ValueError where the grid or an index is out of range.
    """
    timesteps = _lcm_timesteps(len(alphas_cumprod), grid)
    if not all(0 <= index < after for index, after in zip(indices, [*indices[1:], grid], strict=True)):
        raise ValueError(f"schedule indices must rise and lie in 0..{grid - 1}, got {list(indices)}")
    timesteps = timesteps[list(indices)]
    start = _level(alphas_cumprod, timesteps)
    of_x, of_prediction = _clean_weights(start, prediction)
    scaled = LCM_TIMESTEP_SCALING * timesteps.double()
    c_skip = LCM_SIGMA_DATA**2 / (scaled**2 + LCM_SIGMA_DATA**2)
    c_out = scaled / (scaled**2 + LCM_SIGMA_DATA**2).sqrt()
    clean = Level(torch.ones_like(scaled), torch.zeros_like(scaled))
    return _schedule(timesteps, start, clean, (c_skip + c_out * of_x, c_out * of_prediction))


def ddim(
    alphas_cumprod: Tensor, steps: int, *, offset: int = 1, prediction: Prediction = "epsilon"
) -> Schedule:
    """Build the deterministic DDIM sampler (Song et al., arXiv 2010.02502, equation 12 with eta 0).

    `steps` timesteps are spread over the T of `alphas_cumprod` (T,) from 0 ("leading") and moved up by
    `offset`; the last step ends at the first training level, as Stable Diffusion was published. Raises
    ValueError where `steps` is out of range.
    """
    if not 1 <= steps <= len(alphas_cumprod) - offset:
        raise ValueError(f"DDIM takes 1 to {len(alphas_cumprod) - offset} steps, got {steps}")
    stride = len(alphas_cumprod) // steps
    timesteps = torch.arange(steps - 1, -1, -1) * stride + offset
    start = _level(alphas_cumprod, timesteps)
    end = _level(alphas_cumprod, (timesteps - stride).clamp(min=0))
    of_x, of_prediction = _clean_weights(start, prediction)
    noise_kept = end.noise / start.noise
    clean_added = end.signal - noise_kept * start.signal
    weights = (noise_kept + clean_added * of_x, clean_added * of_prediction)
    end.signal[-1], end.noise[-1] = 1.0, 0.0  # the last estimate is decoded: it counts as clean
    return _schedule(timesteps, start, end, weights)


def _lcm_timesteps(training_steps: int, grid: int) -> Tensor:
    """Spread `grid` timesteps evenly over those of the teacher, noisiest first."""
    if not 1 <= grid <= LCM_GRID:
        raise ValueError(f"the grid of an LCM schedule has 1 to {LCM_GRID} steps, got {grid}")
    teacher = torch.arange(LCM_GRID, 0, -1) * (training_steps // LCM_GRID) - 1
    return teacher[torch.arange(grid) * LCM_GRID // grid]


def _level(alphas_cumprod: Tensor, timesteps: Tensor) -> Level:
    alphas = alphas_cumprod.double().cpu()[timesteps]
    return Level(alphas.sqrt(), (1 - alphas).sqrt())


def _clean_weights(level: Level, prediction: Prediction) -> tuple[Tensor, Tensor]:
    """Weights of x and of the prediction in the clean latent that they tell of."""
    if prediction == "v_prediction":  # Salimans and Ho, arXiv 2202.00512, appendix D
        return level.signal, -level.noise
    return 1 / level.signal, -level.noise / level.signal


def _schedule(timesteps: Tensor, start: Level, end: Level, weights: tuple[Tensor, Tensor]) -> Schedule:
    start, end = (Level(*(table.float() for table in level)) for level in (start, end))
    keep, gain = (table.float() for table in weights)
    return Schedule(timesteps, start, end, keep, gain)


def _mix(level: Level, clean: Tensor, noise: Tensor, steps: Sequence[int]) -> Tensor:
    return _rows(level.signal, steps, clean) * clean + _rows(level.noise, steps, clean) * noise


def _rows(table: Tensor, steps: Sequence[int], like: Tensor) -> Tensor:
    """Look up one coefficient a row, shaped (N, 1, 1, 1), on the device of `like`."""
    return table[list(steps)].to(like.device).view(-1, 1, 1, 1)
