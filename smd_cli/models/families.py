"""The families of models this program can drive. A new family is one line here and one file beside it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Where a family's code and its public companions are.

    Attributes:
        module: has `load(assets, device, dtype) -> Backbone`; imported when such a model is loaded.
        config: Hugging Face id that gives a single-file checkpoint its configs and its tokenizer.
        lcm_lora: Hugging Face id of the LoRA that makes ordinary weights few-step ones (2311.05556).
    """

    module: str
    config: str
    lcm_lora: str


FAMILIES = {
    "sd15": Family(
        module="smd_cli.models.sd15",
        config="stable-diffusion-v1-5/stable-diffusion-v1-5",
        lcm_lora="latent-consistency/lcm-lora-sdv1-5",
    ),
}
