"""Train and test the segmenter: `python -m smd_cli.workshop.judge.train_segmenter --folder runs/seg`."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from smd_cli.workshop.judge.augment import distort
from smd_cli.workshop.judge.course import Course, Data
from smd_cli.workshop.judge.hints import index_of
from smd_cli.workshop.judge.patched import draw_patched
from smd_cli.workshop.judge.segmenter import CLASSES, SHRINK, WEIGHTS, Segmenter
from smd_cli.workshop.train.config import Budget
from smd_cli.workshop.train.drawing import draw_many

RING = 2
"""Pixels of a map around things that count for nothing: outlines are soft."""


def draw_one(seed: int) -> tuple[np.ndarray, int]:
    """Draw a scene: (SIDE, SIDE, 5) uint8, colours, things and halos, and the number of its background."""
    scene = draw_patched(seed)
    planes = [image.reduce(SHRINK) for image in (scene.image, scene.things, scene.halos)]
    stacked = np.dstack([np.asarray(plane) for plane in planes])
    return stacked, index_of(scene.background)


def draw_scenes(seeds: Sequence[int]) -> Data:
    """Draw a scene for each of N seeds: "maps" (N, SIDE, SIDE, 5) uint8 and "backgrounds" (N,)."""
    drawn = list(draw_many(seeds, draw_one))
    return {
        "maps": torch.from_numpy(np.stack([planes for planes, _ in drawn])),
        "backgrounds": torch.tensor([background for _, background in drawn]),
    }


def lesson(maps: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return distorted pictures (N, 3, h, w), shares of classes (N, 3, h, w) and weights (N, 1, h, w)."""
    planes = maps.permute(0, 3, 1, 2).float()
    planes = torch.cat((planes[:, :3] / 127.5 - 1, planes[:, 3:] / 255), dim=1)
    planes = torch.where(torch.rand(len(maps), 1, 1, 1, generator=rng) < 0.5, planes.flip(3), planes)
    planes = distort(planes, rng)
    pixels, thing, halo = planes[:, :3], planes[:, 3:4].clamp(0, 1), planes[:, 4:].clamp(0, 1)
    tint = 1 + 0.03 * torch.randn(len(maps), 3, 1, 1, generator=rng)
    grain = 0.02 * torch.rand(len(maps), 1, 1, 1, generator=rng) * torch.randn(pixels.shape, generator=rng)
    halo = torch.minimum(halo, 1 - thing)
    shares = torch.cat((thing, 1 - thing - halo, halo), dim=1)
    near = F.max_pool2d(thing, 2 * RING + 1, 1, RING)
    weight = 1 - near * (1 - thing)
    return pixels * tint + grain, shares, weight


def loss(segmenter: Segmenter, data: Data, rng: torch.Generator) -> Tensor:
    """Compare what is found in distorted scenes with what they show."""
    pixels, shares, weight = lesson(data["maps"], rng)
    logits = segmenter(pixels, data["backgrounds"]).float()
    each = F.cross_entropy(logits, shares, reduction="none")
    return (each * weight[:, 0]).mean()


@torch.inference_mode()
def evaluate(segmenter: Segmenter, data: Data) -> dict[str, float]:
    """Return each class's intersection over union, on distorted scenes, where one class is sure."""
    rng = torch.Generator().manual_seed(0)
    both, either = torch.zeros(len(CLASSES)), torch.zeros(len(CLASSES))
    for rows in torch.arange(len(data["maps"])).chunk(10):
        pixels, shares, weight = lesson(data["maps"][rows], rng)
        classes = segmenter(pixels, data["backgrounds"][rows]).argmax(1)
        found = F.one_hot(classes, len(CLASSES)).permute(0, 3, 1, 2) > 0
        sure = (shares.amax(1, keepdim=True) > 0.9) & (weight > 0.5)
        right = shares > 0.5
        both += (found & right & sure).sum((0, 2, 3))
        either += ((found | right) & sure).sum((0, 2, 3))
    return {name: float(both[i] / either[i].clamp(min=1)) for i, name in enumerate(CLASSES)}


COURSE = Course(
    network=Segmenter,
    weights=WEIGHTS,
    seeds=(71_000_000, 91_000_000),
    lessons=5000,
    exam=500,
    budget=Budget(1250, 16, 4e-3),
    average=0.995,
    draw=draw_scenes,
    loss=loss,
    evaluate=evaluate,
)


if __name__ == "__main__":
    COURSE.main("smd_cli.workshop.judge.train_segmenter", __doc__, "runs/seg")
