"""LoRAs: their keys in a scene, and those of single regions, whose weights can be eased."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from smd_cli.scene.paths import Reference
from smd_cli.scene.section import Section

MOST_LORAS = 16
"""How many one place of a scene may list."""


class Lora(Section):
    """A LoRA; with the package lycoris-lora also LoCon, LoHa, LoKr and DoRA."""

    path: Reference = Field(
        description="Hub id, or a .safetensors file or folder relative to the scene file."
    )
    weight: Annotated[float, Field(ge=-4, le=4)] = Field(default=1.0, description="Factor on its weights.")


Loras = Annotated[tuple[Lora, ...], Field(max_length=MOST_LORAS)]


def eased_loras(before: Iterable[Lora], after: Iterable[Lora], share: float) -> tuple[Lora, ...]:
    """Return the LoRAs between two lists of them; one that a list lacks has the weight 0 there."""
    weights: dict[Reference, float] = {}
    for loras, part in ((before, 1 - share), (after, share)):
        for lora in loras:
            weights[lora.path] = weights.get(lora.path, 0.0) + part * lora.weight
    return tuple(Lora.model_construct(path=path, weight=weight) for path, weight in weights.items())
