"""What training lets the UNet see of a picture at each timestep, to match what it sees while sampling.

The schedule leaves 0.14 of a picture in its noisiest step (SD1.5's leaves 0.068). Mean colours, of a whole
picture or of somebody's hair, can be read off that through the noise. A model that learns this takes the
means of a sampler's noise, which carry no information, for colours, and follows its prompt less. So at the
highest timesteps training shows what a sampler does: noise alone, or, as bootstrapping does (Lee et al.,
arXiv 2403.09055), a region of noise on white. Below them it shows what the first steps leave: objects on
patches of white, some of them in other colours than the caption's (`world/bootstrapped.py`).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from smd_cli.workshop.world.bootstrapped import ELLIPSE_SCALE, REGION_SCALE

HIDDEN_FROM = 960
"""From this timestep on, nothing of a region is visible."""

FADED_FROM = 880
"""From this timestep on, the surroundings of a region may be faded, as bootstrapping mixes them."""

HIDDEN_EARLIER_SHARE = 0.3
"""How often nothing is visible from `FADED_FROM` on: a sampler with twenty steps begins at timestep 951."""

COMPLETE_CAPTION_FROM = 700
"""Pictures with incomplete captions are used below this timestep only.

There the picture itself clearly shows what the caption leaves out. At higher timesteps the model would have
to guess, and would learn that any caption may leave objects out.
"""

HIDDEN_SHARE, LAST_TIMESTEP_SHARE = 0.15, 0.7
"""Share of timesteps drawn from `HIDDEN_FROM` on, besides those that fall there anyway; and the share of
these that are the last timestep, where sampling starts."""

BOOTSTRAPPED_TIMESTEPS = (400, 850)
"""From the first and below the second of these timesteps, pictures may be shown as bootstrapped."""

BOOTSTRAPPED_SHARE = 0.6
"""How often they are."""

LARGEST_REGION = 0.62
"""Largest side of an object's box, as a share of the picture's, for which a region is drawn."""

REGION_SHARE = 0.75
"""How often a region is drawn where one can be."""


class PictureBatch(NamedTuple):
    """Encoded pictures to train on.

    Attributes:
        latents: (N, 4, h, w).
        bootstrapped: latents of the pictures as they look after bootstrapped steps, (N, 4, h, w).
        ids: token ids of the captions, (N, 77).
        caption_complete: whether the caption describes every object, (N,) bool.
        boxes: left, top, right, bottom of a single object on white, as shares of the side, (N, 4); zeros
            for other pictures.
    """

    latents: Tensor
    bootstrapped: Tensor
    ids: Tensor
    caption_complete: Tensor
    boxes: Tensor


def uniform(size: int | tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Return uniform random numbers from 0 to 1, on the generator's device."""
    return torch.rand(size, generator=rng, device=rng.device)


def noise_like(latents: Tensor, rng: torch.Generator) -> Tensor:
    """Return normal noise in the shape of latents, on the generator's device."""
    return torch.randn(latents.shape, generator=rng, device=rng.device)


def draw_timesteps(caption_complete: Tensor, steps: int, rng: torch.Generator) -> Tensor:
    """Return a timestep below `steps` for each picture; higher ones are likelier, since samplers start there.

    Pictures without a `caption_complete` (N,) get timesteps below `COMPLETE_CAPTION_FROM`.
    """
    count = len(caption_complete)
    usual = torch.randint(steps, (2, count), generator=rng, device=rng.device).amax(0)
    late = torch.randint(HIDDEN_FROM, steps, (count,), generator=rng, device=rng.device)
    first = torch.where(uniform(count, rng) < LAST_TIMESTEP_SHARE, steps - 1, late)
    timesteps = torch.where(uniform(count, rng) < HIDDEN_SHARE, first, usual)
    return torch.where(caption_complete, timesteps, timesteps * COMPLETE_CAPTION_FROM // steps)


def fits_a_region(boxes: Tensor) -> Tensor:
    """Tell for which boxes (N, 4) a region can be drawn: those of a single, not too large object on white."""
    side = boxes[:, 2] - boxes[:, 0]
    return (side > 0) & (side <= LARGEST_REGION)


def draw_regions(boxes: Tensor, latents: Tensor, rng: torch.Generator) -> Tensor:
    """Draw a region (N, 1, h, w), 1 inside, around each box (N, 4) in `latents` (N, C, h, w).

    The region is the whole picture where a box is empty or too large, and with probability 1 -
    `REGION_SHARE`.
    """
    count = len(boxes)
    side = boxes[:, 2] - boxes[:, 0]
    drawn = fits_a_region(boxes) & (uniform(count, rng) < REGION_SHARE)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    is_ellipse = uniform((count, 1, 1, 1), rng) < 0.5
    reach = REGION_SCALE[0] + (REGION_SCALE[1] - REGION_SCALE[0]) * uniform((count, 2), rng)
    half = (side[:, None] / 2 * reach).clamp(min=0.02)
    x, y = (
        (((torch.arange(n, device=rng.device) + 0.5) / n)[None] - centers[:, [axis]]) / half[:, [axis]]
        for n, axis in ((latents.shape[-1], 0), (latents.shape[-2], 1))
    )
    x, y = x[:, None, None, :], y[:, None, :, None]
    ellipse = (x / ELLIPSE_SCALE).square() + (y / ELLIPSE_SCALE).square() < 1
    box = (x.abs() < 1) & (y.abs() < 1)
    return (torch.where(is_ellipse, ellipse, box) | ~drawn[:, None, None, None]).float()


def visibility(regions: Tensor, timesteps: Tensor, rng: torch.Generator) -> Tensor:
    """Return the visibility (N, 1, h, w), 0 to 1, of pictures at timesteps (N,).

    Regions (N, 1, h, w) are hidden at the highest timesteps; their surroundings are faded just below those.
    """
    each = (len(timesteps), 1, 1, 1)
    faded = 0.4 + 0.6 * uniform(each, rng)
    late = uniform(each, rng) < HIDDEN_EARLIER_SHARE
    time = timesteps[:, None, None, None]
    hidden = time >= torch.where(late, FADED_FROM, HIDDEN_FROM)
    surroundings = torch.where((time >= FADED_FROM) & (time < HIDDEN_FROM), faded, 1.0)
    return torch.where(regions > 0, (~hidden).float(), surroundings)


def visible_latents(batch: PictureBatch, timesteps: Tensor, rng: torch.Generator) -> Tensor:
    """Return the latents (N, 4, h, w) that are visible at timesteps (N,): bootstrapped, hidden or faded."""
    drawn = uniform(len(timesteps), rng) < BOOTSTRAPPED_SHARE
    first, end = BOOTSTRAPPED_TIMESTEPS
    altered = (drawn & (timesteps >= first) & (timesteps < end))[:, None, None, None]
    latents = torch.where(altered, batch.bootstrapped, batch.latents)
    return visibility(draw_regions(batch.boxes, latents, rng), timesteps, rng) * latents
