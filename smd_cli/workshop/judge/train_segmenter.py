"""Train and test the segmenter: `python -m smd_cli.workshop.judge.train_segmenter --folder runs/seg`."""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from smd_cli.media.files import replacing
from smd_cli.workshop.judge.augment import distort
from smd_cli.workshop.judge.hints import index_of
from smd_cli.workshop.judge.patched import draw_patched
from smd_cli.workshop.judge.segmenter import CLASSES, SHRINK, WEIGHTS, Segmenter
from smd_cli.workshop.train.config import Budget
from smd_cli.workshop.train.drawing import draw_many
from smd_cli.workshop.train.loop import MovingAverage, train

TRAIN_SEED, TEST_SEED = 71_000_000, 91_000_000
AVERAGE = 0.995
RING = 2
"""Pixels of a map around things that count for nothing: outlines are soft."""


@dataclass(frozen=True)
class SegmenterTraining:
    """The size of the segmenter's training: scenes to train on, scenes to test on, and the budget."""

    scenes: int = 5000
    test_scenes: int = 500
    budget: Budget = Budget(1250, 16, 4e-3)  # noqa: RUF009 - frozen


def draw_one(seed: int) -> tuple[np.ndarray, int]:
    """Draw a scene: (SIDE, SIDE, 5) uint8, colours, things and halos, and the number of its background."""
    scene = draw_patched(seed)
    planes = [image.reduce(SHRINK) for image in (scene.image, scene.things, scene.halos)]
    stacked = np.dstack([np.asarray(plane) for plane in planes])
    return stacked, index_of(scene.background)


def labelled_scenes(path: Path, first_seed: int, count: int) -> dict[str, Tensor]:
    """Return {"maps" (N, SIDE, SIDE, 5) uint8, "backgrounds" (N,)}: from `path`, or drawn and stored."""
    if path.exists():
        data: dict[str, Tensor] = load_file(path)
        return data
    drawn = list(draw_many(range(first_seed, first_seed + count), draw_one))
    data = {
        "maps": torch.from_numpy(np.stack([planes for planes, _ in drawn])),
        "backgrounds": torch.tensor([background for _, background in drawn]),
    }
    with replacing(path) as temporary:
        save_file(data, temporary)
    return data


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


def train_segmenter(data: dict[str, Tensor], training: SegmenterTraining, folder: Path) -> Segmenter:
    """Train (or resume) the segmenter on distorted scenes."""
    torch.manual_seed(0)

    def loss(module: Segmenter, step: int) -> Tensor:
        rng = torch.Generator().manual_seed(step)
        rows = torch.randint(len(data["maps"]), (training.budget.batch,), generator=rng)
        pixels, shares, weight = lesson(data["maps"][rows], rng)
        logits = module(pixels, data["backgrounds"][rows]).float()
        each = F.cross_entropy(logits, shares, reduction="none")
        return (each * weight[:, 0]).mean()

    segmenter = Segmenter()
    average = MovingAverage(segmenter, AVERAGE)
    return train(segmenter, loss, budget=training.budget, folder=folder, average=average)


@torch.inference_mode()
def evaluate(segmenter: Segmenter, data: dict[str, Tensor]) -> dict[str, float]:
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


def main() -> None:
    """Train and test the segmenter, write its weights, and print how well it does."""
    parser = argparse.ArgumentParser(
        prog="python -m smd_cli.workshop.judge.train_segmenter", description=__doc__
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/seg"), help="checkpoints, logs, weights")
    folder = parser.parse_args().folder
    training = SegmenterTraining()
    lessons = labelled_scenes(folder / "lessons.safetensors", TRAIN_SEED, training.scenes)
    segmenter = train_segmenter(lessons, training, folder)
    exam = labelled_scenes(folder / "exam.safetensors", TEST_SEED, training.test_scenes)
    weights = {name: tensor.half().contiguous() for name, tensor in segmenter.state_dict().items()}
    save_file(weights, folder / WEIGHTS.name)
    overlap = evaluate(segmenter, exam)
    sys.stdout.write(json.dumps({"exam": training.test_scenes, "overlap": overlap}, indent=2) + "\n")


if __name__ == "__main__":
    main()
