"""The section `model` of the scene language."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from smd_cli.families import FAMILIES
from smd_cli.scene.loras import Loras
from smd_cli.scene.paths import Reference
from smd_cli.scene.section import Section
from smd_cli.scene.values import LearnedWord

if TYPE_CHECKING:
    FamilyName = str
else:
    FamilyName = Literal["auto", *FAMILIES]

ANY_FAMILY = "auto"
"""The family of models that is read from their files."""
CAPTIONER = "Salesforce/blip-image-captioning-large"
"""The smaller published one comes as a pickle alone."""


class TextualInversion(Section):
    """A word that a textual inversion has taught, to be written in prompts."""

    path: Reference = Field(
        description="Hub id, or a .safetensors file or folder relative to the scene file."
    )
    token: LearnedWord | None = Field(
        default=None,
        description="The word as prompts write it, upper and lower case as here; default: the one that the "
        "file has, else the file's name.",
    )


class Model(Section):
    """The diffusion model. A text in place of the mapping is its `base`."""

    base: Reference = Field(
        default=Reference("flatland"),
        json_schema_extra={"default": "flatland"},
        description="`flatland` (the embedded model), a folder or .safetensors file relative to the scene "
        "file, or a place on the hub, such as `owner/name` or `owner/name@revision/file.safetensors`.",
    )
    family: FamilyName = Field(
        default=ANY_FAMILY,
        description="Architecture; `auto` reads it from the weights. This version supports "
        f"{', '.join(f'`{name}`' for name in FAMILIES)}.",
    )
    vae: Reference | None = Field(
        default=None,
        description="The autoencoder: `own`, the model's; `tiny`, its family's small one, which is fast and "
        "less exact; or another: a file, a folder or a Hub id; default: `own`.",
    )
    loras: Loras = Field(
        default=(), description="Adapters that are fused into the model, for everything that is painted."
    )
    textual_inversions: Annotated[tuple[TextualInversion, ...], Field(max_length=64)] = Field(
        default=(), description="Words that prompts may use beside ordinary ones."
    )
    config: Reference | None = Field(
        default=None,
        description="A diffusers folder or Hub id with the configs and the tokenizer for a single "
        ".safetensors file; default: the family's published one.",
    )
    lcm_lora: Reference | None = Field(
        default=None,
        description="The LoRA that lets ordinary weights sample in few steps, for the `lcm` sampler, or "
        "`none` where the weights are few-step ones already; default: the model's own, in its folder "
        "`lcm_lora`, else the family's published one.",
    )
    t5: Literal["auto", "none"] = Field(
        default="auto",
        description="SD3's third text encoder, T5: `auto` uses it where the model has it; `none` leaves it "
        "out, which saves the larger part of the model's memory and some understanding of long prompts.",
    )
    t5_length: Annotated[int, Field(ge=2, le=512)] = Field(
        default=256,
        description="How many tokens T5 reads at a time, where the model has it; longer prompts are read in "
        "several parts. Without T5, as many zeros stand in its place.",
    )
    captioner: Reference | None = Field(
        default=None,
        description="What captions the background picture where `background.prompt` is `auto`: a folder or "
        f"Hub id of a BLIP model for captions; default: `{CAPTIONER}`.",
    )


def model_from_text(value: Any) -> Any:  # noqa: ANN401 - what a file says, of any shape
    """Return what a scene says of its model as a mapping, where it is a text."""
    return {"base": value} if isinstance(value, str) else value
