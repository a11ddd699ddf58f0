"""SDXL and SD3 as the core sees them: a tiny network, its conditioning, and its schedule."""

from functools import cache

import torch
from torch import Tensor

from smd_cli.core.flow import FlowSchedules
from smd_cli.core.guidance import ModelInput
from smd_cli.core.samplers import DiffusionSchedules, SamplerSteps
from smd_cli.core.schedule import Schedule
from tests.core.models import training
from tests.golden import DOWNSCALE, FAMILIES, Case, TinyAutoencoder


class TinyFamily(TinyAutoencoder):
    """The network and the autoencoder of a tiny pipeline of random weights, straight from diffusers."""

    def __init__(self, family: str) -> None:
        from diffusers import SD3Transformer2DModel, UNet2DConditionModel

        folder = FAMILIES / f"tiny-{family}"
        super().__init__(folder)
        of_family = {"sdxl": (UNet2DConditionModel, "unet"), "sd3": (SD3Transformer2DModel, "transformer")}
        network, subfolder = of_family[family]
        self.network = network.from_pretrained(folder, subfolder=subfolder).eval()


class UnshiftedFamily(TinyFamily):
    """The same, whose pictures are encoded without the shift that decoding adds, as published."""

    def encode_image(self, pixels: Tensor) -> Tensor:
        return super().encode_image(pixels) + self.shift * self.vae.config.scaling_factor


@cache
def tiny_family(family: str, *, is_shifted: bool = True) -> TinyFamily:
    return TinyFamily(family) if is_shifted else UnshiftedFamily(family)


def noise_levels(case: Case) -> Tensor:
    """The levels that masks are quantized against, (S,): sigma / sqrt(sigma^2 + 1) in both families."""
    return torch.tensor(case.settings["noise_levels"])


def shifted(steps: SamplerSteps, shift: float = 3.0) -> Tensor:
    """SD3's sigmas, whose lower end is shifted twice."""
    low = shift * 0.001 / (1 + (shift - 1) * 0.001)
    even = torch.linspace(1, low, steps.grid, dtype=torch.float64)
    return shift * even / (1 + (shift - 1) * even)


def schedule(case: Case) -> Schedule:
    """Euler, which averages latents at the next level, or flow matching, which averages clean ones."""
    settings, size = case.settings, case.settings["tile_size"] // DOWNSCALE
    steps = SamplerSteps(settings["schedule_steps"], tuple(settings["schedule_indices"]), (size, size))
    if settings["family"] == "sdxl":
        return DiffusionSchedules(training()).make_schedule("euler", steps)
    return FlowSchedules(shifted).make_schedule("lcm", steps)


def first_latent(case: Case) -> Tensor:
    init, settings = case.tensors["noise.init"], case.settings
    if settings["start"] == "noised background":
        background = tiny_family(settings["family"]).background(case)
        return schedule(case).noise_to_start(background, init, [0])
    return schedule(case).initial_scale * init


class FamilyPredict:
    """A tiny network under one case's recorded embeddings, counting the rows it is given."""

    def __init__(self, case: Case) -> None:
        self.is_sdxl = case.settings["family"] == "sdxl"
        self.network = tiny_family(case.settings["family"]).network
        self.embeds, self.pooled = (prompts(case, f"text.{name}") for name in ("embeds", "pooled"))
        self.rows = 0

    @torch.no_grad()
    def __call__(self, asked: ModelInput) -> Tensor:
        self.rows += len(asked)
        embeds, pooled = self.embeds[asked.prompts], self.pooled[asked.prompts]
        if not self.is_sdxl:
            return self.network(asked.latents, embeds, pooled, asked.timesteps).sample
        added = {"text_embeds": pooled, "time_ids": time_ids(asked)}
        return self.network(asked.latents, asked.timesteps, embeds, added_cond_kwargs=added).sample


def prompts(case: Case, name: str) -> Tensor:
    """What the network is given of prompts: positives, then negatives, which come first in recorded runs."""
    recorded = case.tensors[name]
    return recorded.roll(len(recorded) // 2, 0) if case.settings["guidance_scale"] > 1 else recorded


def time_ids(asked: ModelInput) -> Tensor:
    """SDXL's picture size, crop and target size (N, 6) in px: a tile is a crop of the canvas."""
    height, width = (DOWNSCALE * side for side in asked.canvas)
    rows = [[height, width, DOWNSCALE * box.top, DOWNSCALE * box.left, height, width] for box in asked.boxes]
    return torch.tensor(rows, dtype=torch.float32)
