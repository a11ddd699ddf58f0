"""The background: its keys in a scene, the keys that keyframes can change, and its plan."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from smd_cli.scene.loras import Lora, Loras
from smd_cli.scene.paths import Reference
from smd_cli.scene.plan_values import Context, plan_values, scene_value
from smd_cli.scene.prompts import PromptMix
from smd_cli.scene.section import Section
from smd_cli.scene.values import GUIDED, Prompt, Repaint

AUTO = "auto"
"""What stands in place of the background's prompt for a caption of its picture."""

Fit = Literal["cover", "contain", "stretch"]


class Background(Section):
    """What is around and behind the regions: a prompt, a picture, or both."""

    prompt: Prompt = Field(
        default="",
        description="What to paint where no region is; empty: plain white. "
        "`auto`: a caption of `image`, which `model.captioner` makes; the recipe has the caption itself.",
    )
    negative_prompt: Prompt = Field(default="", description=f"What to avoid there{GUIDED}")
    image: Reference | None = Field(
        default=None, description="A picture that the regions are painted on, relative to the scene file."
    )
    fit: Fit = Field(
        default="cover",
        description="How a picture of another size is fitted to the canvas: `cover` fills the canvas and "
        "crops the picture, `contain` shows the whole picture and leaves new area beside it, `stretch` "
        "changes its proportions.",
    )
    place: (
        Annotated[
            tuple[Annotated[int, Field(ge=-100_000, le=100_000)], ...], Field(min_length=2, max_length=2)
        ]
        | None
    ) = Field(
        default=None,
        description="[x, y] in px: instead of `fit`, leaves the picture unscaled and puts its top left "
        "corner there; the background's prompt fills the new area around it.",
    )
    strength: Repaint | None = Field(
        default=None,
        description="How strongly the background's prompt repaints the whole picture (image-to-image): 1 "
        "repaints it completely; default: the picture is kept.",
    )
    loras: Loras = Field(
        default=(),
        description="Adapters for what the background's prompt paints alone, beside those of the model.",
    )


class BackgroundChange(Section):
    """The keys of the background that a keyframe can change."""

    prompt: Prompt | None = Field(default=None, description="The background's new prompt.")
    negative_prompt: Prompt | None = Field(
        default=None, description=f"The background's new negative prompt{GUIDED}"
    )
    image: Reference | None = Field(
        default=None, description="The background's new picture, relative to the scene file."
    )
    loras: Loras | None = Field(
        default=None, description="The background's adapters from then on, as those of a region."
    )


BACKGROUND_KEYS = tuple(BackgroundChange.model_fields)


@dataclass(frozen=True)
class BackgroundPlan:
    """The background with every default filled in.

    Attributes:
        prompt: empty, where no prompt paints the background.
        image: the picture; None: there is none.
        place: where the top left corner of the unscaled picture lies, x, y in px; None: `fit` decides.
        strength: how strongly the prompt repaints the picture, above 0, at most 1; None: the picture is kept.
    """

    prompt: PromptMix
    negative_prompt: PromptMix
    image: Reference | None
    fit: Fit
    place: tuple[int, int] | None
    strength: float | None
    loras: tuple[Lora, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a scene's section, with `place` or `fit`, whichever decides."""
        unused = "place" if self.place is None else "fit"
        return {key: scene_value(value) for key, value in vars(self).items() if key != unused}


def resolve_background(background: Background, context: Context) -> BackgroundPlan:
    """Fill in the background's defaults."""
    return BackgroundPlan(**plan_values(background, Background.model_fields, context))
