"""The judge's network: a small convolutional trunk, a feature vector, and a linear head for each question."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from smd_cli.workshop.judge.crops import SIDE, pixels_of
from smd_cli.workshop.judge.labels import QUESTIONS, Answers
from smd_cli.workshop.judge.weights import load_weights

WEIGHTS = Path(__file__).with_name("judge.safetensors")
FEATURES = 96
WIDTHS = (32, 64, 96, 128)
BATCH = 256


class Block(nn.Module):
    """A strided convolution that halves the resolution, then a residual one."""

    def __init__(self, inputs: int, width: int, groups: int = 8) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, width, 3, stride=2, padding=1)
        self.refine = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.GroupNorm(groups, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, width, h/2, w/2)."""
        x = F.silu(self.down(x))
        refined: Tensor = x + F.silu(self.norm(self.refine(x)))
        return refined


class Judge(nn.Module):
    """A classifier that answers every question about crops (N, 3, 64, 64) in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *WIDTHS[:-1])
        self.trunk = nn.Sequential(*(Block(i, width) for i, width in zip(inputs, WIDTHS, strict=True)))
        side = SIDE // 2 ** len(WIDTHS)
        self.squeeze = nn.Linear(WIDTHS[-1] * side * side, FEATURES)
        self.heads = nn.ModuleDict({name: nn.Linear(FEATURES, len(q)) for name, q in QUESTIONS.items()})

    def features(self, pixels: Tensor) -> Tensor:
        """Return the features (N, FEATURES) that the heads read, and that pictures are compared by."""
        return F.silu(self.squeeze(self.trunk(pixels).flatten(1)))

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return the logits (N, answers) of each question."""
        features = self.features(pixels)
        return {name: head(features) for name, head in self.heads.items()}


@dataclass(frozen=True)
class Verdict:
    """The judge's output for N crops: for each an answer to every question, and features (N, FEATURES)."""

    answers: tuple[Answers, ...]
    features: np.ndarray


def to_tensor(images: np.ndarray) -> Tensor:
    """Convert crops (N, 64, 64, 3) uint8 to (N, 3, 64, 64) float32 in [-1, 1]."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


def load_judge(path: Path = WEIGHTS) -> Judge:
    """Load the judge, with the published weights if no others are named."""
    return load_weights(Judge(), path)


@torch.inference_mode()
def judge_crops(judge: Judge, crops: list[Image.Image]) -> Verdict:
    """Answer every question about square crops of any size."""
    small = pixels_of([crop.resize((SIDE, SIDE), Image.Resampling.BOX) for crop in crops])
    answers: list[Answers] = []
    features = []
    for start in range(0, len(small), BATCH):
        found = judge.features(to_tensor(small[start : start + BATCH]))
        features.append(found.numpy())
        chosen = {name: head(found).argmax(1).tolist() for name, head in judge.heads.items()}
        answers += [
            {name: QUESTIONS[name][picks[row]] for name, picks in chosen.items()} for row in range(len(found))
        ]
    return Verdict(tuple(answers), np.concatenate(features))
