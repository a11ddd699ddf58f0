"""The consistency function (Song et al., arXiv 2303.01469): a UNet's one-step estimate of the picture."""

import torch
from torch import Tensor, nn

from smd_cli.workshop.train.unet import alphas_cumprod, cleaned, noised
from smd_cli.workshop.train.visibility import noise_like, uniform

SIGMA_DATA = 0.5
TIMESTEP_SCALING = 10.0


def boundary(timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """Return c_skip and c_out (N, 1, 1, 1); they make the consistency function the identity at timestep 0."""
    scaled = (timesteps * TIMESTEP_SCALING)[:, None, None, None].float()
    spread = scaled.square() + SIGMA_DATA**2
    return SIGMA_DATA**2 / spread, scaled / spread.sqrt()


def consistency(unet: nn.Module, z: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
    """Return f(z, t) = c_skip z + c_out x̂(z, t) of a noise-predicting UNet, float32."""
    noise = unet(z, timesteps, encoder_hidden_states=states, return_dict=False)[0].float()
    return consistency_of_noise(z, noise, timesteps)


def consistency_of_noise(z: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """Return c_skip z + c_out x̂ (N, 4, h, w), the clean estimate for z where `noise` is the prediction."""
    c_skip, c_out = boundary(timesteps)
    return c_skip * z + c_out * cleaned(z, noise, timesteps, alphas_cumprod())


@torch.no_grad()
def student_step(
    unet: nn.Module, z: Tensor, timesteps: Tensor, states: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Take one sampler step from (z, t) to a random earlier timestep; return the latents and those timesteps.

    One-step estimates from high noise are fainter than any point of a teacher's path. A student that is never
    trained on them reproduces the faintness, and objects vanish.
    """
    earlier = (uniform(timesteps.shape, rng) * timesteps).long()
    noise = noise_like(z, rng)
    return noised(consistency(unet, z, timesteps, states), noise, earlier, alphas_cumprod()), earlier
