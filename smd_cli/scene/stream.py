"""The scene language's section `stream`: frames over time, what comes in, and the timeline of edits."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from smd_cli.scene.masks import AnyMask, FilePath, Part
from smd_cli.scene.values import GUIDED, Blur, Prompt, RegionName, RegionPrompt, Repaint, Share, Shift

DEFAULT_FRAMES, DEFAULT_FPS, DEFAULT_STRENGTH = 50, 12.0, 0.5
MAX_FRAMES = 1_000_000
TIME = r"^[0-9]{1,6}(\.[0-9]{1,3})?s$"


def _no_fraction(at: Any) -> Any:  # noqa: ANN401 - what a file says, of any shape
    if isinstance(at, float):
        raise PydanticCustomError("frame", f"{at:g} is no frame; a time is written {at:g}s")
    return at


At = Annotated[
    Annotated[Annotated[int, Field(ge=0, le=MAX_FRAMES - 1), BeforeValidator(_no_fraction)], Tag("<frame>")]
    | Annotated[Annotated[str, Field(pattern=TIME)], Tag("<time>")],
    Discriminator(lambda value: "<time>" if isinstance(value, str) else "<frame>"),
]
Ease = Literal["none", "linear", "smooth"]


class Similarity(Part):
    """Skips input frames that resemble the last painted one; the more alike they are, the likelier."""

    threshold: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.98, description="The cosine similarity of two frames from which on one may be skipped."
    )
    max_skip: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10, description="How many frames in a row may be skipped."
    )


class BackgroundChange(Part):
    """What changes behind the regions."""

    prompt: Prompt | None = Field(default=None, description="Paints what the regions leave from now on.")
    negative_prompt: Prompt | None = Field(default=None, description=f"What to keep away from{GUIDED}")
    image: FilePath | None = Field(
        default=None, description="A picture to put the regions on, relative to the scene file."
    )


class Keyframe(Part):
    """An edit while the stream runs, of a region or of the background. What it leaves out stays as it is."""

    at: At = Field(
        description="The frame that shows it first, counted from 0, or the time, in seconds: `1.5s`."
    )
    region: RegionName | None = Field(default=None, description="The name of the region to change.")
    background: BackgroundChange | None = Field(
        default=None, description="Instead of `region`: changes of the background."
    )
    prompt: RegionPrompt | None = Field(default=None, description="What to paint there from now on.")
    negative_prompt: Prompt | None = Field(default=None, description=f"What to keep away from there{GUIDED}")
    prompt_strength: Share | None = Field(
        default=None, description="Between the background's prompt (0) and the region's own (1)."
    )
    mask: AnyMask | None = Field(
        default=None,
        description="Where the region lies from now on. Boxes, ellipses, and polygons with as many corners "
        "can be eased into each other.",
    )
    mask_strength: Share | None = Field(default=None, description="Scale of the mask before quantization.")
    mask_std: Blur | None = Field(default=None, description="Blur of the edge: standard deviation in px.")
    shift: Shift | None = Field(
        default=None,
        description="[x, y]: how far the mask lies from where `mask` puts it, in shares of the canvas; to "
        "the right and down.",
    )
    ease: Ease = Field(
        default="none",
        description="How values get here from the last keyframe that set them, or from the first frame: "
        "`none` jumps, `linear` is steady, `smooth` starts and ends slowly.",
    )


class Stream(Part):
    """Frames over time (task `stream`)."""

    frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)] | None = Field(
        default=None, description="How many frames; default: 50, or as many as the input has."
    )
    seconds: Annotated[float, Field(gt=0, le=86_400)] | None = Field(
        default=None, description="Instead of `frames`: for how long."
    )
    fps: Annotated[float, Field(ge=0.01, le=240)] | None = Field(
        default=None, description="Frames a second; default: the input's, else 12."
    )
    loop: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="How often an animation plays; 0: for ever."
    )
    buffer: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="How many frames enter the batch, and leave it, at a time."
    )
    mode: Literal["batch", "sequential"] = Field(
        default="batch",
        description="`batch`: frames at successive steps of the schedule share one batch; `sequential`: one "
        "frame after the other, for comparison.",
    )
    autoflush: bool = Field(
        default=False,
        description="Whether a keyframe restarts the frames in flight, or only bends what is left of them.",
    )
    variation: Share = Field(
        default=0.0,
        description="How much of the noise that a frame starts from is its own; 0: all start alike.",
    )
    input: FilePath | None = Field(
        default=None,
        description="Frames to repaint: a picture, an animation, a video, a folder of pictures, or a pattern "
        "(`frames/*.png`), relative to the scene file.",
    )
    fit: Literal["cover", "contain", "stretch"] = Field(
        default="cover", description="How input frames of another size meet the canvas; see Background."
    )
    strength: Repaint | None = Field(
        default=None,
        description="How far input frames are repainted, 1 being wholly; default: 0.5, but where "
        "`sampler.indices` is given, those steps as they are.",
    )
    similarity: Similarity | None = Field(
        default=None, description="Skip input frames that hardly change; default: none is skipped."
    )
    timeline: Annotated[tuple[Keyframe, ...], Field(max_length=1000)] = Field(
        default=(), description="Edits while the stream runs."
    )
