"""The layers of a scene: the one list of what is painted on the canvas, its prompts and where it lies."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from smd_cli.scene.loras import Lora
from smd_cli.scene.prompts import PromptMix, mixed
from smd_cli.scene.region import RegionPlan
from smd_cli.scene.resolve import Plan

WHITE_PROMPT = "simple white background image"


@dataclass(frozen=True)
class CanvasImages:
    """The pictures of a scene at canvas size: its painted masks (white = region) and its background.

    `new_area` is white where the background picture does not reach, or None where it covers the canvas.
    """

    masks: Sequence[Image.Image]
    background: Image.Image | None = None
    new_area: Image.Image | None = None

    def crop(self, box: tuple[int, int, int, int]) -> "CanvasImages":
        """Return what lies in a box (left, top, right, bottom), px; the background picture is left out."""
        area = None if self.new_area is None else self.new_area.crop(box)
        return CanvasImages([mask.crop(box) for mask in self.masks], None, area)


@dataclass(frozen=True)
class Layer:
    """One region as the core knows it; later layers cover earlier ones.

    Attributes:
        prompt: its prompt, mixed with the background's as far as its prompt strength says.
        negative_prompt: mixed alike.
        loras: the LoRAs that it alone has.
        region: whose mask it has; None: it is the background, and fills what the other masks leave.
        is_behind: the background lies behind the others, and goes on with what is around it: it is painted as
            if they were not there, and never bootstrapped alone on white.
        in_new_area: the background is painted in new area beside a picture, and there alone.
    """

    prompt: PromptMix
    negative_prompt: PromptMix
    region: RegionPlan | None
    loras: tuple[Lora, ...] = ()
    is_behind: bool = False
    in_new_area: bool = False


def preserves_picture(plan: Plan, images: CanvasImages) -> bool:
    """Tell whether a scene has a background picture that is not repainted as a whole."""
    return images.background is not None and plan.background.strength is None


def scene_layers(plan: Plan, images: CanvasImages) -> tuple[Layer, ...]:
    """List what is painted: first the background, where its prompt paints something, then the regions."""
    background = plan.background
    prompt = background.prompt.replaced("", WHITE_PROMPT)
    layers = []
    in_new_area = images.new_area is not None and background.strength is None
    if background.prompt and (in_new_area or not preserves_picture(plan, images)):
        is_behind = in_new_area or plan.bootstrap.show_through
        layers.append(
            Layer(prompt, background.negative_prompt, None, background.loras, is_behind, in_new_area)
        )
    for region in plan.regions:
        strength = region.prompt_strength
        layers.append(
            Layer(
                mixed((prompt, 1 - strength), (region.prompt, strength)),
                mixed((background.negative_prompt, 1 - strength), (region.negative_prompt, strength)),
                region,
                region.loras,
            )
        )
    return tuple(layers)
