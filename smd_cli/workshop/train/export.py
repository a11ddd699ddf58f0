"""Exports the trained networks as a diffusers folder in float16, as the package ships it."""

import json
from pathlib import Path

from diffusers import DDIMScheduler
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from smd_cli.workshop.train.unet import TRAIN_STEPS, training_betas

PARTS = {
    "scheduler": ("diffusers", "DDIMScheduler"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderTiny"),
}


def export(
    folder: Path,
    tokenizer: CLIPTokenizer,
    text: CLIPTextModel,
    unet: UNet2DConditionModel,
    autoencoder: AutoencoderTiny,
) -> Path:
    """Save the networks under `folder` with SD1.5's layout and a scheduler config; return the folder.

    The modules are converted to float16 in place.
    """
    scheduler = DDIMScheduler(
        num_train_timesteps=TRAIN_STEPS,
        trained_betas=training_betas().tolist(),
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.save_pretrained(folder / "scheduler")
    tokenizer.save_pretrained(folder / "tokenizer")
    for name, module in (("text_encoder", text), ("unet", unet), ("vae", autoencoder)):
        module.half().save_pretrained(folder / name)
        _forget_origin(folder / name / "config.json")
    index = {"_class_name": "StableDiffusionPipeline", **{name: list(part) for name, part in PARTS.items()}}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    return folder


def _forget_origin(path: Path) -> None:
    """Remove from a config the folder that the network was once loaded from."""
    config = json.loads(path.read_text())
    config.pop("_name_or_path", None)
    path.write_text(json.dumps(config, indent=2) + "\n")
