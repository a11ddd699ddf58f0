"""The networks that a picture is scored by, loaded together."""

from dataclasses import dataclass

from smd_cli.workshop.judge.critic import Critic, load_critic
from smd_cli.workshop.judge.network import Judge, load_judge
from smd_cli.workshop.judge.segmenter import Segmenter, load_segmenter


@dataclass(frozen=True)
class Jury:
    """What names things, what tells them from ground and from neither, and what tells drawn from flawed."""

    judge: Judge
    segmenter: Segmenter
    critic: Critic


def load_jury() -> Jury:
    """Load every network's published weights."""
    return Jury(load_judge(), load_segmenter(), load_critic())
