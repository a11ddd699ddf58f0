"""Guidance: what is asked of the model, and how its answers are combined."""

import pytest
import torch
from torch import Tensor

from smd_cli.core.guidance import Guidance, guided

LATENTS, TIMESTEPS = torch.zeros(3, 4, 2, 2), torch.tensor([999, 759, 259])
POSITIVE, NEGATIVE = torch.tensor([0, 1, 0]), torch.tensor([2, 3, 2])


class Echo:
    """Answers with ten times the timestep plus the prompt's row, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, latents: Tensor, timesteps: Tensor, prompts: Tensor) -> Tensor:
        self.asked.append(prompts.tolist())
        return (10.0 * timesteps + prompts).view(-1, 1, 1, 1).expand_as(latents)


@pytest.mark.parametrize("guidance", [Guidance("none", 7.5), Guidance("full", 1.0)])
def test_without_guidance_negatives_are_not_evaluated(guidance: Guidance) -> None:
    model = Echo()
    prediction = guided(model, guidance, LATENTS, TIMESTEPS, (POSITIVE, NEGATIVE))
    assert model.asked == [[0, 1, 0]]
    assert guidance.rows_per_view == 1
    assert prediction[:, 0, 0, 0].tolist() == [9990, 7591, 2590]


def test_full_guidance_goes_past_the_positive_away_from_the_negative() -> None:
    model, guidance = Echo(), Guidance("full", 3.0)
    prediction = guided(model, guidance, LATENTS, TIMESTEPS, (POSITIVE, NEGATIVE))
    assert model.asked == [[0, 1, 0, 2, 3, 2]]
    assert guidance.rows_per_view == 2
    assert prediction[:, 0, 0, 0].tolist() == [9992 - 6, 7593 - 6, 2592 - 6]
