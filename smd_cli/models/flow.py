"""What families of flow matching have in common, as far as configs tell. Knows no torch by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import exp, log
from typing import TYPE_CHECKING

from smd_cli.errors import AssetError
from smd_cli.models.allowed import FLAG, NULL, OFF, KnownKeys, either, real, whole, word
from smd_cli.models.configs import CONFIG, SCHEDULER_CONFIG, Config, ModelConfigs, read_json
from smd_cli.models.facts import ModelFacts

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from smd_cli.core.flow import FlowSchedules
    from smd_cli.core.samplers import SamplerSteps

TRANSFORMER = "transformer"
"""The component that predicts."""

NATIVE_SIZE = 1024
"""Side of the pictures that models were trained on, px, where the autoencoder's config does not say it."""

SCHEDULER = "FlowMatchEulerDiscreteScheduler"

TOKENS = (256, 4096)
"""Between which numbers of tokens dynamic shifts are drawn as a line, where no config says it."""

SHIFTS = (0.01, 1e100)
"""Between which shifts sigmas are still numbers that tell one from another, or at least from 0."""

MOST_TOKENS = 2**20
"""Of the largest canvas."""


def sequence_elements(widths: int, tokens: int, prompts: int, of_prompt: int) -> int:
    """Estimate how many numbers one evaluation holds whose sequence has tokens of a picture and of prompts.

    `widths` are those of one token at the peak, `of_prompt` the tokens of one prompt. Several prompts take a
    bias from each token to each besides.
    """
    length = tokens + prompts * of_prompt
    return widths * length + (length**2 if prompts > 1 else 0)


def _rises(config: Config) -> str:
    fewest, most = config.get("base_image_seq_len", TOKENS[0]), config.get("max_image_seq_len", TOKENS[1])
    return "" if fewest < most else f"base_image_seq_len is {fewest}, not below max_image_seq_len, {most}"


def _is_computable(config: Config) -> str:
    shift = FlowShift.of(config)
    if shift.fixed is not None:
        return ""
    least, most = SHIFTS if shift.is_linear else map(log, SHIFTS)
    ends = {tokens: shift.line(tokens) for tokens in (1, MOST_TOKENS)}
    if all(least <= value <= most for value in ends.values()):
        return ""
    told = " and ".join(f"{value:g} for {tokens:,} tokens" for tokens, value in ends.items())
    return f"base_shift and max_shift make shifts of {told}; from {least:g} to {most:g} are computed with"


FLOW = KnownKeys(
    {
        "num_train_timesteps": whole(1000, 1000),
        "shift": real(SHIFTS[0], 100),
        "use_dynamic_shifting": FLAG,
        "base_shift": real(-10, 10),
        "max_shift": real(-10, 10),
        "base_image_seq_len": whole(1, 2**20),
        "max_image_seq_len": whole(1, 2**20),
        "time_shift_type": word("exponential", "linear"),
        "shift_terminal": NULL,
        "invert_sigmas": OFF,
        "use_karras_sigmas": either(OFF, NULL),
        "use_exponential_sigmas": either(OFF, NULL),
        "use_beta_sigmas": either(OFF, NULL),
    },
    (_rises, _is_computable),
)
"""What the config of a flow-matching scheduler says of its noise levels; the rest is how to sample."""


def check_flow_scheduler(scheduler: Config, path: Path, family: str) -> None:
    """Check that a scheduler's config is a flow-matching one; `path` is where it lies.

    Raises AssetError: it is another's, or a value is none that is allowed.
    """
    name = scheduler.get("_class_name", SCHEDULER)
    if not str(name).startswith("FlowMatch"):
        raise AssetError(
            f"{path}: describes a {name!s:.80}, for models that predict noise; {family} models match flows, "
            f"and theirs is a {SCHEDULER}: the scheduler and the weights belong to different models"
        )
    FLOW.reduce(scheduler, path)


@dataclass(frozen=True)
class FlowShift:
    """How a scheduler shifts sigmas: s v / (1 + (s - 1) v), towards more noise where s is above 1.

    Attributes:
        fixed: s where it does not depend on the picture; else None.
        base: logarithm of s for pictures of `tokens[0]` tokens.
        most: that for pictures of `tokens[1]`; it is linear in between and beyond.
        tokens: those two numbers.
        is_linear: s is that line's value itself, not its exponential.
    """

    fixed: float | None
    base: float = 0.5
    most: float = 1.15
    tokens: tuple[int, int] = TOKENS
    is_linear: bool = False

    @classmethod
    def of(cls, scheduler: Config) -> FlowShift:
        """Read it from a checked config; what that leaves out is as diffusers has it."""
        if not scheduler.get("use_dynamic_shifting", False):
            return cls(scheduler.get("shift", 1.0))
        tokens = scheduler.get("base_image_seq_len", TOKENS[0]), scheduler.get("max_image_seq_len", TOKENS[1])
        base, most = scheduler.get("base_shift", 0.5), scheduler.get("max_shift", 1.15)
        return cls(None, base, most, tokens, scheduler.get("time_shift_type") == "linear")

    def factor(self, tokens: int) -> float:
        """Return s for a picture of so many tokens."""
        if self.fixed is not None:
            return self.fixed
        line = self.line(tokens)
        return line if self.is_linear else exp(line)

    def line(self, tokens: int) -> float:
        """Return the value of the line for a picture of so many tokens."""
        fewest, most = self.tokens
        return self.base + (self.most - self.base) * (tokens - fewest) / (most - fewest)

    def __call__(self, sigmas: Tensor, tokens: int) -> Tensor:
        """Shift sigmas for a picture of so many tokens."""
        factor = self.factor(tokens)
        return factor * sigmas / (1 + (factor - 1) * sigmas)


def even_sigmas(grid: int) -> Tensor:
    """Return the sigmas (grid,) from 1 down to 1 / grid, evenly, float64, which shifts are published for."""
    import torch

    return torch.linspace(1, 1 / grid, grid, dtype=torch.float64)


def flow_schedules(
    configs: Path, facts: ModelFacts, sigmas: Callable[[FlowShift, SamplerSteps], Tensor]
) -> FlowSchedules:
    """Read how a model's noise levels are shifted; `sigmas` makes the grid (grid,) of a sampler's steps.

    Raises AssetError: the scheduler's config cannot be read, or as `check_flow_scheduler`.
    """
    from smd_cli.core.flow import FlowSchedules

    path = configs / SCHEDULER_CONFIG
    scheduler = read_json(path)
    check_flow_scheduler(scheduler, path, facts.family)
    return FlowSchedules(partial(sigmas, FlowShift.of(scheduler)))


def flow_facts(configs: ModelConfigs, family: str, latent_channels: int) -> ModelFacts:
    """Read the facts of a model whose transformer predicts the velocity of latents of so many channels.

    Raises:
        AssetError: the scheduler is another family's, or the transformer is for other latents.
        KeyError: a config lacks a fact.
    """
    transformer, path = configs.denoiser, configs.folder / SCHEDULER_CONFIG
    check_flow_scheduler(configs.scheduler, path, family)
    channels = transformer["in_channels"]
    for key, given in (("in_channels", channels), ("out_channels", transformer.get("out_channels"))):
        if given not in (None, latent_channels):
            raise AssetError(
                f"{configs.folder / TRANSFORMER / CONFIG}: {key} is {given}, but the autoencoder's latents "
                f"have {latent_channels}; the two belong to different models"
            )
    return ModelFacts(
        family=family,
        native_size=configs.picture_side or NATIVE_SIZE,
        downscale=configs.downscale,
        latent_channels=channels,
        prediction_type="flow_prediction",
        prediction_source=str(path),
        has_usual_noise=True,
        few_step=False,
    )
