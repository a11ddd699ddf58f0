"""Train and test the critic: `python -m smd_cli.workshop.judge.train_critic --folder runs/critic`."""

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
from smd_cli.workshop.judge.critic import WEIGHTS, Critic
from smd_cli.workshop.judge.hints import index_of
from smd_cli.workshop.judge.network import to_tensor
from smd_cli.workshop.judge.pairs import FLAWS, draw_pair
from smd_cli.workshop.train.config import Budget
from smd_cli.workshop.train.drawing import draw_many
from smd_cli.workshop.train.loop import MovingAverage, train

TRAIN_SEED, TEST_SEED = 72_000_000, 92_000_000
AVERAGE = 0.995


@dataclass(frozen=True)
class CriticTraining:
    """The size of the critic's training: pairs to train on, pairs to test on, and the budget."""

    pairs: int = 5000
    test_pairs: int = 500
    budget: Budget = Budget(1000, 48, 2e-3)  # noqa: RUF009 - frozen


def labelled_pairs(path: Path, first_seed: int, count: int) -> dict[str, Tensor]:
    """Return pairs from `path`, or drawn and stored there.

    "crops" (N, 2, 64, 64, 3) uint8, the proper one first; "backgrounds" (N,), "rows" (N, 2) and "flaws" (N,).
    """
    if path.exists():
        data: dict[str, Tensor] = load_file(path)
        return data
    drawn = list(draw_many(range(first_seed, first_seed + count), draw_pair))
    crops = np.stack([np.stack([np.asarray(pair.proper), np.asarray(pair.flawed)]) for pair in drawn])
    data = {
        "crops": torch.from_numpy(crops),
        "backgrounds": torch.tensor([index_of(pair.background) for pair in drawn]),
        "rows": torch.tensor([pair.rows for pair in drawn]),
        "flaws": torch.tensor([list(FLAWS).index(pair.flaw) for pair in drawn]),
    }
    with replacing(path) as temporary:
        save_file(data, temporary)
    return data


def score_pairs(critic: Critic, data: dict[str, Tensor], rows: Tensor, rng: torch.Generator) -> Tensor:
    """Return the scores (N, 2) of these pairs, each crop distorted by itself."""
    pixels = to_tensor(data["crops"][rows].flatten(0, 1).numpy())
    flipped = torch.rand(len(rows), 1, 1, 1, generator=rng).repeat_interleave(2, 0) < 0.5
    pixels = distort(torch.where(flipped, pixels.flip(3), pixels), rng)
    pixels = pixels * (1 + 0.03 * torch.randn(len(pixels), 3, 1, 1, generator=rng))
    places = [data[name][rows].repeat_interleave(2, 0) for name in ("backgrounds", "rows")]
    scores: Tensor = critic(pixels, *places).float()
    return scores.view(-1, 2)


def train_critic(data: dict[str, Tensor], training: CriticTraining, folder: Path) -> Critic:
    """Train (or resume) the critic: proper crops beat flawed ones, of the same scene and of another one.

    The loss is that of Bradley and Terry's model (Biometrika 39, 1952).
    """
    torch.manual_seed(0)

    def loss(module: Critic, step: int) -> Tensor:
        rng = torch.Generator().manual_seed(step)
        rows = torch.randint(len(data["crops"]), (training.budget.batch,), generator=rng)
        proper, flawed = score_pairs(module, data, rows, rng).unbind(1)
        return (F.softplus(flawed - proper) + F.softplus(flawed.roll(1) - proper)).mean()

    critic = Critic()
    average = MovingAverage(critic, AVERAGE)
    return train(critic, loss, budget=training.budget, folder=folder, average=average)


@torch.inference_mode()
def evaluate(critic: Critic, data: dict[str, Tensor]) -> dict[str, float]:
    """Return for each flaw the share of pairs whose proper crop has the higher score."""
    rows = torch.arange(len(data["crops"]))
    rng = torch.Generator().manual_seed(0)
    scores = torch.cat([score_pairs(critic, data, part, rng) for part in rows.chunk(10)])
    right = scores[:, 0] > scores[:, 1]
    return {name: float(right[data["flaws"] == i].float().mean()) for i, name in enumerate(FLAWS)}


def main() -> None:
    """Train and test the critic, write its weights, and print how often it is right."""
    parser = argparse.ArgumentParser(
        prog="python -m smd_cli.workshop.judge.train_critic", description=__doc__
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/critic"), help="checkpoints, logs, weights")
    folder = parser.parse_args().folder
    training = CriticTraining()
    lessons = labelled_pairs(folder / "lessons.safetensors", TRAIN_SEED, training.pairs)
    critic = train_critic(lessons, training, folder)
    exam = labelled_pairs(folder / "exam.safetensors", TEST_SEED, training.test_pairs)
    weights = {name: tensor.half().contiguous() for name, tensor in critic.state_dict().items()}
    save_file(weights, folder / WEIGHTS.name)
    sys.stdout.write(
        json.dumps({"exam": training.test_pairs, "right": evaluate(critic, exam)}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
