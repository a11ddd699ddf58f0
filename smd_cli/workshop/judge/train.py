"""Train the judge and examine it: `python -m smd_cli.workshop.judge.train --folder runs/judge`."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from smd_cli.media.files import replacing
from smd_cli.workshop.judge.crops import Crop, draw_crop, draw_view, pixels_of
from smd_cli.workshop.judge.labels import QUESTIONS, UNASKED, numbers
from smd_cli.workshop.judge.network import WEIGHTS, Judge, to_tensor
from smd_cli.workshop.judge.painted import as_painted
from smd_cli.workshop.train.config import Budget
from smd_cli.workshop.train.drawing import draw_many
from smd_cli.workshop.train.loop import MovingAverage, train

LEARN_SEED, EXAM_SEED = 70_000_000, 90_000_000
VIEWS = 4  # every fourth crop is a whole picture
AVERAGE = 0.998
SHIFT = 4  # px of a crop


@dataclass(frozen=True)
class Course:
    """What the judge learns from, and what it is examined on."""

    crops: int = 40_000
    exam: int = 4_000
    budget: Budget = Budget(5000, 96, 2e-3)  # noqa: RUF009 - frozen


def draw_one(seed: int) -> Crop:
    """Draw a crop of a thing, or every fourth time a whole picture."""
    return draw_view(seed) if seed % VIEWS == 0 else draw_crop(seed)


def lessons(path: Path, first_seed: int, count: int) -> dict[str, Tensor]:
    """Return {"crops" (N, 64, 64, 3) uint8, "answers" (N, questions)}; reads `path` where it exists."""
    if path.exists():
        data: dict[str, Tensor] = load_file(path)
        return data
    crops, answers = [], []
    for crop in draw_many(range(first_seed, first_seed + count), draw_one):
        crops.append(crop.image)
        answers.append(numbers(crop.answers))
    data = {"crops": torch.from_numpy(pixels_of(crops)), "answers": torch.tensor(answers)}
    with replacing(path) as temporary:
        save_file(data, temporary)
    return data


def learn(data: dict[str, Tensor], course: Course, folder: Path) -> Judge:
    """Train (or resume) on all questions at once; crops are mirrored, moved, painted over and relit."""
    torch.manual_seed(0)
    judge = Judge()

    def loss(module: Judge, step: int) -> Tensor:
        rng = torch.Generator().manual_seed(step)
        rows = torch.randint(len(data["answers"]), (course.budget.batch,), generator=rng)
        pixels = to_tensor(data["crops"][rows].numpy())
        flipped = torch.rand(len(rows), 1, 1, 1, generator=rng) < 0.5
        light = 1 + 0.06 * torch.randn(len(rows), 3, 1, 1, generator=rng)
        pixels = _moved(torch.where(flipped, pixels.flip(3), pixels), rng)
        pixels = as_painted(pixels, rng) * light
        answers = data["answers"][rows]
        losses = [
            F.cross_entropy(logits.float(), answers[:, column], ignore_index=UNASKED)
            for column, logits in enumerate(module(pixels).values())
        ]
        return torch.stack(losses).sum()

    average = MovingAverage(judge, AVERAGE)
    return train(judge, loss, budget=course.budget, folder=folder, average=average)


def _moved(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Shift a batch (N, 3, s, s) by up to `SHIFT` px either way; its edges repeat."""
    x, y = torch.randint(2 * SHIFT + 1, (2,), generator=rng).tolist()
    side = pixels.shape[-1]
    return F.pad(pixels, (SHIFT,) * 4, mode="replicate")[..., y : y + side, x : x + side]


@torch.inference_mode()
def examine(judge: Judge, data: dict[str, Tensor]) -> dict[str, float]:
    """Return the share of right answers to each question."""
    chosen = torch.stack([logits.argmax(1) for logits in _in_batches(judge, data["crops"].numpy())], dim=1)
    asked = data["answers"] != UNASKED
    right = (chosen == data["answers"]) & asked
    return {name: float(right[:, i].sum() / asked[:, i].sum()) for i, name in enumerate(QUESTIONS)}


def _in_batches(judge: Judge, crops: np.ndarray) -> Sequence[Tensor]:
    parts = [judge(to_tensor(crops[start : start + 256])) for start in range(0, len(crops), 256)]
    return [torch.cat([part[name] for part in parts]) for name in QUESTIONS]


def main() -> None:
    """Learn, examine, and write the weights and the marks."""
    parser = argparse.ArgumentParser(prog="python -m smd_cli.workshop.judge.train", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/judge"), help="checkpoints, logs, weights")
    folder = parser.parse_args().folder
    course = Course()
    judge = learn(lessons(folder / "lessons.safetensors", LEARN_SEED, course.crops), course, folder)
    marks = examine(judge, lessons(folder / "exam.safetensors", EXAM_SEED, course.exam))
    save_file(
        {name: tensor.half().contiguous() for name, tensor in judge.state_dict().items()},
        folder / WEIGHTS.name,
    )
    sys.stdout.write(json.dumps({"exam": course.exam, "right": marks}, indent=2) + "\n")


if __name__ == "__main__":
    main()
