"""Pictures encoded once, as the latents and token ids that the UNet trains on."""

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


@torch.no_grad()
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
    encoder = autoencoder.to(memory_format=torch.channels_last).eval()
    encoded: list[tuple[Tensor, Tensor]] = []
    pictures: list[CaptionedPicture] = []
    drawn = draw_many(range(first_seed, first_seed + count), partial(draw_bootstrapped, size=size))
    while pairs := list(islice(drawn, BATCH)):
        encoded.append(_encoded(encoder, pairs))
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


def _encoded(
    encoder: AutoencoderTiny, pairs: list[tuple[CaptionedPicture, Image.Image]]
) -> tuple[Tensor, Tensor]:
    """Encode pictures and their bootstrapped versions, (N, 4, h, w) float16 each; identical ones once."""
    changed = [i for i, (picture, altered) in enumerate(pairs) if altered is not picture.image]
    images = [picture.image for picture, _ in pairs] + [pairs[i][1] for i in changed]
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)
    with torch.autocast(encoder.device.type, torch.bfloat16):
        found = encoder.encode(pixels.to(encoder.device) / 127.5 - 1).latents.float()
    scaled = (found * encoder.config.scaling_factor).half().cpu()
    latents = scaled[: len(pairs)]
    bootstrapped = latents.clone()
    bootstrapped[changed] = scaled[len(pairs) :]
    return latents, bootstrapped


def _box(picture: CaptionedPicture) -> tuple[float, float, float, float]:
    """Return the box of a single object on white, as shares of the side; zeros for any other picture."""
    alone = picture.background == "white" and len(picture.things) == 1
    return picture.things[0].box if alone else (0.0, 0.0, 0.0, 0.0)
