"""A small denoiser: fixed random convolutions that differ by prompt and know place and time."""

import torch
import torch.nn.functional as F
from torch import Tensor


class ConvModel:
    """Predicts for each row alone; zero padding tells it where the border is, as in real UNets."""

    def __init__(self, prompts: int, channels: int = 4, width: int = 6) -> None:
        generator = torch.Generator().manual_seed(20)

        def random(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        self.lift, self.fall = random(width, channels, 3, 3) / 6, random(channels, width, 3, 3) / 7
        self.prompts = random(prompts, width)

    def __call__(self, latents: Tensor, timesteps: Tensor, prompts: Tensor) -> Tensor:
        hidden = F.conv2d(latents, self.lift, padding=1)
        bias = self.prompts[prompts] + timesteps[:, None] / 1000
        return F.conv2d(torch.tanh(hidden + bias[:, :, None, None]), self.fall, padding=1)

    def one(self, latent: Tensor, timestep: int, prompt: int) -> Tensor:
        """Predict for one row, as the oracle asks."""
        return self(latent, torch.tensor([timestep]), torch.tensor([prompt]))


def alphas_cumprod() -> Tensor:
    """Stable Diffusion's scaled-linear training schedule, (1000,)."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()
