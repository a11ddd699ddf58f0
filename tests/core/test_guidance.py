"""Guidance: what is asked of the model, and how its answers are combined."""

import pytest
import torch
from torch import Tensor

from smd_cli.core.guidance import Guidance, Inputs, ModelInput, guided
from smd_cli.core.tiling import Box

LATENTS, TIMESTEPS = torch.zeros(3, 4, 2, 2), torch.tensor([999, 759, 259])
RESIDUAL = torch.tensor([100.0, 200.0, 300.0]).view(3, 1, 1, 1).expand(3, 4, 2, 2)


class Echo:
    """Answers with ten times the timestep plus the prompt's row, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, asked: ModelInput) -> Tensor:
        self.asked.append(asked.prompts.tolist())
        return (10.0 * asked.timesteps + asked.prompts).view(-1, 1, 1, 1).expand_as(asked.latents)


def inputs(guidance: Guidance) -> Inputs:
    """Three views at steps 0, 1 and 2 under positive prompts 0, 1, 0 and negative ones 2, 3, 2."""
    return Inputs(
        views=ModelInput(
            latents=LATENTS,
            timesteps=TIMESTEPS,
            end_timesteps=torch.zeros_like(TIMESTEPS),
            prompts=torch.tensor([0, 1, 0]),
            boxes=(Box(0, 2, 0, 2),) * 3,
            canvas=(2, 2),
        ),
        negative=torch.tensor([2, 3, 2]),
        residual=RESIDUAL if guidance.carries_residual else None,
        negated=[step for step in range(3) if guidance.asks_negative(step)],
    )


def values(x: Tensor | None) -> list[float]:
    assert x is not None
    assert torch.equal(x, x[:, :1, :1, :1].expand_as(x))
    return x[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    "guidance",
    [Guidance("none", 7.5), Guidance("full", 1.0), Guidance("self", 1.0), Guidance("initialize", 1.0)],
)
def test_without_guidance_negatives_are_not_evaluated(guidance: Guidance) -> None:
    model = Echo()
    prediction, residual = guided(model, guidance, inputs(guidance))
    assert model.asked == [[0, 1, 0]]
    assert [guidance.rows_per_view(step) for step in range(3)] == [1, 1, 1]
    assert values(prediction) == [9990, 7591, 2590]
    assert residual is None


def test_full_guidance_goes_past_the_positive_away_from_the_negative() -> None:
    model, guidance = Echo(), Guidance("full", 3.0)
    prediction, residual = guided(model, guidance, inputs(guidance))
    assert model.asked == [[0, 1, 0, 2, 3, 2]]
    assert [guidance.rows_per_view(step) for step in range(3)] == [2, 2, 2]
    assert values(prediction) == [9992 - 6, 7593 - 6, 2592 - 6]
    assert residual is None


def test_self_guidance_goes_away_from_the_residual_noise_and_evaluates_no_negative() -> None:
    model, guidance = Echo(), Guidance("self", 3.0, delta=0.5)
    prediction, residual = guided(model, guidance, inputs(guidance))
    assert model.asked == [[0, 1, 0]]
    assert [guidance.rows_per_view(step) for step in range(3)] == [1, 1, 1]
    assert values(prediction) == [3 * 9990 - 2 * 50, 3 * 7591 - 2 * 100, 3 * 2590 - 2 * 150]
    assert values(residual) == [100, 200, 300]


def test_initializing_guidance_evaluates_the_negative_at_the_first_step_alone() -> None:
    model, guidance = Echo(), Guidance("initialize", 3.0, delta=0.5)
    prediction, residual = guided(model, guidance, inputs(guidance))
    assert model.asked == [[0, 1, 0, 2]]
    assert [guidance.rows_per_view(step) for step in range(3)] == [2, 1, 1]
    assert values(residual) == [9992, 200, 300]
    assert values(prediction) == [3 * 9990 - 9992, 3 * 7591 - 2 * 100, 3 * 2590 - 2 * 150]
    assert values(RESIDUAL) == [100, 200, 300]


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_rescaled_guidance_has_that_much_of_the_unguided_spread(share: float) -> None:
    """Each view by its own, over all channels and pixels: the published formula, written out."""
    draws = torch.randn(5, 4, 2, 2, generator=torch.Generator().manual_seed(3))

    def model(asked: ModelInput) -> Tensor:
        return draws[: len(asked)] if len(asked) == 3 else draws[[0, 1, 2, 3, 4, 3]]

    guidance = Guidance("full", 3.0, rescale=share)
    found, _ = guided(model, guidance, inputs(guidance))
    for row, (toward, away) in enumerate(zip(draws[:3], draws[[3, 4, 3]], strict=True)):
        plain = away + 3.0 * (toward - away)
        expected = share * plain * toward.std() / plain.std() + (1 - share) * plain
        torch.testing.assert_close(found[row], expected)
