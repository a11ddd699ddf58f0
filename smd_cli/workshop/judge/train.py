"""Train and test the judge: `python -m smd_cli.workshop.judge.train --folder runs/judge`."""

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
from smd_cli.workshop.judge.augment import distort
from smd_cli.workshop.judge.crops import Crop, draw_crop, draw_picture_crop, pixels_of
from smd_cli.workshop.judge.labels import QUESTIONS, UNASKED, indices_of
from smd_cli.workshop.judge.network import WEIGHTS, Judge, to_tensor
from smd_cli.workshop.train.config import Budget
from smd_cli.workshop.train.drawing import draw_many
from smd_cli.workshop.train.loop import MovingAverage, train

TRAIN_SEED, TEST_SEED = 70_000_000, 90_000_000
WHOLE_PICTURES = 4  # every fourth crop is a whole picture
AVERAGE = 0.998
SHIFT = 4  # px


@dataclass(frozen=True)
class JudgeTraining:
    """The size of the judge's training: crops to train on, crops to test on, and the budget."""

    crops: int = 40_000
    test_crops: int = 4_000
    budget: Budget = Budget(5000, 96, 2e-3)  # noqa: RUF009 - frozen


def draw_one(seed: int) -> Crop:
    """Draw the labelled crop of a seed: every fourth one is a whole picture."""
    return draw_picture_crop(seed) if seed % WHOLE_PICTURES == 0 else draw_crop(seed)


def labelled_crops(path: Path, first_seed: int, count: int) -> dict[str, Tensor]:
    """Return {"crops" (N, 64, 64, 3) uint8, "answers" (N, questions)}: from `path`, or drawn and stored."""
    if path.exists():
        data: dict[str, Tensor] = load_file(path)
        return data
    crops, answers = [], []
    for crop in draw_many(range(first_seed, first_seed + count), draw_one):
        crops.append(crop.image)
        answers.append(indices_of(crop.answers))
    data = {"crops": torch.from_numpy(pixels_of(crops)), "answers": torch.tensor(answers)}
    with replacing(path) as temporary:
        save_file(data, temporary)
    return data


def train_judge(data: dict[str, Tensor], training: JudgeTraining, folder: Path) -> Judge:
    """Train (or resume) the judge on all questions at once; crops are augmented."""
    torch.manual_seed(0)
    judge = Judge()

    def loss(module: Judge, step: int) -> Tensor:
        rng = torch.Generator().manual_seed(step)
        rows = torch.randint(len(data["answers"]), (training.budget.batch,), generator=rng)
        pixels = to_tensor(data["crops"][rows].numpy())
        flipped = torch.rand(len(rows), 1, 1, 1, generator=rng) < 0.5
        tint = 1 + 0.06 * torch.randn(len(rows), 3, 1, 1, generator=rng)
        pixels = _shifted(torch.where(flipped, pixels.flip(3), pixels), rng)
        pixels = distort(pixels, rng) * tint
        answers = data["answers"][rows]
        losses = [
            F.cross_entropy(logits.float(), answers[:, column], ignore_index=UNASKED)
            for column, logits in enumerate(module(pixels).values())
        ]
        return torch.stack(losses).sum()

    average = MovingAverage(judge, AVERAGE)
    return train(judge, loss, budget=training.budget, folder=folder, average=average)


def _shifted(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Shift a batch (N, 3, s, s) by up to `SHIFT` px in each direction; edges are replicated."""
    x, y = torch.randint(2 * SHIFT + 1, (2,), generator=rng).tolist()
    side = pixels.shape[-1]
    return F.pad(pixels, (SHIFT,) * 4, mode="replicate")[..., y : y + side, x : x + side]


@torch.inference_mode()
def evaluate(judge: Judge, data: dict[str, Tensor]) -> dict[str, float]:
    """Return the accuracy on each question, counting only crops that have an answer to it."""
    chosen = torch.stack([logits.argmax(1) for logits in _in_batches(judge, data["crops"].numpy())], dim=1)
    asked = data["answers"] != UNASKED
    right = (chosen == data["answers"]) & asked
    return {name: float(right[:, i].sum() / asked[:, i].sum()) for i, name in enumerate(QUESTIONS)}


def _in_batches(judge: Judge, crops: np.ndarray) -> Sequence[Tensor]:
    parts = [judge(to_tensor(crops[start : start + 256])) for start in range(0, len(crops), 256)]
    return [torch.cat([part[name] for part in parts]) for name in QUESTIONS]


def main() -> None:
    """Train and test the judge, write its weights, and print its accuracy."""
    parser = argparse.ArgumentParser(prog="python -m smd_cli.workshop.judge.train", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/judge"), help="checkpoints, logs, weights")
    folder = parser.parse_args().folder
    training = JudgeTraining()
    judge = train_judge(
        labelled_crops(folder / "lessons.safetensors", TRAIN_SEED, training.crops), training, folder
    )
    accuracy = evaluate(judge, labelled_crops(folder / "exam.safetensors", TEST_SEED, training.test_crops))
    save_file(
        {name: tensor.half().contiguous() for name, tensor in judge.state_dict().items()},
        folder / WEIGHTS.name,
    )
    sys.stdout.write(json.dumps({"exam": training.test_crops, "right": accuracy}, indent=2) + "\n")


if __name__ == "__main__":
    main()
