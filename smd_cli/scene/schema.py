"""The scene language, version 1: every key with its type, range, default and meaning.

What a scene leaves out may be None here; `scene.resolve` fills every default in. Rules that span several keys
are in `scene.rules`; `scene.validate` is the way from plain data to a Scene.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from smd_cli.scene.masks import AnyMask, FilePath, Part
from smd_cli.scene.stream import Stream
from smd_cli.scene.values import (
    GUIDED,
    Blur,
    Pixels,
    Prompt,
    RegionName,
    RegionPrompt,
    Repaint,
    Share,
    Shift,
    Side,
)

VERSION = 1
SHORTHANDS = {"model": "base", "mask": "image"}  # keys that take a bare text for a mapping with that one key
LCM_GRID = 50  # steps of the teachers (Luo et al., arXiv 2310.04378)
LCM_INDICES = (0, 4, 12, 25, 37)  # of that grid: StreamMultiDiffusion, the published examples
PANORAMA_INDICES = (0, 12, 25, 37)  # the same source's, for panoramas, which go without bootstrap


class Canvas(Part):
    """The picture's size. At most 67 108 864 pixels in all."""

    width: Side = Field(description="Width in px, a multiple of 8.")
    height: Side = Field(description="Height in px, a multiple of 8.")
    wrap: Literal["none", "x"] = Field(
        default="none",
        description="`x`: the picture closes on itself, its left edge goes on at the right one.",
    )


class Lora(Part):
    """An adapter to fuse into the model."""

    path: FilePath = Field(description="Hub id, or a .safetensors file or folder relative to the scene file.")
    weight: Annotated[float, Field(ge=-4, le=4)] = Field(default=1.0, description="How strongly it is fused.")


class Model(Part):
    """What paints. A bare text is the `base`."""

    base: FilePath = Field(
        default="flatland",
        description="`flatland` (the embedded model), a Hub id, or a folder or .safetensors file relative to "
        "the scene file.",
    )
    family: Literal["auto", "sd15", "sdxl", "sd3"] = Field(
        default="auto",
        description="Architecture; `auto` reads it from the weights. This version drives `sd15`.",
    )
    vae: FilePath | None = Field(default=None, description="Another autoencoder; default: the model's own.")
    loras: Annotated[tuple[Lora, ...], Field(max_length=16)] = Field(
        default=(), description="Adapters, in order."
    )
    config: FilePath | None = Field(
        default=None,
        description="A diffusers folder or Hub id that gives a single .safetensors file its configs and "
        "tokenizer; default: the family's published one.",
    )
    lcm_lora: FilePath | None = Field(
        default=None,
        description="The LoRA that makes ordinary weights few-step ones for the `lcm` sampler, or `none` "
        "where the weights are few-step ones already; default: the model's own, in its folder `lcm_lora`, "
        "else the family's published one.",
    )


def default_indices(kind: str, steps: int, task: str) -> tuple[int, ...]:
    """The schedule indices of a sampler that names none, on a grid of `steps` timesteps."""
    indices = PANORAMA_INDICES if task == "panorama" else LCM_INDICES
    if kind == "ddim" or steps <= len(indices):
        return tuple(range(steps))
    return tuple(sorted({index * steps // LCM_GRID for index in indices}))


def _model_from_text(value: Any) -> Any:  # noqa: ANN401 - what a file says, of any shape
    return {"base": value} if isinstance(value, str) else value


class Sampler(Part):
    """How noise becomes a picture."""

    kind: Literal["lcm", "ddim"] = Field(
        default="lcm",
        description="`lcm`: few steps, for distilled models; `ddim`: many steps, for any model.",
    )
    steps: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=50,
        description="Size of the grid of timesteps that `indices` points into: at most 50 for `lcm`; "
        "`ddim`, at most 999, takes them all.",
    )
    indices: Annotated[tuple[Annotated[int, Field(ge=0, le=999)], ...], Field(min_length=1)] | None = Field(
        default=None,
        description="For `lcm`, the steps to take, rising, inside the grid; default: [0, 4, 12, 25, 37], for "
        "a panorama [0, 12, 25, 37] (in proportion on a grid of another size), for `ddim` the whole grid.",
    )
    guidance_scale: Annotated[float, Field(ge=0, le=50)] = Field(
        default=1.0,
        description="Weight of the prompt against the negative prompt; 1 leaves the negative out.",
    )
    guidance: Literal["none", "full", "self", "initialize"] | None = Field(
        default=None,
        description="`full` evaluates the negative prompt at every step; for `lcm`, `self` estimates it and "
        "`initialize` evaluates it at the first step only; default: `none` where guidance_scale is 1, else "
        "`full`.",
    )
    delta: Annotated[float, Field(ge=0, le=10)] = Field(
        default=1.0,
        description="Strength of the estimated negative in residual guidance (`self`, `initialize`).",
    )
    tile: Annotated[
        Annotated[Pixels, Tag("<px>")] | Annotated[Literal["native"], Tag("<word>")],
        Discriminator(lambda value: "<word>" if isinstance(value, str) else "<px>"),
    ] = Field(
        default="native", description="Side of a tile in px, or `native`: the size the model was trained at."
    )
    overlap: Annotated[float, Field(ge=0, le=0.75)] = Field(
        default=0.5, description="The share of a tile that its neighbour overlaps."
    )


class Bootstrap(Part):
    """The first steps, in which each region is painted alone, centred, on a plain background."""

    steps: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=2,
        description="How many steps; 0 turns it off, and is the default of a panorama, with "
        "background.strength and of a stream with an input.",
    )
    mix_steps: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=1.5,
        description="For how many steps that background is white before it blends into the picture's.",
    )
    leak_sensitivity: Annotated[float, Field(ge=0, le=100)] = Field(
        default=0.2,
        description="Drops what a region leaves like its background: the smaller, the less is dropped; "
        "0 turns it off.",
    )
    show_through: bool = Field(
        default=False,
        description="Paints the background's prompt on a canvas of its own meanwhile, and shows it where "
        "regions are still white when their bootstrap ends; else they may keep the white that they were "
        "painted on. What is to be white in them may go too.",
    )


class MaskDefaults(Part):
    """How masks act, and the defaults of every region."""

    type: Literal["discrete", "semi-continuous", "continuous"] = Field(
        default="discrete", description="How soft masks are quantized against the noise level of each step."
    )
    std: Blur = Field(default=0.0, description="Blur of the edge: standard deviation in px.")
    strength: Share = Field(default=1.0, description="Scale of the mask before quantization.")
    cover_alpha: Share = Field(
        default=0.3, description="What stays of a mask where a later region covers it."
    )


class Background(Part):
    """What is around and behind the regions: a prompt, a picture, or both."""

    prompt: Prompt = Field(default="", description="Paints what the regions leave; empty: plain white.")
    negative_prompt: Prompt = Field(default="", description=f"What to keep away from{GUIDED}")
    image: FilePath | None = Field(
        default=None, description="A picture to put the regions on, relative to the scene file."
    )
    fit: Literal["cover", "contain", "stretch"] = Field(
        default="cover",
        description="How a picture of another size meets the canvas: `cover` fills it and is cropped, "
        "`contain` lies inside it and leaves new area, `stretch` changes its proportions.",
    )
    place: (
        Annotated[
            tuple[Annotated[int, Field(ge=-100_000, le=100_000)], ...], Field(min_length=2, max_length=2)
        ]
        | None
    ) = Field(
        default=None,
        description="[x, y] in px: instead of `fit`, the picture unscaled with its top left corner there; "
        "the background's prompt fills the new area around it.",
    )
    strength: Repaint | None = Field(
        default=None,
        description="How far the background's prompt repaints the picture, 1 being wholly; default: not "
        "at all.",
    )


class Region(Part):
    """A prompt and where to paint it. Later regions cover earlier ones."""

    name: RegionName = Field(description="A unique name, for messages and for --set regions[name].prompt=….")
    prompt: RegionPrompt = Field(description="What to paint here.")
    negative_prompt: Prompt = Field(default="", description=f"What to keep away from here{GUIDED}")
    mask: AnyMask = Field(description="Where: a picture file, a shape, or `rest`.")
    shift: Shift = Field(
        default=(0.0, 0.0),
        description="[x, y]: how far the mask lies from where `mask` puts it, in shares of the canvas, to "
        "the right and down; `rest` stays.",
    )
    mask_strength: Share | None = Field(default=None, description="Instead of `masks.strength`.")
    mask_std: Blur | None = Field(default=None, description="Instead of `masks.std`.")
    prompt_strength: Share = Field(
        default=1.0, description="Between the background's prompt (0) and this region's own (1)."
    )


class Scene(Part):
    """A scene: which prompt paints which region of a canvas."""

    smd: Literal[1] = Field(description="Version of the scene language.")
    task: Literal["generate", "inpaint", "panorama", "stream"] = Field(
        default="generate", description="The command that renders the scene; left out: whichever is called."
    )
    canvas: Canvas | None = Field(
        default=None, description="The size of the picture; default: that of the background picture."
    )
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(
        default=0, description="All noise comes from it: the same seed, the same picture."
    )
    model: Annotated[Model, BeforeValidator(_model_from_text, json_schema_input_type=str | Model)] = Field(
        default=Model(), description="What paints: a name or path, or a mapping."
    )
    sampler: Sampler = Field(default=Sampler(), description="The schedule, guidance and tiles.")
    bootstrap: Bootstrap = Field(
        default=Bootstrap(), description="The first steps, each region alone on white."
    )
    masks: MaskDefaults = Field(
        default=MaskDefaults(), description="How masks act, and defaults for every region."
    )
    negative_prefix: Prompt = Field(default="", description=f"Put before every negative prompt{GUIDED}")
    background: Background = Field(default=Background(), description="What is around and behind the regions.")
    regions: Annotated[tuple[Region, ...], Field(max_length=256)] = Field(
        default=(), description="What is painted where; later regions cover earlier ones."
    )
    stream: Stream = Field(default=Stream(), description="Frames over time, for the task `stream`.")
