"""The samplers: what a scene, its rules and its defaults need to know of each.

How a sampler builds its schedule of noise levels is the engine's part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SamplerName = Literal["lcm", "ddim", "euler"]
GuidanceKind = Literal["none", "full", "self", "initialize"]
DIFFUSION = ("sd15", "sdxl")  # families of diffusion models, which predict noise or v
FLOW = ("sd3", "klein", "zimage")  # families of flow-matching models, which predict the velocity


@dataclass(frozen=True)
class SamplerFacts:
    """What is known of a sampler without a model.

    Attributes:
        name: its name in a scene.
        summary: what it is for, in one line.
        few_step: it needs weights that were distilled for sampling in few steps.
        guidance: the kinds of guidance that it supports.
        largest_grid: the most timesteps that its grid can have.
        grid_limit: what limits the grid, as the end of an error message.
        indices: the steps that it takes by default, on the largest grid; none: the whole grid.
        panorama_indices: the same for panoramas.
        families: the model families that it works with.
        takes_whole_grid: it takes every step of its grid, so that a scene cannot choose some.
    """

    name: SamplerName
    summary: str
    few_step: bool
    guidance: tuple[GuidanceKind, ...]
    largest_grid: int
    grid_limit: str = ""
    indices: tuple[int, ...] = ()
    panorama_indices: tuple[int, ...] = ()
    families: tuple[str, ...] = DIFFUSION
    takes_whole_grid: bool = False

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


LCM = SamplerFacts(
    name="lcm",
    summary="few steps, for distilled models",
    few_step=True,
    guidance=("none", "full", "self", "initialize"),
    largest_grid=50,  # steps of the teachers (Luo et al., arXiv 2310.04378)
    grid_limit=", the grid that lcm models are distilled on",
    indices=(0, 4, 12, 25, 37),  # the published examples of StreamMultiDiffusion
    panorama_indices=(0, 12, 25, 37),  # the same source's, without bootstrap
    families=(*DIFFUSION, *FLOW),
)
DDIM = SamplerFacts(
    name="ddim",
    summary="many steps, for any model",
    few_step=False,
    guidance=("none", "full"),
    largest_grid=999,  # training timesteps, less the one that stands for a clean picture
    takes_whole_grid=True,
)
EULER = SamplerFacts(
    name="euler",
    summary="few steps for models distilled for it, many for any other",
    few_step=False,
    guidance=("none", "full"),
    largest_grid=1000,  # training timesteps
    families=(*DIFFUSION, *FLOW),
)
SAMPLERS: Mapping[str, SamplerFacts] = {sampler.name: sampler for sampler in (LCM, DDIM, EULER)}


def samplers_with(guidance: str) -> list[str]:
    """Return the names of the samplers that support a kind of guidance."""
    return [sampler.name for sampler in SAMPLERS.values() if guidance in sampler.guidance]
