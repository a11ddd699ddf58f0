"""A recorded run as the core takes it, whatever its family: its regions, its settings, its noise."""

from functools import partial

import torch
from torch import Tensor

from smd_cli.core.bootstrap import Bootstrap
from smd_cli.core.guidance import Predict
from smd_cli.core.masks import cover, quantize, soften, uncovered
from smd_cli.core.noise import Purpose
from smd_cli.core.regions import Regions, arrange_regions
from smd_cli.core.rows import Rows
from smd_cli.core.sample import sample
from smd_cli.core.step import Method
from tests.golden import DOWNSCALE, Case, TinyAutoencoder, relative_error

# Discrete masks agree to 5e-7; continuous ones divide the rounding of the recorded blur by small gaps.
TOLERANCE = 1e-4


def quantized_masks(case: Case, noise_levels: Tensor) -> Tensor:
    """Cover, blur and quantize the masks of a case, which may overlap."""
    settings, masks = case.settings, cover(case.masks, case.cover_alpha)
    std, strength = settings.get("mask_std", 0.0), settings.get("mask_strength", 1.0)
    softened = soften(masks, [std] * len(masks), [strength] * len(masks))
    return quantize(softened, noise_levels, case.size, settings.get("mask_type", "discrete"))


def regions(case: Case, noise_levels: Tensor, pipeline: TinyAutoencoder) -> Regions:
    """Arrange the regions of a case; the prompt of a background that is no picture is the first of them."""
    settings, masks = case.settings, quantized_masks(case, noise_levels)
    if "background_prompt" in settings and "background" not in case.tensors:
        masks = torch.cat([uncovered(masks), masks])
    tile = settings.get("tile_size", max(settings["height"], settings["width"])) // DOWNSCALE
    return arrange_regions(masks, tile).over(pipeline.background(case), pipeline.white(case))


def bootstrap(case: Case, pipeline: TinyAutoencoder) -> Bootstrap:
    return Bootstrap(
        white=pipeline.white(case),
        steps=case.settings.get("bootstrap_steps", 0),
        mix_steps=case.settings.get("bootstrap_mix_steps", 1.0),
        leak_sensitivity=case.settings.get("bootstrap_leak_sensitivity"),
    )


def noise(case: Case, purpose: Purpose, step: int, shape: torch.Size) -> Tensor:
    """Return what a one-shot run has drawn; zeros where it draws nothing."""
    return case.tensors.get(f"noise.{purpose}", torch.zeros(step + 1, *shape[1:]))[[step]]


def estimates(case: Case) -> list[Tensor]:
    """Return the estimates of all steps but the last."""
    keys = sorted(key for key in case.tensors if key.startswith("latent.denoised."))
    return [case.tensors[key] for key in keys]


def check_picture(case: Case, first: Tensor, arranged: Regions, method: Method, predict: Predict) -> None:
    """Sample a one-shot run from its first latent; every estimate and the result are the recorded ones."""
    found: list[Tensor] = []
    final = sample(
        Rows(first, (0,)), arranged, method, predict, partial(noise, case), lambda _, x: found.append(x)
    )
    for step, expected in enumerate(estimates(case)):
        assert relative_error(found[step], expected) < TOLERANCE, f"step {step}"
    assert relative_error(final, case.tensors["latent.final"]) < TOLERANCE
