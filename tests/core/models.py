"""A small denoiser: fixed random convolutions that differ by prompt and know place and time."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from torch import Tensor

from smd_cli.core.guidance import ModelInput
from smd_cli.core.samplers import SAMPLERS, SamplerSteps
from smd_cli.core.schedule import Prediction, Schedule, TrainingSchedule
from smd_cli.core.tiling import Box


class ConvModel:
    """Predicts for each row alone; zero padding tells it where the border is, as in real UNets."""

    def __init__(self, prompts: int, channels: int = 4, width: int = 6) -> None:
        generator = torch.Generator().manual_seed(20)

        def random(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        self.lift, self.fall = random(width, channels, 3, 3) / 6, random(channels, width, 3, 3) / 7
        self.prompts = random(prompts, width)

    def __call__(self, asked: ModelInput) -> Tensor:
        said = self.prompts[asked.prompts][:, :, None, None]
        if asked.coupling is not None:
            said = asked.coupling.shares[:, None] * said
            of_row = [asked.coupling.pairs([row]) for row in range(len(asked))]
            said = torch.stack([said[pairs].sum(0) for pairs in of_row])
        return self.of(asked.latents, asked.timesteps, said)

    def of(self, latents: Tensor, timesteps: Tensor, said: Tensor) -> Tensor:
        hidden = F.conv2d(latents, self.lift, padding=1)
        hidden = hidden + said + timesteps.view(-1, 1, 1, 1) / 1000
        return F.conv2d(torch.tanh(hidden), self.fall, padding=1)

    def one(self, latent: Tensor, timestep: int, prompt: int) -> Tensor:
        """Predict for one row, as the oracle asks."""
        return self.of(latent, torch.tensor([timestep]), self.prompts[prompt].view(1, -1, 1, 1))

    def coupled(self, latent: Tensor, timestep: int, shares: dict[int, Tensor]) -> Tensor:
        """Predict for one row under shares (h, w) of prompts, as the oracle asks."""
        said = sum(share * self.prompts[prompt].view(1, -1, 1, 1) for prompt, share in shares.items())
        return self.of(latent, torch.tensor([timestep]), said)


def alphas_cumprod() -> Tensor:
    """Stable Diffusion's scaled-linear training schedule, (1000,)."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


def training(prediction: Prediction = "epsilon", *, zero_snr: bool = False) -> TrainingSchedule:
    if not zero_snr:
        return TrainingSchedule(alphas_cumprod(), prediction)
    spread = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    return TrainingSchedule(DDIMScheduler(**spread, rescale_betas_zero_snr=True).alphas_cumprod, prediction)


def model_input(latents: Tensor, timesteps: Tensor) -> ModelInput:
    """Ask about rows of one tile that is the whole canvas, each under the prompt of its own number."""
    rows, _, height, width = latents.shape
    return ModelInput(
        latents=latents,
        timesteps=timesteps,
        end_timesteps=torch.zeros_like(timesteps),
        prompts=torch.arange(rows),
        boxes=(Box(0, height, 0, width),) * rows,
        canvas=(height, width),
    )


def lcm(trained: TrainingSchedule, indices: Sequence[int], *, grid: int = 50) -> Schedule:
    """The schedule of a consistency model that takes some steps of a grid."""
    return SAMPLERS["lcm"](trained, SamplerSteps(grid, tuple(indices), (8, 8)))


def ddim(trained: TrainingSchedule, steps: int) -> Schedule:
    """DDIM's schedule of so many steps, as Stable Diffusion was published."""
    return SAMPLERS["ddim"](trained, SamplerSteps(steps, tuple(range(steps)), (8, 8), spacing="leading"))
