"""The model as the core sees it, and classifier-free guidance around it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from smd_cli.core.coupling import Coupling
from smd_cli.core.tiling import Box


@dataclass(frozen=True)
class ModelInput:
    """What the model is asked about N independent rows, under M prompts.

    Attributes:
        latents: (N, C, h, w), each as its model sees it.
        timesteps: (N,), the time of each row: a training timestep, or a real number for flow models.
        end_timesteps: (N,), the time at which the estimates of their steps stand, 0 for clean ones.
        prompts: (M,), rows of a conditioning table: 0..P-1 the regions' positives in order, P..2P-1 their
            negatives. They follow the order of the rows.
        boxes: N tiles, where the rows lie on the canvas, in latent pixels.
        canvas: (height, width) of the canvas in latent pixels.
        coupling: which row has which prompts; None: each has one, and M is N.
    """

    latents: Tensor
    timesteps: Tensor
    end_timesteps: Tensor
    prompts: Tensor
    boxes: tuple[Box, ...]
    canvas: tuple[int, int]
    coupling: Coupling | None = None

    def __len__(self) -> int:
        """Return the number of rows N."""
        return len(self.boxes)

    def pairs(self, places: Sequence[int]) -> list[int]:
        """Return the places of the prompts of some of the rows."""
        return list(places) if self.coupling is None else self.coupling.pairs(places)

    def mean_of(self, vectors: Tensor | None) -> Tensor | None:
        """Return a vector for each row (N, D) of one for each prompt (M, D): their mean, by shares."""
        return vectors if self.coupling is None or vectors is None else self.coupling.mean(vectors)

    def at(self, places: Sequence[int]) -> "ModelInput":
        """Return some of the rows."""
        index, pairs = list(places), self.pairs(places)
        return ModelInput(
            self.latents[index],
            self.timesteps[index],
            self.end_timesteps[index],
            self.prompts[pairs],
            tuple(self.boxes[place] for place in index),
            self.canvas,
            None if len(pairs) == len(index) or self.coupling is None else self.coupling.at(index),
        )

    def append(self, others: "ModelInput") -> "ModelInput":
        """Return these rows followed by others of the same canvas."""
        coupling = None
        if self.coupling or others.coupling:
            coupling = self._coupled().append(others._coupled())
        return ModelInput(
            torch.cat([self.latents, others.latents]),
            torch.cat([self.timesteps, others.timesteps]),
            torch.cat([self.end_timesteps, others.end_timesteps]),
            torch.cat([self.prompts, others.prompts]),
            self.boxes + others.boxes,
            self.canvas,
            coupling,
        )

    def _coupled(self) -> Coupling:
        return self.coupling or Coupling.single(len(self), self.latents)


class Predict(Protocol):
    """One evaluation of the model."""

    def __call__(self, asked: ModelInput) -> Tensor:
        """Return the prediction for each row, (N, C, h, w)."""
        ...


@dataclass(frozen=True)
class Guidance:
    """How far predictions are pushed away from the negative prompt (Ho and Salimans, arXiv 2207.12598).

    `full` evaluates the negative at every step. Residual guidance (Kodaira et al., arXiv 2312.12491, section
    3.2) puts the virtual residual noise of a row in its place, `delta` times: `self` starts from the noise
    that the row began with, `initialize` from the negative's prediction at the first step.

    `rescale` takes guided predictions that far back to the spread of the unguided ones (Lin et al., arXiv
    2305.08891, section 3.4), 0 not at all.
    """

    kind: Literal["none", "full", "self", "initialize"] = "none"
    scale: float = 1.0
    delta: float = 1.0
    rescale: float = 0.0

    @property
    def is_off(self) -> bool:
        """Tell whether the negative has no effect; a scale of 1 cancels it."""
        return self.kind == "none" or self.scale == 1

    @property
    def carries_residual(self) -> bool:
        """Tell whether rows carry their virtual residual noise from step to step."""
        return self.kind in ("self", "initialize") and not self.is_off

    def asks_negative(self, step: int) -> bool:
        """Tell whether the negative is evaluated at a step."""
        return not self.is_off and (self.kind == "full" or (self.kind == "initialize" and step == 0))

    def rows_per_view(self, step: int) -> int:
        """Return the number of model rows that one view takes at a step."""
        return 2 if self.asks_negative(step) else 1


class Inputs(NamedTuple):
    """What is asked about N views.

    `views` asks for the positive prompts; `negative` (M,) are the rows of the negative ones; `residual`
    (N, C, h, w) is the noise that is thought to be in the latents, with residual guidance; `negated` lists
    the views whose negative is evaluated.
    """

    views: ModelInput
    negative: Tensor
    residual: Tensor | None
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
    prediction = away + guidance.scale * (toward - away)
    if guidance.rescale:
        prediction = torch.lerp(
            prediction, prediction * (_spread(toward) / _spread(prediction)), guidance.rescale
        )
    return prediction, residual


def _spread(prediction: Tensor) -> Tensor:
    """Return the standard deviation of each row (N, C, h, w), (N, 1, 1, 1)."""
    return prediction.std(dim=(1, 2, 3), keepdim=True)


def _predictions(predict: Predict, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Evaluate all positives, and the negatives that are asked for."""
    positive, negated = inputs.views, inputs.negated
    if not negated:
        toward = predict(positive)
        return toward, toward[:0]
    negative = replace(positive, prompts=inputs.negative).at(negated)
    both = predict(positive.append(negative))
    return both[: len(positive)], both[len(positive) :]
