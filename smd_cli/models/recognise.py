"""Which family a checkpoint belongs to, by its configs or the names of its tensors."""

from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.models.facts import read_config, read_json
from smd_cli.models.families import FAMILIES
from smd_cli.models.weights import read_shapes

_PIPELINES = {
    "StableDiffusionPipeline": "sd15",
    "LatentConsistencyModelPipeline": "sd15",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
}

_TENSORS = {
    "conditioner.embedders.": "sdxl",
    "model.diffusion_model.joint_blocks.": "sd3",
    "joint_blocks.": "sd3",
    "model.diffusion_model.double_blocks.": "flux",
    "double_blocks.": "flux",
    "cond_stage_model.model.": "sd2",
    "cond_stage_model.transformer.": "sd15",
}
"""Beginnings of tensor names that only one family's single files have."""


def recognise_folder(folder: Path) -> str:
    """Family of a diffusers folder, by its pipeline's name, else by its UNet.

    Raises:
        AssetError: no model there.
    """
    index = folder / "model_index.json"
    if index.exists():
        pipeline = str(read_json(index).get("_class_name"))
        return _PIPELINES.get(pipeline, pipeline)
    if not (folder / "unet").is_dir():
        raise AssetError(f"{folder}: not a diffusers model folder (no model_index.json)")
    return "sdxl" if read_config(folder / "unet").get("addition_embed_type") == "text_time" else "sd15"


def recognise_file(path: Path) -> str:
    """Family of a single-file checkpoint.

    Raises:
        AssetError: no checkpoint, or one without all its parts.
    """
    names = read_shapes(path)
    for start, family in _TENSORS.items():
        if any(name.startswith(start) for name in names):
            return family
    if any("lora" in name for name in names):
        raise AssetError(f"{path}: a LoRA, not a checkpoint; it belongs under model.loras")
    if any(name.startswith("model.diffusion_model.") for name in names):
        raise AssetError(f"{path}: a UNet without text encoder, not a whole checkpoint")
    if any(name.startswith(("encoder.", "first_stage_model.")) for name in names):
        raise AssetError(f"{path}: an autoencoder, not a checkpoint; it belongs under model.vae")
    raise AssetError(f"{path}: not a checkpoint of any known family")


def agree(asked: str, family: str, where: Path) -> str:
    """The recognised family, where it is one there is code for and not another than the user asked for."""
    if family not in FAMILIES:
        raise AssetError(
            f"{where}: family {family} is not supported yet by this version (only {', '.join(FAMILIES)})"
        )
    if asked not in ("auto", family):
        raise AssetError(f"{where}: is of family {family}, not {asked}")
    return family
