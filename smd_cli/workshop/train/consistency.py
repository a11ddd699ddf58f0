"""The consistency function (Song et al., arXiv 2303.01469): the picture that a UNet sees in one step."""

import torch
from torch import Tensor, nn

from smd_cli.workshop.train.shown import chances, noise_like
from smd_cli.workshop.train.unet import alphas_cumprod, cleaned, noised

SIGMA_DATA = 0.5
TIMESTEP_SCALING = 10.0


def boundary(timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """Return c_skip and c_out (N, 1, 1, 1): at timestep 0 the consistency function is the identity."""
    scaled = (timesteps * TIMESTEP_SCALING)[:, None, None, None].float()
    spread = scaled.square() + SIGMA_DATA**2
    return SIGMA_DATA**2 / spread, scaled / spread.sqrt()


def consistency(unet: nn.Module, z: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
    """Return f(z, t) = c_skip z + c_out x̂(z, t) of a noise-predicting UNet, float32."""
    noise = unet(z, timesteps, encoder_hidden_states=states, return_dict=False)[0].float()
    return seen_through(z, noise, timesteps)


def seen_through(z: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """Return c_skip z + c_out x̂ (N, 4, h, w), the picture seen in z where `noise` is predicted."""
    c_skip, c_out = boundary(timesteps)
    return c_skip * z + c_out * cleaned(z, noise, timesteps, alphas_cumprod())


@torch.no_grad()
def sampled_on(
    unet: nn.Module, z: Tensor, timesteps: Tensor, states: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Take a step as a few-step sampler does: the picture seen from (z, t), noised anew, at any earlier t.

    What is seen in one step from much noise is fainter than any point of a path. A student that has not met
    it takes it for what is to be, and things vanish.
    """
    earlier = (chances(timesteps.shape, rng) * timesteps).long()
    noise = noise_like(z, rng)
    return noised(consistency(unet, z, timesteps, states), noise, earlier, alphas_cumprod()), earlier
