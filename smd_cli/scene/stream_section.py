"""The scene language's section `stream`: frames over time, input frames, and the timeline of keyframes."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from smd_cli.scene.background import BackgroundChange, Fit
from smd_cli.scene.paths import Reference
from smd_cli.scene.region import RegionChange
from smd_cli.scene.section import Section
from smd_cli.scene.values import RegionName, Repaint, Share

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
Measure = Literal["rms", "cosine"]


class Similarity(Section):
    """Skips input frames at random (StreamDiffusion's similarity filter): the more alike, the likelier."""

    measure: Measure = Field(
        default="rms",
        description="How a frame is compared with the last repainted one. `rms`: 1 less the root mean square "
        "of the differences of their pixels, where black and white are 1 apart, so that 0.98 is 5 of 255 "
        "levels; `cosine`: the published cosine similarity, which sees patterns but no brightness.",
    )
    threshold: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.98,
        description="A frame no more like it than this is always repainted; above, the chance that it is "
        "skipped rises evenly from 0 to 1, for frames that are equal.",
    )
    max_skip: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10, description="The most frames to skip in a row."
    )


class _Target(Section):
    """The keys of a keyframe that say when it is, and what it changes."""

    at: At = Field(
        description="The first frame that shows the change, counted from 0, or its time: `1.5s` is the frame "
        "that begins nearest to it. With `autoflush` that frame shows all of it."
    )
    region: RegionName | None = Field(default=None, description="The name of the region to change.")
    background: BackgroundChange | None = Field(
        default=None, description="In place of `region`: changes of the background."
    )


class Keyframe(RegionChange, _Target):
    """A change of a region, or of the background, while the stream runs. Omitted keys keep their values."""

    ease: Ease = Field(
        default="none",
        description="How values change between the previous keyframe that set them (or the first frame) and "
        "this one: `none` jumps at this one, `linear` changes evenly, `smooth` starts and ends slowly.",
    )


class Stream(Section):
    """Frames over time (task `stream`)."""

    frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)] | None = Field(
        default=None,
        description="How many frames, at most as many as the input has; default: 50, or all of the input's.",
    )
    seconds: Annotated[float, Field(gt=0, le=86_400)] | None = Field(
        default=None, description="Instead of `frames`: how long the stream is."
    )
    fps: Annotated[float, Field(ge=0.01, le=240)] | None = Field(
        default=None,
        description="Frames a second; default: 12, or the input's frames, each shown as long as there. Given "
        "for a film, its frames are left out or repeated, and it stays as long as it is.",
    )
    loop: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="How often an animation plays; 0: endlessly."
    )
    buffer: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="How many frames enter and leave the batch at a time."
    )
    mode: Literal["batch", "sequential"] = Field(
        default="batch",
        description="`batch`: frames at successive steps of the schedule share one batch (stream batch); "
        "`sequential`: one frame after the other, for comparison.",
    )
    autoflush: bool = Field(
        default=False,
        description="How a keyframe takes effect: `true` starts its frame and those after it under the "
        "changed scene; `false` changes the scene for the remaining steps of the frames that are in the "
        "batch already, so that the change comes in over a few frames. Give `true` for edits exactly at "
        "their frame, and for masks that move.",
    )
    variation: Share = Field(
        default=0.0,
        description="How much of a frame's initial noise is its own; 0: all frames start from the same.",
    )
    input: Reference | None = Field(
        default=None,
        description="Frames to repaint: a picture, an animation, a video, a folder of pictures, or a pattern "
        "(`frames/*.png`), relative to the scene file.",
    )
    fit: Fit = Field(
        default="cover",
        description="How input frames of another size are fitted to the canvas, as `background.fit`.",
    )
    strength: Repaint | None = Field(
        default=None,
        description="How strongly input frames are repainted: 1 repaints them completely; default: 0.5, but "
        "where `sampler.indices` is given, those steps are taken unchanged.",
    )
    similarity: Similarity | None = Field(
        default=None, description="Skips input frames that barely change; default: none is skipped."
    )
    timeline: Annotated[tuple[Keyframe, ...], Field(max_length=1000)] = Field(
        default=(), description="Changes of the scene while the stream runs."
    )
