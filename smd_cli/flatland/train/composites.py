"""Pictures as the views of regions see them: things that stand on white within their masks, in a scene.

After the bootstrap each region holds what was seen of its thing alone, on white; around it the scene goes on.
The student learns to make of that the scene in which the thing stands, whichever region's prompt it is given.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from smd_cli.flatland.train.consistency import consistency, huber
from smd_cli.flatland.train.drawing import draw_many
from smd_cli.flatland.train.latents import BATCH, encoded
from smd_cli.flatland.train.shown import draw_regions
from smd_cli.flatland.train.text import token_ids
from smd_cli.flatland.train.unet import alphas_cumprod, noised, shown_noised
from smd_cli.flatland.world.picture import MOST_SCATTERED, Scattered, draw_scattered

SIZE = 256
FIRST, SECOND = 999, 919
"""Timesteps of the default schedule at which regions are bootstrapped."""

SEEN_AT = (919, 759, 759, 759, 499, 499, 259, 259)
"""Timesteps at which composites are seen, as often as they are named."""

OWN = 0.6
INSIDE = 4.0
"""Weight of an error where the region lies that the prompt is for: nothing else is kept of a view."""


def draw_composites(
    path: Path, autoencoder: AutoencoderTiny, tokenizer: CLIPTokenizer, *, first_seed: int, count: int
) -> dict[str, Tensor]:
    """Return scenes and their things alone; reads `path` where it exists.

    {"scene", "alone" (N, 4, h, w) float16, "boxes" (N, M, 4), empty where there are fewer things, "ids"
    (N, M+1, 77) of each thing and, last, of the background, "white" (1, 4, h, w), of a white picture}.
    """
    if path.exists():
        data: dict[str, Tensor] = load_file(path)
        return data
    parts: list[dict[str, Tensor]] = []
    drawn = draw_many(range(first_seed, first_seed + count), draw_scattered)
    while scenes := list(islice(drawn, BATCH)):
        parts.append(
            {
                "scene": encoded(autoencoder, [s.image for s in scenes]),
                "alone": encoded(autoencoder, [s.on_white for s in scenes]),
                "boxes": torch.stack([_boxes(s) for s in scenes]),
                "ids": torch.stack([token_ids(tokenizer, _captions(s)) for s in scenes]),
            }
        )
    data = {name: torch.cat([part[name] for part in parts]).contiguous() for name in parts[0]}
    data["white"] = encoded(autoencoder, [Image.new("RGB", (SIZE, SIZE), "white")])
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(data, path)
    return data


def _boxes(scene: Scattered) -> Tensor:
    boxes = torch.zeros(MOST_SCATTERED, 4)
    boxes[: len(scene.boxes)] = torch.tensor(scene.boxes)
    return boxes


def _captions(scene: Scattered) -> list[str]:
    return [*scene.words, *[""] * (MOST_SCATTERED - len(scene.words)), scene.background]


@dataclass(frozen=True)
class Composite:
    """A batch: scenes, their things alone and white (N, 4, h, w), masks (N, 1, h, w) and ids (N, 77).

    `regions` are all of a scene, `asked` is the one whose prompt is given.
    """

    scene: Tensor
    alone: Tensor
    white: Tensor
    regions: Tensor
    asked: Tensor
    ids: Tensor


def batch_of_composites(data: dict[str, Tensor], count: int, rng: torch.Generator) -> Composite:
    """Choose scenes and, in each, a region or, one time in five, the background."""
    rows = torch.randint(len(data["ids"]), (count,), generator=rng)
    scene, alone = data["scene"][rows].float(), data["alone"][rows].float()
    boxes, ids = data["boxes"][rows], data["ids"][rows]
    there = boxes[..., 2] > 0
    masks = [
        draw_regions(boxes[:, i], scene.shape[-2:], rng, always=True) * there[:, i, None, None, None]
        for i in range(boxes.shape[1])
    ]
    regions = torch.stack(masks).amax(0)
    number = (torch.rand(count, generator=rng) * there.sum(1)).long()
    behind = torch.rand(count, generator=rng) < 0.2
    every = torch.arange(count)
    asked = torch.stack(masks)[number, every]
    asked = torch.where(behind[:, None, None, None], 1 - regions, asked)
    ids = torch.where(behind[:, None], ids[:, -1], ids[every, number])
    white = data["white"].float().expand_as(scene)
    return Composite(scene, alone, white, regions, asked, ids)


@torch.no_grad()
def bootstrapped(unet: nn.Module, batch: Composite, states: Tensor, rng: torch.Generator) -> Tensor:
    """Return what two bootstrapped steps of the student make of the asked regions, (N, 4, h, w)."""
    alphas, seen = alphas_cumprod(), batch.white
    for timestep, visible in ((FIRST, 1 - batch.asked), (SECOND, torch.ones_like(batch.asked))):
        timesteps = torch.full((len(seen),), timestep)
        noise = torch.randn(seen.shape, generator=rng)
        z, _ = shown_noised(seen, visible, noise, timesteps, alphas)
        seen = torch.where(batch.asked > 0, consistency(unet, z, timesteps, states), batch.white)
    return seen


def composite_loss(
    module: nn.Module, average: nn.Module, batch: Composite, states: Tensor, rng: torch.Generator
) -> Tensor:
    """Return how far the student is from the scene when it sees it with things on white in the regions."""
    count = len(batch.scene)
    own = (torch.rand(count, 1, 1, 1, generator=rng) < OWN) & (batch.asked * batch.regions).amax(
        (2, 3), keepdim=True
    ).bool()
    alone = torch.where(own & (batch.asked > 0), bootstrapped(average, batch, states, rng), batch.alone)
    seen = torch.where(batch.regions > 0, alone, batch.scene)
    timesteps = torch.tensor(SEEN_AT)[torch.randint(len(SEEN_AT), (count,), generator=rng)]
    z = noised(seen, torch.randn(seen.shape, generator=rng), timesteps, alphas_cumprod())
    z = z.contiguous(memory_format=torch.channels_last)
    error = consistency(module, z, timesteps, states) - batch.scene
    weight = 1 + (INSIDE - 1) * batch.asked
    loss: Tensor = (weight * huber(error)).sum() / (weight.sum() * error.shape[1])
    return loss
