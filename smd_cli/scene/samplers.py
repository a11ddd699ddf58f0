"""The samplers: what a scene, its rules and its defaults need to know of each.

How a sampler builds its schedule of noise levels is the engine's part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

SamplerName = Literal["lcm", "tcd", "ddim", "euler", "dpmpp"]
Spacing = Literal["leading", "trailing", "linspace", "karras"]
GuidanceKind = Literal["none", "full", "self", "initialize"]
DIFFUSION = ("sd15", "sd2", "sdxl")  # families of diffusion models, which predict noise or v
FLOW = ("sd3", "klein", "zimage")  # families of flow-matching models, which predict the velocity


@dataclass(frozen=True)
class SamplerFacts:
    """What is known of a sampler without a model.

    Attributes:
        name: its name in a scene.
        summary: what it is for, in one line.
        few_step: it needs weights that were distilled for it, or ordinary ones with the family's LCM-LoRA.
        guidance: the kinds of guidance that it supports.
        steps: how many timesteps its grid has by default.
        largest_grid: the most timesteps that its grid can have.
        grid_limit: what limits the grid, as the end of an error message.
        indices: the steps that it takes by default, on the largest grid; none: the whole grid.
        panorama_indices: the same for panoramas.
        families: the model families that it works with.
        takes_whole_grid: it takes every step of its grid, so that a scene cannot choose some.
        spacings: how the timesteps of its grid can be spread, first the default; none: the grid is its own.
        gamma: the default of how much of a step's noise is new; None: that is not to be chosen.
    """

    name: SamplerName
    summary: str
    few_step: bool
    guidance: tuple[GuidanceKind, ...]
    steps: int
    largest_grid: int
    grid_limit: str = ""
    indices: tuple[int, ...] = ()
    panorama_indices: tuple[int, ...] = ()
    families: tuple[str, ...] = DIFFUSION
    takes_whole_grid: bool = False
    spacings: tuple[Spacing, ...] = ()
    gamma: float | None = None

    @property
    def spacing(self) -> Spacing | None:
        """Return how its timesteps are spread by default; None: it has a grid of its own."""
        return self.spacings[0] if self.spacings else None

    @property
    def grid(self) -> str:
        """Describe the size of its grid."""
        return f"default {self.steps}, at most {self.largest_grid}"

    @property
    def steps_taken(self) -> str:
        """Describe which steps of its grid it takes."""
        if self.takes_whole_grid:
            return "always the whole grid"
        if not self.indices:
            return "default the whole grid"
        usual, panorama = list(self.indices), list(self.panorama_indices)
        return (
            f"default {usual}, for a panorama {panorama}, of a grid of {self.largest_grid}; in proportion on "
            "a smaller one"
        )

    def supports(self, family: str) -> bool:
        """Tell whether it works with models of a family."""
        return family in self.families

    def default_indices(self, grid: int, task: str) -> tuple[int, ...]:
        """Return the steps taken by default on a grid of so many timesteps, in proportion to its size."""
        usual = self.panorama_indices if task == "panorama" else self.indices
        if not usual or grid <= len(usual):
            return tuple(range(grid))
        return tuple(sorted({index * grid // self.largest_grid for index in usual}))


DISTILLED_GRID = 50  # steps of the teachers of consistency models (Luo et al., arXiv 2310.04378)

LCM = SamplerFacts(
    name="lcm",
    summary="few steps, for models distilled for it, or with an LCM-LoRA",
    few_step=True,
    guidance=("none", "full", "self", "initialize"),
    steps=DISTILLED_GRID,
    largest_grid=DISTILLED_GRID,
    grid_limit=", the grid that lcm models are distilled on",
    indices=(0, 4, 12, 25, 37),  # the published examples of StreamMultiDiffusion
    panorama_indices=(0, 12, 25, 37),  # the same source's, without bootstrap
    families=(*DIFFUSION, *FLOW),
)
TCD = SamplerFacts(
    name="tcd",
    summary="few steps, with a LoRA of TCD or Hyper-SD's of one step",
    few_step=False,
    guidance=("none", "full", "self", "initialize"),
    steps=4,
    largest_grid=DISTILLED_GRID,
    grid_limit=", the grid that tcd models are distilled on",
    gamma=0.3,  # of the published examples
)
DDIM = SamplerFacts(
    name="ddim",
    summary="many steps, for any model, or few with Hyper-SD's LoRAs",
    few_step=False,
    guidance=("none", "full"),
    steps=50,
    largest_grid=999,  # training timesteps, less the one that stands for a clean picture
    takes_whole_grid=True,
    spacings=("leading", "trailing"),
)
EULER = SamplerFacts(
    name="euler",
    summary="few steps, for models distilled for it (Lightning, Turbo), or many for any other",
    few_step=False,
    guidance=("none", "full"),
    steps=4,  # of the published examples of models distilled for it
    largest_grid=999,
    families=(*DIFFUSION, *FLOW),
    spacings=("trailing", "leading", "linspace"),
)
DPMPP = SamplerFacts(
    name="dpmpp",
    summary="many steps, for any model, but fewer than ddim (DPM-Solver++ 2M)",
    few_step=False,
    guidance=("none", "full"),
    steps=25,
    largest_grid=998,  # training timesteps, less those at the end of the way
    takes_whole_grid=True,
    spacings=("linspace", "leading", "trailing", "karras"),
)
SAMPLERS: Mapping[str, SamplerFacts] = {sampler.name: sampler for sampler in (LCM, TCD, DDIM, EULER, DPMPP)}

DISTILLED = {"klein": replace(EULER, steps=4), "zimage": replace(EULER, steps=8)}
"""What models of a family are distilled for, by their publishers' examples; elsewhere, lcm is usual."""


def sampler_facts(kind: SamplerName | None, family: str) -> SamplerFacts:
    """Return the facts of a sampler, None the usual one, for models of a family; 'auto': of any."""
    usual = DISTILLED.get(family, LCM)
    return usual if kind in (None, usual.name) else SAMPLERS[kind]


def samplers_for(family: str) -> list[str]:
    """Return the names of the samplers that work with models of a family."""
    return [sampler.name for sampler in SAMPLERS.values() if sampler.supports(family)]


def misfit(sampler: SamplerFacts, family: str) -> str:
    """Say that a sampler does not work with models of a family, and which do; '' where it does."""
    if sampler.supports(family):
        return ""
    return f"{sampler.name} does not go with {family} models; {' and '.join(samplers_for(family))} do"


def samplers_with(guidance: str) -> list[str]:
    """Return the names of the samplers that support a kind of guidance."""
    return [sampler.name for sampler in SAMPLERS.values() if guidance in sampler.guidance]
