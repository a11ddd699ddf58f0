"""A user's choice of model, and which part of it an error is about. Knows no torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from smd_cli.errors import AssetError, Part

TINY_VAE = "tiny"
"""What stands for the small autoencoder of a model's family."""

LOCAL_LORAS = "local_loras"
"""The part that the LoRAs of single regions are, by their references."""

T5 = "text_encoder_3"
"""The component of Stable Diffusion 3 that a user may leave out: its third text encoder, much the largest."""

T5_LENGTH = 256
"""How many tokens it reads at a time, as published."""


@dataclass(frozen=True)
class ModelSpec:
    """A user's choice of model. References are what `open_files` takes.

    Attributes:
        base: an embedded model's name, a diffusers folder, a .safetensors file or a hub id.
        family: a key of `FAMILIES`, or 'auto' to read it from the checkpoint.
        vae: another autoencoder, or `TINY_VAE`, the family's small one; None keeps the checkpoint's own.
        loras: adapters to fuse and their weights, in order.
        config: model folder or hub id that gives a single file its configs and tokenizer, and the networks
            that it lacks; None: the family's.
        lcm_lora: the LoRA that makes ordinary weights few-step ones; None: the model's own in
            its folder `lcm_lora`, else the family's.
        textual_inversions: learned words: a reference and the word; None: as the file calls it.
        local_loras: adapters for single regions, each once, whose weights the regions have.
        left_out: optional components that the model is loaded without.
        t5_length: how many tokens T5 reads at a time, where the model has one, or can have.
    """

    base: str
    family: str = "auto"
    vae: str | None = None
    loras: tuple[tuple[str, float], ...] = ()
    config: str | None = None
    lcm_lora: str | None = None
    textual_inversions: tuple[tuple[str, str | None], ...] = ()
    local_loras: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    t5_length: int = T5_LENGTH

    @property
    def configs_part(self) -> Part:
        """Return the part that gives a single file its configs and tokenizer."""
        return ("config",) if self.config else ("base",)

    def lora_part(self, index: int) -> Part:
        """Return the part that a LoRA comes from; the LCM-LoRA follows those that are listed."""
        if index < len(self.loras):
            return "loras", index
        return ("lcm_lora",) if self.lcm_lora else ("base",)


@contextmanager
def asked_for(reference: object, *part: str | int) -> Iterator[None]:
    """Say of what goes wrong meanwhile that it is about a part of a `ModelSpec`, unless that is said already.

    Raises AssetError: in place of an OSError too; `reference` is what was looked at then.
    """
    try:
        yield
    except AssetError as error:
        raise error.of_part(*part) from error
    except OSError as error:
        line = f"{error.filename or reference}: {error.strerror or error}"
        raise AssetError(line, parts=[part]) from error
