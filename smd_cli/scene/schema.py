"""The scene language, version 1: every key with its type, range, default and meaning.

What a scene leaves out may be None here; `scene.resolve` fills every default in. Rules that span several keys
are in `scene.rules`; `scene.validate` makes a Scene of plain data.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from smd_cli.scene.background import Background
from smd_cli.scene.model_section import Model, model_from_text
from smd_cli.scene.region import MaskDefaults, Region
from smd_cli.scene.samplers import DISTILLED, SAMPLERS, GuidanceKind, SamplerName, Spacing, samplers_with
from smd_cli.scene.section import Section
from smd_cli.scene.stream_section import Stream
from smd_cli.scene.values import GUIDED, SHA256, Pixels, Prompt, Seeds, Side

VERSION = 1
ASIDE = "x-"  # how keys of the scene begin that are the author's own
SHORTHANDS = {"model": "base", "mask": "image"}  # keys that take a text in place of a mapping with that key


class Canvas(Section):
    """The picture's size. At most 67 108 864 pixels in all."""

    width: Side = Field(description="Width in px, a multiple of 8.")
    height: Side = Field(description="Height in px, a multiple of 8.")
    wrap: Literal["none", "x"] = Field(
        default="none",
        description="`x`: the picture wraps around; its left and right edges join without a seam.",
    )

    @property
    def wraps(self) -> bool:
        """Tell whether the left edge continues at the right one."""
        return self.wrap == "x"


def _words(names: Iterable[str]) -> str:
    """List words of the language as descriptions write them."""
    return ", ".join(f"`{name}`" for name in names)


_SPACED = [each for each in SAMPLERS.values() if each.spacings]
_USUAL = "; ".join(f"`{each.name}` of {each.steps} steps for {name}" for name, each in DISTILLED.items())
_STOCHASTIC = [each for each in SAMPLERS.values() if each.gamma is not None]


class Sampler(Section):
    """How noise becomes a picture."""

    kind: SamplerName | None = Field(
        default=None,
        description=f"{'; '.join(f'`{each.name}`: {each.summary}' for each in SAMPLERS.values())}. "
        f"Default: what the model recommends; {_USUAL}; else `lcm`.",
    )
    steps: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="Size of the grid of timesteps that `indices` selects from. "
        f"{'; '.join(f'`{each.name}`: {each.grid}' for each in SAMPLERS.values())}.",
    )
    indices: Annotated[tuple[Annotated[int, Field(ge=0, le=999)], ...], Field(min_length=1)] | None = Field(
        default=None,
        description="The steps of the grid to take, in rising order; without the first, it is begun with a "
        "background picture with noise on it. "
        f"{'; '.join(f'`{each.name}`: {each.steps_taken}' for each in SAMPLERS.values())}.",
    )
    spacing: Spacing | None = Field(
        default=None,
        description="How the grid is spread over the timesteps that a diffusion model was trained on: "
        "`trailing` from the last of them, as models distilled for few steps and models of zero terminal SNR "
        "need it; `leading` from a little after it, as Stable Diffusion was published; `linspace` from end "
        "to end; `karras` by noise, densest towards the picture. Default first: "
        f"{'; '.join(f'`{each.name}`: {_words(each.spacings)}' for each in _SPACED)}. "
        "Other samplers, and flow-matching models, have a grid of their own.",
    )
    gamma: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="How much of the noise that each step ends with is new: 0 none, 1 all of it. Only and by "
        f"default {', '.join(f'{each.gamma} for `{each.name}`' for each in _STOCHASTIC)}.",
    )
    guidance_scale: Annotated[float, Field(ge=0, le=50)] = Field(
        default=1.0,
        description="Scale of classifier-free guidance; at 1 the negative prompt is not used.",
    )
    guidance: GuidanceKind | None = Field(
        default=None,
        description="`full` evaluates the negative prompt at every step; residual guidance, for "
        f"{' and '.join(f'`{name}`' for name in samplers_with('self'))}, estimates it instead (`self`) or "
        "evaluates it at the first step only (`initialize`); default: `none` where guidance_scale is 1, else "
        "`full`.",
    )
    delta: Annotated[float, Field(ge=0, le=10)] = Field(
        default=1.0,
        description="Factor on the estimated negative in residual guidance (`self`, `initialize`).",
    )
    guidance_rescale: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="How far guided predictions are brought back to the contrast of unguided ones, which "
        "large guidance scales and models trained down to zero signal overshoot; 0 not at all.",
    )
    late: Literal["views", "coupled"] = Field(
        default="views",
        description="How a tile is denoised after the bootstrap: `views` does it once for each region in the "
        "tile, and averages; `coupled` once for all of them, each prompt attended to where its region is, "
        "which takes fewer evaluations and lets regions share ground and light. `coupled` does not go with "
        "LoRAs of a region or the background.",
    )
    tile: Annotated[
        Annotated[Pixels, Tag("<px>")] | Annotated[Literal["native"], Tag("<word>")],
        Discriminator(lambda value: "<word>" if isinstance(value, str) else "<px>"),
    ] = Field(
        default="native", description="Side of a tile in px, or `native`: the size the model was trained at."
    )
    overlap: Annotated[float, Field(ge=0, le=0.75)] = Field(
        default=0.5, description="The fraction of a tile's side that its neighbour overlaps."
    )


class Bootstrap(Section):
    """The first steps, in which each region is denoised by itself, centred, on a plain background."""

    steps: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=2,
        description="How many steps; 0 turns it off. Default: 0 for a panorama, with `background.strength`, "
        "and for a stream with an input; of more than 7 steps two fifths.",
    )
    mix_steps: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=1.5,
        description="For how many steps the plain background is white, a fraction being a step in which "
        "it is partly white; in the steps after that it is the picture's own background. No effect with "
        "`show_through`. Default: three quarters of the default of `steps`.",
    )
    leak_sensitivity: Annotated[float, Field(ge=0, le=100)] = Field(
        default=0.2,
        description="Where a region's result still resembles the plain background, its weight is reduced, so "
        "that the background does not leak into the picture. Larger values reduce it at larger differences; "
        "0 turns it off.",
    )
    show_through: bool = Field(
        default=False,
        description="Shows the background where regions are still white when their bootstrap ends; otherwise "
        "such areas can stay white. The background's prompt is denoised meanwhile on a second canvas, a "
        "picture is there already. White parts of a region's subject can be replaced as well; a region that "
        "shows nothing on white after two steps, such as a cloud, is painted on the background from then on.",
    )
    own_tiles: bool = Field(
        default=False,
        description="Bootstraps a region that fits into a tile once, in a tile of its own around it, instead "
        "of in each tile that it lies in: fewer evaluations, and it is whole in one.",
    )


Matrix = Annotated[
    Annotated[dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]], Tag("<mapping>")]
    | Annotated[tuple[dict[str, Any], ...], Tag("<list>")],
    Discriminator(lambda value: "<list>" if isinstance(value, (tuple, list)) else "<mapping>"),
]
"""Values of keys by their place; or the points that some of these make."""


class Scene(Section):
    """A scene: which prompt is painted in which region of a canvas. Keys that begin with `x-` are yours."""

    model_config = ConfigDict(json_schema_extra={"patternProperties": {f"^{ASIDE}": {}}})

    smd: Literal[1] = Field(description="Version of the scene language.")
    task: Literal["generate", "inpaint", "panorama", "stream"] = Field(
        default="generate",
        description="The command that renders the scene; a scene without it takes the task of the command.",
    )
    canvas: Canvas | None = Field(
        default=None, description="The size of the picture; default: that of `background.image`."
    )
    seed: Seeds = Field(
        default=(0,),
        description="Seed of all noise: the same seed gives the same picture. `1-4,9` or a list names "
        "several, a picture for each; `random` draws one, which is written in the recipe. A stream has one.",
        json_schema_extra={"default": 0},
    )
    model: Annotated[Model, BeforeValidator(model_from_text, json_schema_input_type=str | Model)] = Field(
        default=Model(), description="The diffusion model: a name, a path, or a mapping."
    )
    sampler: Sampler = Field(default=Sampler(), description="Schedule, guidance and tiles.")
    bootstrap: Bootstrap = Field(
        default=Bootstrap(), description="The first steps, in which each region is denoised by itself."
    )
    masks: MaskDefaults = Field(
        default=MaskDefaults(), description="How masks act, and the defaults of each region."
    )
    negative_prefix: Prompt = Field(default="", description=f"Prepended to every negative prompt{GUIDED}")
    background: Background = Field(default=Background(), description="What is around and behind the regions.")
    regions: Annotated[tuple[Region, ...], Field(max_length=256)] = Field(
        default=(), description="Prompts and their masks; later regions cover earlier ones."
    )
    stream: Stream = Field(default=Stream(), description="Frames over time, for the task `stream`.")
    matrix: Matrix = Field(
        default={},
        description="Values for keys by their place, such as `bootstrap.steps: [0, 1, 2]`: a picture for "
        "each combination of them. A list of mappings, such as `- {bootstrap.steps: 2, seed: 5}`, names the "
        "combinations themselves.",
    )
    digests: dict[str, Annotated[str, Field(pattern=SHA256)]] = Field(
        default={},
        description="SHA-256 of files by the place that names them, such as `model.base`, `model.loras[0]`, "
        "`background.image` or `regions[boy].mask`, as recipes keep them. Rendering warns of a file that "
        "differs; with `--strict` it ends.",
    )


def _sections(section: type[Section]) -> Iterator[type[Section]]:
    yield section
    for below in section.__subclasses__():
        yield from _sections(below)


KEYS = frozenset(key for section in _sections(Section) for key in section.model_fields)
"""Every key of the language, at whatever place."""
