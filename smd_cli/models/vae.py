"""The autoencoders that families share, KL and tiny ones, as far as their configs tell. Knows no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.models.configs import Config
from smd_cli.models.network_classes import AUTOENCODER_KL, AUTOENCODER_TINY, NetworkClass


@dataclass(frozen=True)
class Autoencoder:
    """A class of autoencoders.

    Attributes:
        network: that class.
        encoder_widths: key of its config that lists the channels of the encoder's blocks.
        decoder_widths: the decoder's.
        decoder_maps: how many maps of the decoder's least width decoding holds at its peak, by measurements.
    """

    network: NetworkClass
    encoder_widths: str
    decoder_widths: str
    decoder_maps: float

    def downscale(self, config: Config) -> int:
        """Return the px a latent: every block of the encoder after the first halves the picture."""
        return int(2 ** (len(config[self.encoder_widths]) - 1))

    def decoder_elements(self, config: Config, pixels: int) -> int:
        """Estimate how many numbers decoding holds at its peak for so many pixels at once."""
        return int(self.decoder_maps * min(config[self.decoder_widths]) * pixels)


KL = Autoencoder(AUTOENCODER_KL, "block_out_channels", "block_out_channels", decoder_maps=8)
TINY = Autoencoder(
    AUTOENCODER_TINY, "encoder_block_out_channels", "decoder_block_out_channels", decoder_maps=3.25
)


def autoencoder_of(config: Config, known: Sequence[Autoencoder], folder: Path) -> Autoencoder:
    """Return which of the `known` autoencoders a config describes; `folder` is where the config lies.

    Raises:
        AssetError: none of them.
    """
    name = config.get("_class_name")
    for autoencoder in known:
        if autoencoder.network.name == name:
            return autoencoder
    names = ", ".join(autoencoder.network.name for autoencoder in known)
    raise AssetError(f"{folder}: autoencoder {name} is not supported ({names})")
