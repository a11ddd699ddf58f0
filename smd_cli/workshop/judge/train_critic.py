"""Train and test the critic: `python -m smd_cli.workshop.judge.train_critic --folder runs/critic`."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from smd_cli.workshop.judge.augment import distort
from smd_cli.workshop.judge.course import Course, Data
from smd_cli.workshop.judge.critic import WEIGHTS, Critic
from smd_cli.workshop.judge.hints import index_of
from smd_cli.workshop.judge.network import to_tensor
from smd_cli.workshop.judge.pairs import FLAWS, draw_pair
from smd_cli.workshop.train.config import Budget
from smd_cli.workshop.train.drawing import draw_many


def draw_pairs(seeds: Sequence[int]) -> Data:
    """Draw a pair for each of N seeds.

    "crops" (N, 2, 64, 64, 3) uint8, the proper one first; "backgrounds" (N,), "rows" (N, 2) and "flaws" (N,).
    """
    drawn = list(draw_many(seeds, draw_pair))
    crops = np.stack([np.stack([np.asarray(pair.proper), np.asarray(pair.flawed)]) for pair in drawn])
    return {
        "crops": torch.from_numpy(crops),
        "backgrounds": torch.tensor([index_of(pair.background) for pair in drawn]),
        "rows": torch.tensor([pair.rows for pair in drawn]),
        "flaws": torch.tensor([list(FLAWS).index(pair.flaw) for pair in drawn]),
    }


def score_pairs(critic: Critic, data: Data, rng: torch.Generator) -> Tensor:
    """Return the scores (N, 2) of pairs, each crop distorted by itself."""
    pixels = to_tensor(data["crops"].flatten(0, 1).numpy())
    flipped = torch.rand(len(data["crops"]), 1, 1, 1, generator=rng).repeat_interleave(2, 0) < 0.5
    pixels = distort(torch.where(flipped, pixels.flip(3), pixels), rng)
    pixels = pixels * (1 + 0.03 * torch.randn(len(pixels), 3, 1, 1, generator=rng))
    places = [data[name].repeat_interleave(2, 0) for name in ("backgrounds", "rows")]
    scores: Tensor = critic(pixels, *places).float()
    return scores.view(-1, 2)


def loss(critic: Critic, data: Data, rng: torch.Generator) -> Tensor:
    """Let proper crops beat flawed ones, of the same scene and of another one.

    The loss is that of Bradley and Terry's model (Biometrika 39, 1952).
    """
    proper, flawed = score_pairs(critic, data, rng).unbind(1)
    return (F.softplus(flawed - proper) + F.softplus(flawed.roll(1) - proper)).mean()


@torch.inference_mode()
def evaluate(critic: Critic, data: Data) -> dict[str, float]:
    """Return for each flaw the share of pairs whose proper crop has the higher score."""
    rng = torch.Generator().manual_seed(0)
    parts = [
        {name: tensor[rows] for name, tensor in data.items()}
        for rows in torch.arange(len(data["crops"])).chunk(10)
    ]
    scores = torch.cat([score_pairs(critic, part, rng) for part in parts])
    right = scores[:, 0] > scores[:, 1]
    return {name: float(right[data["flaws"] == i].float().mean()) for i, name in enumerate(FLAWS)}


COURSE = Course(
    network=Critic,
    weights=WEIGHTS,
    seeds=(72_000_000, 92_000_000),
    lessons=5000,
    exam=500,
    budget=Budget(1000, 48, 2e-3),
    average=0.995,
    draw=draw_pairs,
    loss=loss,
    evaluate=evaluate,
)


if __name__ == "__main__":
    COURSE.main("smd_cli.workshop.judge.train_critic", __doc__, "runs/critic")
