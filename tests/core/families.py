"""SDXL and SD3 as the core sees them: a tiny network, its conditioning, and a schedule of recorded levels."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from smd_cli.core.guidance import ModelInput
from smd_cli.core.schedule import Level, Schedule, make_schedule
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


@cache
def tiny_family(family: str) -> TinyFamily:
    return TinyFamily(family)


def noise_levels(case: Case) -> Tensor:
    """The levels that masks are quantized against, (S,): sigma / sqrt(sigma^2 + 1) in both families."""
    return torch.tensor(case.settings["noise_levels"])


def schedule(case: Case) -> Schedule:
    """Euler, which averages latents at the next level, or flow matching, which averages clean ones."""
    timesteps = torch.tensor(case.settings["timesteps"])
    sigma = torch.tensor(case.settings["sigmas"], dtype=torch.float64)
    one, none, following = torch.ones_like(sigma), torch.zeros_like(sigma), F.pad(sigma[1:], (0, 1))
    if case.settings["family"] == "sdxl":
        times = timesteps, F.pad(timesteps[1:], (0, 1))
        return make_schedule(times, Level(one, sigma), Level(one, following), (one, following - sigma))
    times = timesteps, torch.zeros_like(timesteps)
    return make_schedule(times, Level(1 - sigma, sigma), Level(one, none), (one, -sigma))


def first_latent(case: Case) -> Tensor:
    init, settings = case.tensors["noise.init"], case.settings
    if settings["start"] == "noised background":
        background = tiny_family(settings["family"]).background(case)
        return schedule(case).noise_to_start(background, init, [0])
    return settings.get("init_noise_sigma", 1.0) * init


class FamilyPredict:
    """A tiny network under one case's recorded embeddings, counting the rows it is given."""

    def __init__(self, case: Case) -> None:
        self.is_sdxl = case.settings["family"] == "sdxl"
        self.network = tiny_family(case.settings["family"]).network
        self.embeds, self.pooled = case.tensors["text.embeds"], case.tensors["text.pooled"]
        self.schedule, self.rows = schedule(case), 0

    @torch.no_grad()
    def __call__(self, asked: ModelInput) -> Tensor:
        self.rows += len(asked)
        embeds, pooled = self.embeds[asked.prompts], self.pooled[asked.prompts]
        if not self.is_sdxl:
            return self.network(asked.latents, embeds, pooled, asked.timesteps).sample
        added = {"text_embeds": pooled, "time_ids": time_ids(asked)}
        steps = (asked.timesteps[:, None] == self.schedule.timesteps).int().argmax(1)
        scale = (self.schedule.start.sigma[steps].square() + 1).sqrt().view(-1, 1, 1, 1)
        return self.network(asked.latents / scale, asked.timesteps, embeds, added_cond_kwargs=added).sample


def time_ids(asked: ModelInput) -> Tensor:
    """SDXL's picture size, crop and target size (N, 6) in px: a tile is a crop of the canvas."""
    height, width = (DOWNSCALE * side for side in asked.canvas)
    rows = [[height, width, DOWNSCALE * box.top, DOWNSCALE * box.left, height, width] for box in asked.boxes]
    return torch.tensor(rows, dtype=torch.float32)
