"""What a file of tensors looks like, and where in a scene such a file belongs: for errors."""

from dataclasses import dataclass

from smd_cli.models.weights import Shapes

_ADAPTER_WORDS = ("lora", "hada_", "lokr_")


@dataclass(frozen=True)
class Kind:
    """A kind of file: as a sentence calls it, and its key in a scene."""

    name: str
    key: str


CHECKPOINT = Kind("a checkpoint", "model.base")
LORA = Kind("a LoRA", "model.loras")
INVERSION = Kind("a textual inversion", "model.textual_inversions")
AUTOENCODER = Kind("an autoencoder", "model.vae")


def kind_of(shapes: Shapes) -> Kind | None:
    """Return what a file looks like, by the names and shapes of its tensors; None: like nothing known."""
    if len(shapes) == 1 and all("." not in name and len(shape) == 2 for name, shape in shapes.items()):
        return INVERSION
    if any(word in name for name in shapes for word in _ADAPTER_WORDS):
        return LORA
    if _has(shapes, "model.diffusion_model."):
        return CHECKPOINT if _has(shapes, "first_stage_model.", "cond_stage_model.", "conditioner.") else None
    return AUTOENCODER if _has(shapes, "encoder.", "first_stage_model.") else None


def place_of(shapes: Shapes, wanted: Kind) -> str:
    """Say what a file looks like that is not of the wanted kind, and where it belongs; else ''."""
    kind = kind_of(shapes)
    if kind is None or kind is wanted:
        return ""
    return f"{kind.name}, not {wanted.name}; it belongs under {kind.key}"


def _has(shapes: Shapes, *starts: str) -> bool:
    return any(name.startswith(starts) for name in shapes)
