"""Train and test the judge: `python -m smd_cli.workshop.judge.train --folder runs/judge`."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from smd_cli.workshop.judge.augment import distort
from smd_cli.workshop.judge.course import Course, Data
from smd_cli.workshop.judge.crops import Crop, draw_crop, draw_picture_crop, pixels_of
from smd_cli.workshop.judge.labels import QUESTIONS, UNASKED, indices_of
from smd_cli.workshop.judge.network import WEIGHTS, Judge, to_tensor
from smd_cli.workshop.train.config import Budget
from smd_cli.workshop.train.drawing import draw_many

WHOLE_PICTURES = 4  # every fourth crop is a whole picture
SHIFT = 4  # px


def draw_one(seed: int) -> Crop:
    """Draw the labelled crop of a seed: every fourth one is a whole picture."""
    return draw_picture_crop(seed) if seed % WHOLE_PICTURES == 0 else draw_crop(seed)


def draw_crops(seeds: Sequence[int]) -> Data:
    """Draw a crop for each of N seeds: "crops" (N, 64, 64, 3) uint8 and "answers" (N, questions)."""
    drawn = [(crop.image, indices_of(crop.answers)) for crop in draw_many(seeds, draw_one)]
    crops = pixels_of([image for image, _ in drawn])
    return {"crops": torch.from_numpy(crops), "answers": torch.tensor([answers for _, answers in drawn])}


def loss(judge: Judge, data: Data, rng: torch.Generator) -> Tensor:
    """Ask all questions at once about augmented crops."""
    answers = data["answers"]
    pixels = to_tensor(data["crops"].numpy())
    flipped = torch.rand(len(answers), 1, 1, 1, generator=rng) < 0.5
    tint = 1 + 0.06 * torch.randn(len(answers), 3, 1, 1, generator=rng)
    pixels = _shifted(torch.where(flipped, pixels.flip(3), pixels), rng)
    pixels = distort(pixels, rng) * tint
    losses = [
        F.cross_entropy(logits.float(), answers[:, column], ignore_index=UNASKED)
        for column, logits in enumerate(judge(pixels).values())
    ]
    return torch.stack(losses).sum()


def _shifted(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Shift a batch (N, 3, s, s) by up to `SHIFT` px in each direction; edges are replicated."""
    x, y = torch.randint(2 * SHIFT + 1, (2,), generator=rng).tolist()
    side = pixels.shape[-1]
    return F.pad(pixels, (SHIFT,) * 4, mode="replicate")[..., y : y + side, x : x + side]


@torch.inference_mode()
def evaluate(judge: Judge, data: Data) -> dict[str, float]:
    """Return the accuracy on each question, counting only crops that have an answer to it."""
    chosen = torch.stack([logits.argmax(1) for logits in _in_batches(judge, data["crops"].numpy())], dim=1)
    asked = data["answers"] != UNASKED
    right = (chosen == data["answers"]) & asked
    return {name: float(right[:, i].sum() / asked[:, i].sum()) for i, name in enumerate(QUESTIONS)}


def _in_batches(judge: Judge, crops: np.ndarray) -> Sequence[Tensor]:
    parts = [judge(to_tensor(crops[start : start + 256])) for start in range(0, len(crops), 256)]
    return [torch.cat([part[name] for part in parts]) for name in QUESTIONS]


COURSE = Course(
    network=Judge,
    weights=WEIGHTS,
    seeds=(70_000_000, 90_000_000),
    lessons=40_000,
    exam=4_000,
    budget=Budget(5000, 96, 2e-3),
    average=0.998,
    draw=draw_crops,
    loss=loss,
    evaluate=evaluate,
)


if __name__ == "__main__":
    COURSE.main("smd_cli.workshop.judge.train", __doc__, "runs/judge")
