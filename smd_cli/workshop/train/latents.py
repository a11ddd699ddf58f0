"""Pictures encoded once: the latents and token ids that the UNet trains on."""

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
from smd_cli.workshop.world import Picture
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
    """Return latents, token ids and what their captions leave out; reads `path` where it exists.

    {"latents" and "seen" (N, 4, size/8, size/8) float16, "ids" (N, 77), "told" (N,) truth values, "boxes"
    (N, 4)}: `seen` is what few steps leave of a picture; a box holds the only thing on a white picture, in
    shares of the side, and is empty elsewhere.
    """
    if path.exists():
        data: dict[str, Tensor] = load_file(path)
        return data
    encoder = autoencoder.to(memory_format=torch.channels_last).eval()
    encoded: list[tuple[Tensor, Tensor]] = []
    pictures: list[Picture] = []
    drawn = draw_many(range(first_seed, first_seed + count), partial(draw_bootstrapped, size=size))
    while pairs := list(islice(drawn, BATCH)):
        encoded.append(_encoded(encoder, pairs))
        pictures += [picture for picture, _ in pairs]
    latents, seen = (torch.cat(parts).contiguous() for parts in zip(*encoded, strict=True))
    data = {
        "latents": latents,
        "seen": seen,
        "ids": token_ids(tokenizer, [picture.caption for picture in pictures]),
        "told": torch.tensor([picture.told for picture in pictures]),
        "boxes": torch.tensor([_box(picture) for picture in pictures]),
    }
    with replacing(path) as temporary:
        save_file(data, temporary)
    return data


def _encoded(encoder: AutoencoderTiny, pairs: list[tuple[Picture, Image.Image]]) -> tuple[Tensor, Tensor]:
    """Encode pictures and what is seen of them, (N, 4, h, w) float16 each; what is alike only once."""
    changed = [i for i, (picture, left) in enumerate(pairs) if left is not picture.image]
    images = [picture.image for picture, _ in pairs] + [pairs[i][1] for i in changed]
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)
    with torch.autocast(encoder.device.type, torch.bfloat16):
        found = encoder.encode(pixels.to(encoder.device) / 127.5 - 1).latents.float()
    scaled = (found * encoder.config.scaling_factor).half().cpu()
    latents = scaled[: len(pairs)]
    seen = latents.clone()
    seen[changed] = scaled[len(pairs) :]
    return latents, seen


def _box(picture: Picture) -> tuple[float, float, float, float]:
    alone = picture.background == "white" and len(picture.things) == 1
    return picture.things[0].box if alone else (0.0, 0.0, 0.0, 0.0)
