"""The consistency function of a noise-predicting UNet, and how far it is from what it should see.

Luo et al., arXiv 2310.04378, section 4.1, with the published scheduler's constants.
"""

from torch import Tensor, nn

from smd_cli.flatland.train.unet import alphas_cumprod, cleaned

SIGMA_DATA = 0.5
TIMESTEP_SCALING = 10.0
HUBER = 1e-3


def boundary(timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """Return c_skip and c_out (N, 1, 1, 1): at timestep 0 the consistency function is the identity."""
    scaled = (timesteps * TIMESTEP_SCALING)[:, None, None, None].float()
    spread = scaled.square() + SIGMA_DATA**2
    return SIGMA_DATA**2 / spread, scaled / spread.sqrt()


def consistency(unet: nn.Module, z: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
    """Return f(z, t) = c_skip z + c_out x̂(z, t) of a noise-predicting UNet, float32."""
    noise = unet(z, timesteps, encoder_hidden_states=states, return_dict=False)[0].float()
    c_skip, c_out = boundary(timesteps)
    return c_skip * z + c_out * cleaned(z, noise, timesteps, alphas_cumprod())


def huber(error: Tensor) -> Tensor:
    """Return the pseudo-Huber size of errors, element by element."""
    return (error.square() + HUBER**2).sqrt() - HUBER
