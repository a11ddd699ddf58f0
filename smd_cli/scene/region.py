"""Regions: their keys in a scene, the keys that keyframes can change, and their plan.

A new key of a region is declared here and nowhere else in this package: in `Region`, in `RegionChange` if
keyframes can change it, and in `RegionPlan`. How it is resolved, eased and written follows from its type.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from smd_cli.scene.loras import Lora, Loras
from smd_cli.scene.mask_specs import AnyMask, MaskSpec
from smd_cli.scene.plan_values import Context, plan_values
from smd_cli.scene.prompts import PromptMix
from smd_cli.scene.section import Section
from smd_cli.scene.values import GUIDED, Blur, Prompt, RegionName, RegionPrompt, Share, Shift


class Region(Section):
    """A prompt and the mask that it is painted in. Later regions cover earlier ones."""

    name: RegionName = Field(
        description="A unique name, used in messages and in `--set regions[name].prompt=…`."
    )
    prompt: RegionPrompt = Field(description="What to paint in the mask.")
    negative_prompt: Prompt = Field(default="", description=f"What to avoid in the mask{GUIDED}")
    mask: AnyMask = Field(description="Where: a picture file, a shape, or `rest`.")
    shift: Shift = Field(
        default=(0.0, 0.0),
        description="[x, y]: moves the mask to the right and down, in fractions of the canvas's width and "
        "height; no effect on `rest`.",
    )
    mask_strength: Share | None = Field(
        default=None, description="Instead of `masks.strength`, for this region."
    )
    mask_std: Blur | None = Field(default=None, description="Instead of `masks.std`, for this region.")
    prompt_strength: Share = Field(
        default=1.0, description="Interpolates from the background's prompt (0) to this region's own (1)."
    )
    loras: Loras = Field(
        default=(),
        description="Adapters for this region alone, beside those of the model: they change how its prompts "
        "are read and what is painted of it.",
    )


class RegionChange(Section):
    """The keys of a region that a keyframe can change."""

    prompt: RegionPrompt | None = Field(default=None, description="The region's new prompt.")
    negative_prompt: Prompt | None = Field(
        default=None, description=f"The region's new negative prompt{GUIDED}"
    )
    prompt_strength: Share | None = Field(
        default=None, description="Interpolates from the background's prompt (0) to the region's own (1)."
    )
    mask: AnyMask | None = Field(
        default=None,
        description="The region's new mask. Boxes, ellipses, and polygons with equally many corners can be "
        "eased.",
    )
    mask_strength: Share | None = Field(
        default=None, description="Factor on the mask before it is quantized."
    )
    mask_std: Blur | None = Field(
        default=None, description="Blur of the mask's edge: standard deviation in px."
    )
    shift: Shift | None = Field(
        default=None,
        description="[x, y]: moves the mask to the right and down from where `mask` puts it, in fractions of "
        "the canvas's width and height.",
    )
    loras: Loras | None = Field(
        default=None,
        description="The region's adapters from then on; their weights can be eased, from and to 0 where "
        "only one side lists an adapter.",
    )


REGION_KEYS = tuple(RegionChange.model_fields)


@dataclass(frozen=True)
class RegionPlan:
    """A region with every default filled in.

    `shift` is x, y in fractions of the canvas, `mask_std` in px.
    """

    name: str
    prompt: PromptMix
    negative_prompt: PromptMix
    mask: MaskSpec
    shift: tuple[float, float]
    mask_strength: float
    mask_std: float
    prompt_strength: float
    loras: tuple[Lora, ...]


class MaskDefaults(Section):
    """How masks act, and the defaults of all regions."""

    type: Literal["discrete", "semi-continuous", "continuous"] = Field(
        default="discrete",
        description="How the values of soft masks are quantized against the noise level of each step.",
    )
    std: Blur = Field(default=0.0, description="Blur of a mask's edge: standard deviation in px.")
    strength: Share = Field(default=1.0, description="Factor on a mask before it is quantized.")
    cover_alpha: Share = Field(
        default=0.3,
        description="Factor on a mask where a later region covers it; 0: nothing of it stays there.",
    )


INHERITED = {"mask_strength": "strength", "mask_std": "std"}
"""Keys that a region has from `masks` where it leaves them out, and what these are called there."""


def resolve_region(region: Region, defaults: MaskDefaults, context: Context) -> RegionPlan:
    """Fill in a region's defaults."""
    values = plan_values(region, Region.model_fields, context)
    values |= {own: getattr(defaults, key) for own, key in INHERITED.items() if values[own] is None}
    return RegionPlan(**values)
