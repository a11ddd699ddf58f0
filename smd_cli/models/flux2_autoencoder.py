"""FLUX.2's autoencoder: latents of 2x2 patches, normalised channel by channel."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from smd_cli.models.autoencoder import LatentAutoencoder
from smd_cli.models.flux2_network import PATCH


@dataclass(frozen=True)
class Flux2Autoencoder(LatentAutoencoder):
    """The autoencoder of FLUX.2.

    Its latents (B, 4·C, h/2, w/2) are what the network writes, (B, C, h, w), with each patch of 2x2 in the
    place of one pixel, and normalised. What averages such latents, or adds noise to them, does the same to
    those of single pixels: packing moves numbers and changes none.
    """

    def to_latents(self, z: Tensor) -> Tensor:
        """Pack and normalise what the network writes."""
        mean, deviation = self._statistics(z)
        return (pixel_unshuffle(z, PATCH) - mean) / deviation

    def to_z(self, latents: Tensor) -> Tensor:
        """Undo `to_latents`."""
        mean, deviation = self._statistics(latents)
        return pixel_shuffle(latents * deviation + mean, PATCH)

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each channel, (1, 4·C, 1, 1)."""
        norm = self.network.bn
        deviation = (norm.running_var + self.network.config.batch_norm_eps).sqrt()
        mean, deviation = (each.view(1, -1, 1, 1).to(like) for each in (norm.running_mean, deviation))
        return mean, deviation
