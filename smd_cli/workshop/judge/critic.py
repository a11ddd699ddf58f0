"""The critic: which of two crops of a scene's region is the properly drawn one.

It gives a crop a score, and was taught by pairs alone that a crop without a flaw has the higher one.
"""

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from smd_cli.workshop.judge.hints import HINTS, with_hints
from smd_cli.workshop.judge.network import Block
from smd_cli.workshop.judge.weights import load_weights

WEIGHTS = Path(__file__).with_name("critic.safetensors")
SIDE = 64
WIDTHS = (12, 24, 32, 48)
HIDDEN = 16


class Critic(nn.Module):
    """A small convolutional network with one output."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (3 + HINTS, *WIDTHS[:-1])
        self.trunk = nn.Sequential(*(Block(i, width, 4) for i, width in zip(inputs, WIDTHS, strict=True)))
        side = SIDE // 2 ** len(WIDTHS)
        self.squeeze = nn.Linear(WIDTHS[-1] * side * side, HIDDEN)
        self.head = nn.Linear(HIDDEN, 1)

    def forward(self, pixels: Tensor, backgrounds: Tensor, rows: Tensor) -> Tensor:
        """Return the scores (N,) of crops (N, 3, 64, 64) in [-1, 1].

        `backgrounds` (N,) are the asked ones, `rows` (N, 2) the heights of the crops' top and bottom.
        """
        found = self.trunk(with_hints(pixels, backgrounds, rows)).flatten(1)
        score: Tensor = self.head(F.silu(self.squeeze(found)))
        return score[:, 0]


def load_critic(path: Path = WEIGHTS) -> Critic:
    """Load the critic, with the published weights if no others are named."""
    return load_weights(Critic(), path)
