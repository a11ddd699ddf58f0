"""The model as the core sees it, and classifier-free guidance around it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor


class Predict(Protocol):
    """One evaluation of the model for N independent rows."""

    def __call__(self, latents: Tensor, timesteps: Tensor, prompts: Tensor) -> Tensor:
        """Predict for latents (N, C, h, w) at timesteps (N,) under prompts (N,); return (N, C, h, w).

        `prompts` are rows of a conditioning table: 0..P-1 the regions' positives in order, P..2P-1 their
        negatives.
        """
        ...


@dataclass(frozen=True)
class Guidance:
    """How far predictions are pushed away from the negative prompt (Ho and Salimans, arXiv 2207.12598).

    `full` evaluates the negative at every step. Residual guidance (Kodaira et al., arXiv 2312.12491, section
    3.2) puts the virtual residual noise of a row in its place, `delta` times: `self` starts from the noise
    that the row began with, `initialize` from the negative's prediction at the first step.
    """

    kind: Literal["none", "full", "self", "initialize"] = "none"
    scale: float = 1.0
    delta: float = 1.0

    @property
    def is_off(self) -> bool:
        """Tell whether the negative has no say; a scale of 1 cancels it."""
        return self.kind == "none" or self.scale == 1

    @property
    def carries_residual(self) -> bool:
        """Tell whether rows bring their virtual residual noise along."""
        return self.kind in ("self", "initialize") and not self.is_off

    def asks_negative(self, step: int) -> bool:
        """Tell whether the negative is evaluated at a step."""
        return not self.is_off and (self.kind == "full" or (self.kind == "initialize" and step == 0))

    def rows_per_view(self, step: int) -> int:
        """Model rows that one view takes at a step."""
        return 2 if self.asks_negative(step) else 1


class Inputs(NamedTuple):
    """What the model is asked for N views.

    `latents` and `residual` (N, C, h, w), the noise that is thought to be in them; `timesteps`, and the rows
    of the `positive` and `negative` prompts, (N,); `negated` lists the views whose negative is evaluated.
    """

    latents: Tensor
    residual: Tensor | None
    timesteps: Tensor
    positive: Tensor
    negative: Tensor
    negated: list[int]


def guided(predict: Predict, guidance: Guidance, inputs: Inputs) -> tuple[Tensor, Tensor | None]:
    """Predict for N views; return the guided predictions and the residual noise, (N, C, h, w) each."""
    toward, negative = _predictions(predict, inputs)
    if guidance.is_off:
        return toward, None
    away, residual = negative, None
    if inputs.residual is not None:
        residual = inputs.residual.clone()
        residual[inputs.negated] = negative.float()
        away = guidance.delta * residual
    return away + guidance.scale * (toward - away), residual


def _predictions(predict: Predict, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Evaluate all positives, and those negatives that are asked for."""
    if not inputs.negated:
        toward = predict(inputs.latents, inputs.timesteps, inputs.positive)
        return toward, toward[:0]
    views, negated = len(inputs.latents), inputs.negated
    both = predict(
        torch.cat([inputs.latents, inputs.latents[negated]]),
        torch.cat([inputs.timesteps, inputs.timesteps[negated]]),
        torch.cat([inputs.positive, inputs.negative[negated]]),
    )
    return both[:views], both[views:]
