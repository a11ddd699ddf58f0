"""Schedules: the noise level each step stands at, and the way from one level to the next.

Every sampler of this project is affine in the latent, the model's prediction and fresh noise. A schedule is
therefore a value, a table of coefficients, and neither the step nor the sampler asks which kind it is.
Latents have the form `alpha · clean + sigma · noise`; the two weights make up a level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction"]
ROUNDING = 1e-4  # of coefficients in float32

LEAST_ALPHA = 2**-12
"""The clean latent's weight that `TrainingSchedule.sigmas` gives noise alone, as diffusers' schedulers do."""


class Level(NamedTuple):
    """Weights of the clean latent (alpha) and of the noise (sigma) at each step, (S,) each."""

    alpha: Tensor
    sigma: Tensor

    def float(self) -> "Level":
        """Return the level in float32."""
        return Level(self.alpha.float(), self.sigma.float())


@dataclass(frozen=True)
class TrainingSchedule:
    """The noise levels that a model was trained on, and what its predictions mean.

    Attributes:
        alphas_cumprod: (T,) float32, the squared alpha of each training timestep.
        prediction: the noise (epsilon), or v (Salimans and Ho, arXiv 2202.00512).
    """

    alphas_cumprod: Tensor
    prediction: Prediction = "epsilon"

    def __len__(self) -> int:
        """Return the number of training timesteps T."""
        return len(self.alphas_cumprod)

    def level(self, timesteps: Tensor) -> Level:
        """Return the level at timesteps (S,), in float64 on the CPU."""
        alphas = self.alphas_cumprod.double().cpu()[timesteps]
        return Level(alphas.sqrt(), (1 - alphas).sqrt())

    def sigmas(self, timesteps: Tensor) -> Tensor:
        """Return how much noise there is to a unit of clean latent at timesteps (S,), in float64 on the CPU.

        Between timesteps it is interpolated. Where noise alone is left it is infinite, since predicted noise
        tells nothing of the picture there; for models that predict v it is large.
        """
        alpha, sigma = self.level(torch.arange(len(self)))
        if self.prediction == "v_prediction":
            alpha = torch.where(alpha > 0, alpha, LEAST_ALPHA)
            sigma = (1 - alpha.square()).sqrt()
        below, share = timesteps.long(), timesteps.double().frac()
        sigmas = sigma / alpha
        above = sigmas[(below + 1).clamp(max=len(self) - 1)]
        return torch.where(share > 0, torch.lerp(sigmas[below], above, share), sigmas[below])

    def clean_weights(self, level: Level) -> tuple[Tensor, Tensor]:
        """Return the weights of x and of the prediction whose sum is the clean latent, (S,) each."""
        if self.prediction == "v_prediction":  # arXiv 2202.00512, appendix D
            return level.alpha, -level.sigma
        return 1 / level.alpha, -level.sigma / level.alpha


class Multistep(NamedTuple):
    """How the steps of a multistep sampler lean on the clean latent that the step before has estimated.

    `previous` (S,) is its weight in the estimate, 0 in the first step. The clean latent that a step estimates
    itself is `c_skip[i] · x + c_out[i] · prediction`.
    """

    previous: Tensor
    c_skip: Tensor
    c_out: Tensor


@dataclass(frozen=True)
class Schedule:
    """A sampler of S steps, as tables of S entries on the CPU, float32 where they are coefficients.

    Step i takes latents at level `start[i]` and makes the estimate `c_skip[i] · x + c_out[i] · prediction`.
    Estimates are what views average. They stand at level `end[i]`: clean for consistency models, the next
    step's start for deterministic samplers. `timesteps` and `end_timesteps` are the times of both levels, as
    the model is told them. `noise_levels` are in [0, 1] and fall: masks are quantized against them. What the
    model is shown of x is `input_scale[i] · x`. A picture begins as `initial_scale` · noise. Steps of a
    `multistep` sampler make more of the estimate, and a clean latent beside it for the next step.
    """

    timesteps: Tensor
    end_timesteps: Tensor
    start: Level
    end: Level
    c_skip: Tensor
    c_out: Tensor
    noise_levels: Tensor
    input_scale: Tensor
    initial_scale: float = 1.0
    multistep: Multistep | None = None

    def __len__(self) -> int:
        """Return the number of steps S."""
        return len(self.timesteps)

    @property
    def preserves_variance(self) -> bool:
        """Tell whether clean latents of variance 1 with noise on them have it too, at every step's start."""
        return bool((self.start.alpha.square() + self.start.sigma.square() - 1).abs().max() < ROUNDING)

    def undefined_steps(self) -> list[int]:
        """Return the steps that make no finite estimate: noise alone holds no clean latent to go back to."""
        is_defined = self.c_skip.isfinite() & self.c_out.isfinite()
        return [step for step, good in enumerate(is_defined.tolist()) if not good]

    def scale_input(self, x: Tensor, steps: Sequence[int]) -> Tensor:
        """Return what the model is shown of x (N, C, h, w), row n at `steps[n]`."""
        return _rows(self.input_scale, steps, x) * x

    def estimate(self, x: Tensor, prediction: Tensor, steps: Sequence[int]) -> Tensor:
        """Denoise x (N, C, h, w), row n at `steps[n]`, by the model's prediction; float32."""
        return _rows(self.c_skip, steps, x) * x + _rows(self.c_out, steps, x) * prediction.float()

    def estimate_after(self, x: Tensor, prediction: Tensor, previous: Tensor, steps: Sequence[int]) -> Tensor:
        """Denoise as `estimate` in the planes of a multistep sampler, (N, 2, C, h, w): with clean latents.

        `previous` (N, C, h, w) are the clean latents of the steps before. Raises ValueError: no such sampler.
        """
        if self.multistep is None:
            raise ValueError("the sampler takes its steps one by one")
        weight, c_skip, c_out = (_rows(table, steps, x) for table in self.multistep)
        estimate = self.estimate(x, prediction, steps) + weight * previous
        return torch.stack([estimate, c_skip * x + c_out * prediction.float()], dim=1)

    def noise_to_start(self, clean: Tensor, noise: Tensor, steps: Sequence[int]) -> Tensor:
        """Bring clean latents (N, C, h, w) to the level at which their steps start."""
        return _mix(self.start, clean, noise, steps)

    def noise_to_end(self, clean: Tensor, noise: Tensor, steps: Sequence[int]) -> Tensor:
        """Bring clean latents (N, C, h, w) to the level at which the estimates of their steps stand."""
        return _mix(self.end, clean, noise, steps)

    def scale_noise(self, noise: Tensor, steps: Sequence[int]) -> Tensor:
        """Return the part of x (N, C, h, w) at the start of steps that its noise makes up."""
        return _rows(self.start.sigma, steps, noise) * noise

    def unscale_noise(self, part: Tensor, steps: Sequence[int]) -> Tensor:
        """Undo `scale_noise`."""
        return part / _rows(self.start.sigma, steps, part)

    def renoise(self, estimate: Tensor, noise: Tensor, steps: Sequence[int]) -> Tensor:
        """Take estimates (N, C, h, w) of the steps before to the level at which `steps`, all above 0, start.

        Adds only the noise that they lack: all of it to a clean estimate, none to one already at that level.
        """
        after, before = list(steps), [step - 1 for step in steps]
        alpha = self.start.alpha[after] / self.end.alpha[before]
        lacking = self.start.sigma[after].square() - (alpha * self.end.sigma[before]).square()
        return _mix(Level(alpha, lacking.clamp(min=0).sqrt()), estimate, noise, range(len(after)))


def make_schedule(
    timesteps: tuple[Tensor, Tensor], start: Level, end: Level, weights: tuple[Tensor, Tensor]
) -> Schedule:
    """Make a schedule of float64 tables: the times of both levels, and the weights c_skip and c_out.

    Its noise levels are the sigmas of levels that preserve the variance, which models are shown as they are.
    """
    c_skip, c_out = (table.float() for table in weights)
    shown = torch.ones_like(c_skip)
    return Schedule(*timesteps, start.float(), end.float(), c_skip, c_out, start.sigma.float(), shown)


def relative_noise_levels(sigma: Tensor) -> Tensor:
    """Return the noise levels (S,) that masks are quantized against where levels are told by `sigma` alone.

    They are those of levels with as much noise to a unit of picture that preserve the variance. The published
    code of SemanticDraw takes them for flow matching too, whose sigma of 1 would leave no mask open.
    """
    return (sigma / (sigma.square() + 1).sqrt()).float()


def _mix(level: Level, clean: Tensor, noise: Tensor, steps: Sequence[int]) -> Tensor:
    return _rows(level.alpha, steps, clean) * clean + _rows(level.sigma, steps, clean) * noise


def _rows(table: Tensor, steps: Sequence[int], like: Tensor) -> Tensor:
    """Look up one coefficient a row, shaped (N, 1, 1, 1), on the device of `like`."""
    return table[list(steps)].to(like.device).view(-1, 1, 1, 1)
