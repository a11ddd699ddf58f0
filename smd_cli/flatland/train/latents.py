"""Pictures encoded once: the latents and token ids that the UNet trains on."""

from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTokenizer

from smd_cli.flatland.train.drawing import draw_many
from smd_cli.flatland.train.text import token_ids
from smd_cli.flatland.world import Picture
from smd_cli.flatland.world.bootstrapped import draw_bootstrapped

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
    scale, device = autoencoder.config.scaling_factor, autoencoder.device
    encoder = autoencoder.to(memory_format=torch.channels_last).eval()
    latents, seen, captions, told, boxes = [], [], [], [], []
    drawn = draw_many(range(first_seed, first_seed + count), partial(draw_bootstrapped, size=size))
    while pairs := list(islice(drawn, BATCH)):
        pictures = [picture for picture, _ in pairs]
        changed = [i for i, (picture, left) in enumerate(pairs) if left is not picture.image]
        images = [p.image for p in pictures] + [pairs[i][1] for i in changed]
        pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)
        with torch.autocast(device.type, torch.bfloat16):
            encoded = (encoder.encode(pixels.to(device) / 127.5 - 1).latents.float() * scale).half().cpu()
        latents.append(encoded[: len(pictures)])
        seen.append(latents[-1].clone())
        seen[-1][changed] = encoded[len(pictures) :]
        captions += [p.caption for p in pictures]
        told += [p.told for p in pictures]
        boxes += [_box(p) for p in pictures]
    data = {
        "latents": torch.cat(latents).contiguous(),
        "seen": torch.cat(seen).contiguous(),
        "ids": token_ids(tokenizer, captions),
        "told": torch.tensor(told),
        "boxes": torch.tensor(boxes),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(data, path)
    return data


def _box(picture: Picture) -> tuple[float, float, float, float]:
    alone = picture.background == "white" and len(picture.things) == 1
    return picture.things[0].box if alone else (0.0, 0.0, 0.0, 0.0)
