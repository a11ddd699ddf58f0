"""Lessons of both ends of sampling: first steps show things more clearly, last ones leave a picture as it is.

On white, the first estimate of something pale is paler still, and the next steps take it for white. Below the
timesteps of other lessons is what image-to-image with a low strength sees: there a picture has to stay.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smd_cli.workshop.train.consistency import consistency
from smd_cli.workshop.train.late import Batch, rows_of
from smd_cli.workshop.train.painted import timestep_of
from smd_cli.workshop.train.unet import alphas_cumprod, noised
from smd_cli.workshop.train.visibility import HIDDEN_FROM, noise_like, uniform

FIRST_TIMESTEPS = {timestep_of(index): share for index, share in ((0, 45), (4, 30), (10, 15), (18, 10))}
"""Timesteps of things alone, and how many in a hundred are at them."""

OWN, FAINTEST = 0.7, 0.35
"""Share of things shown as the student first estimates them; how much there is of the others at least."""

LAST_TIMESTEPS, LOW_TIMESTEPS = (5, 300), (5, 145)
"""Timesteps of pictures, and those of most of them."""

LOW_SHARE, OTHER_PROMPT = 0.75, 0.1
"""Share of pictures at low timesteps, and of pictures under the prompts of others."""


@dataclass(frozen=True)
class EndLessons:
    """Draws lessons of both kinds.

    Attributes:
        things: latents (N, 4, h, w), regions (N, 1, h, w) bool and ids (N, 77) of things alone on white.
        pictures: latents and ids of whole pictures.
        white: latents of white, (1, 4, h, w).
        text: the text encoder.
    """

    things: dict[str, Tensor]
    pictures: dict[str, Tensor]
    white: Tensor
    text: nn.Module

    def first(self, student: nn.Module, count: int, rng: torch.Generator) -> Batch:
        """Return things as first steps see them: hidden, as the `student` begins them, or faint."""
        rows = rows_of(self.things, count, rng)
        latents, regions = rows["latents"].float(), rows["regions"]
        shares = torch.tensor(list(FIRST_TIMESTEPS.values()), dtype=torch.float32, device=rng.device)
        chosen = torch.multinomial(shares, count, replacement=True, generator=rng)
        timesteps = torch.tensor(list(FIRST_TIMESTEPS), device=rng.device)[chosen]
        faint = _each(FAINTEST + (1 - FAINTEST) * uniform(count, rng))
        begun = torch.where(
            _each(uniform(count, rng) < OWN),
            self._first_estimate(student, rows, rng),
            self.white.lerp(latents, faint),
        )
        inside = torch.where(_each(timesteps >= HIDDEN_FROM), 0.0, begun)
        shown = torch.where(regions, inside, self.white)
        z = noised(shown, noise_like(shown, rng), timesteps, alphas_cumprod())
        return Batch(z, timesteps, rows["ids"], latents)

    @torch.no_grad()
    def _first_estimate(self, student: nn.Module, rows: dict[str, Tensor], rng: torch.Generator) -> Tensor:
        timesteps = torch.full((len(rows["ids"]),), timestep_of(0), device=rng.device)
        hidden = torch.where(rows["regions"], 0.0, self.white)
        z = noised(hidden, noise_like(hidden, rng), timesteps, alphas_cumprod())
        states = self.text(rows["ids"]).last_hidden_state
        return consistency(student, z.contiguous(memory_format=torch.channels_last), timesteps, states)

    def last(self, count: int, rng: torch.Generator) -> Batch:
        """Return pictures at low noise, some of them under the prompts of others; they should stay."""
        rows = rows_of(self.pictures, count, rng)
        latents = rows["latents"].float()
        low = uniform(count, rng) < LOW_SHARE
        timesteps = torch.where(
            low,
            torch.randint(*LOW_TIMESTEPS, (count,), generator=rng, device=rng.device),
            torch.randint(*LAST_TIMESTEPS, (count,), generator=rng, device=rng.device),
        )
        others = rows_of(self.pictures, count, rng)["ids"]
        ids = torch.where((uniform(count, rng) < OTHER_PROMPT)[:, None], others, rows["ids"])
        return Batch(
            noised(latents, noise_like(latents, rng), timesteps, alphas_cumprod()), timesteps, ids, latents
        )


def _each(values: Tensor) -> Tensor:
    """Return values (N,) of pictures so that they can be combined with latents."""
    return values[:, None, None, None]
