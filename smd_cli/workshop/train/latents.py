"""Pictures encoded once, as the latents and token ids that the UNet trains on."""

from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTokenizer

from smd_cli.media.files import replacing
from smd_cli.workshop.train.drawing import draw_many
from smd_cli.workshop.train.text import token_ids
from smd_cli.workshop.world import CaptionedPicture
from smd_cli.workshop.world.bootstrapped import draw_bootstrapped

BATCH = 32


@dataclass(frozen=True)
class Codec:
    """An autoencoder, from pixels (N, H, W, 3) uint8 to scaled latents (N, 4, h, w) float32 and back."""

    autoencoder: AutoencoderTiny

    @torch.no_grad()
    def encode(self, pixels: np.ndarray) -> Tensor:
        """Return the latents of pictures, on the CPU."""
        found = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.autoencoder.device)
        with torch.autocast(found.device.type, torch.bfloat16):
            latents = self.autoencoder.encode(found / 127.5 - 1).latents.float()
        scaled: Tensor = latents * self.autoencoder.config.scaling_factor
        return scaled.cpu()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> np.ndarray:
        """Return the pictures of latents."""
        found = latents.to(self.autoencoder.device) / self.autoencoder.config.scaling_factor
        with torch.autocast(found.device.type, torch.bfloat16):
            shown = self.autoencoder.decode(found).sample.float()
        pixels: np.ndarray = (
            ((shown.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        )
        return pixels


def encode_pictures(
    path: Path,
    autoencoder: AutoencoderTiny,
    tokenizer: CLIPTokenizer,
    *,
    first_seed: int,
    count: int,
    size: int,
) -> dict[str, Tensor]:
    """Return encoded pictures: read from `path` if it exists, else drawn and stored there.

    The keys are those of `PictureBatch`: "latents" and "bootstrapped" (N, 4, size/8, size/8) float16, "ids"
    (N, 77), "caption_complete" (N,) bool, "boxes" (N, 4) as shares of the side.
    """
    if path.exists():
        data: dict[str, Tensor] = load_file(path)
        return data
    codec = Codec(autoencoder.to(memory_format=torch.channels_last).eval())
    encoded: list[tuple[Tensor, Tensor]] = []
    pictures: list[CaptionedPicture] = []
    drawn = draw_many(range(first_seed, first_seed + count), partial(draw_bootstrapped, size=size))
    while pairs := list(islice(drawn, BATCH)):
        encoded.append(_encoded(codec, pairs))
        pictures += [picture for picture, _ in pairs]
    latents, bootstrapped = (torch.cat(parts).contiguous() for parts in zip(*encoded, strict=True))
    data = {
        "latents": latents,
        "bootstrapped": bootstrapped,
        "ids": token_ids(tokenizer, [picture.caption for picture in pictures]),
        "caption_complete": torch.tensor([picture.caption_complete for picture in pictures]),
        "boxes": torch.tensor([_box(picture) for picture in pictures]),
    }
    with replacing(path) as temporary:
        save_file(data, temporary)
    return data


def _encoded(codec: Codec, pairs: list[tuple[CaptionedPicture, Image.Image]]) -> tuple[Tensor, Tensor]:
    """Encode pictures and their bootstrapped versions, (N, 4, h, w) float16 each; identical ones once."""
    changed = [i for i, (picture, altered) in enumerate(pairs) if altered is not picture.image]
    images = [picture.image for picture, _ in pairs] + [pairs[i][1] for i in changed]
    scaled = codec.encode(np.stack([np.asarray(image) for image in images])).half()
    latents = scaled[: len(pairs)]
    bootstrapped = latents.clone()
    bootstrapped[changed] = scaled[len(pairs) :]
    return latents, bootstrapped


def _box(picture: CaptionedPicture) -> tuple[float, float, float, float]:
    """Return the box of a single object on white, as shares of the side; zeros for any other picture."""
    alone = picture.background == "white" and len(picture.things) == 1
    return picture.things[0].box if alone else (0.0, 0.0, 0.0, 0.0)
