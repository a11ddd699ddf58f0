"""Courses: how the networks that look at pictures are taught on drawings, and tested on others."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from smd_cli.media.files import replacing
from smd_cli.workshop.judge.weights import save_weights
from smd_cli.workshop.train.config import Budget
from smd_cli.workshop.train.loop import MovingAverage, train

Network = TypeVar("Network", bound=nn.Module)
Data = dict[str, Tensor]
"""Drawn examples and their answers, each (N, ...)."""


@dataclass(frozen=True)
class Course(Generic[Network]):
    """How a network is taught and tested.

    Attributes:
        network: makes an untaught one.
        weights: where its published weights are.
        seeds: the first of the lessons, and of the exam.
        lessons: the number of examples to learn from.
        exam: the number of those to be tested on.
        budget: of the training.
        average: the decay of the moving average of the parameters.
        draw: draws the examples of seeds.
        loss: of a network at a batch of examples, distorted by what a generator draws.
        evaluate: tells how often a network is right, by name.
    """

    network: Callable[[], Network]
    weights: Path
    seeds: tuple[int, int]
    lessons: int
    exam: int
    budget: Budget
    average: float
    draw: Callable[[Sequence[int]], Data]
    loss: Callable[[Network, Data, torch.Generator], Tensor]
    evaluate: Callable[[Network, Data], dict[str, float]]

    def examples(self, path: Path, first_seed: int, count: int) -> Data:
        """Return examples: from `path`, or drawn and stored there."""
        if path.exists():
            stored: Data = load_file(path)
            return stored
        drawn = self.draw(range(first_seed, first_seed + count))
        with replacing(path) as temporary:
            save_file(drawn, temporary)
        return drawn

    def teach(self, data: Data, folder: Path) -> Network:
        """Train (or resume) a network on examples."""
        torch.manual_seed(0)
        count = len(next(iter(data.values())))

        def loss(module: Network, step: int) -> Tensor:
            rng = torch.Generator().manual_seed(step)
            rows = torch.randint(count, (self.budget.batch,), generator=rng)
            return self.loss(module, {name: tensor[rows] for name, tensor in data.items()}, rng)

        network = self.network()
        average = MovingAverage(network, self.average)
        return train(network, loss, budget=self.budget, folder=folder, average=average)

    def run(self, folder: Path) -> dict[str, float]:
        """Teach and test a network, and write its weights; all in a folder. Return how often it is right."""
        of_lessons, of_exam = self.seeds
        lessons = self.examples(folder / "lessons.safetensors", of_lessons, self.lessons)
        network = self.teach(lessons, folder)
        save_weights(network, folder / self.weights.name)
        return self.evaluate(network, self.examples(folder / "exam.safetensors", of_exam, self.exam))

    def main(self, module: str, doc: str | None, folder: str) -> None:
        """Run it as the command line of a module asks for, and print how often the network is right."""
        parser = argparse.ArgumentParser(prog=f"python -m {module}", description=doc)
        parser.add_argument("--folder", type=Path, default=Path(folder), help="checkpoints, logs, weights")
        right = self.run(parser.parse_args().folder)
        sys.stdout.write(json.dumps({"exam": self.exam, "right": right}, indent=2) + "\n")
