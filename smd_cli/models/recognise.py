"""Which family a checkpoint belongs to, by its configs or the names of its tensors."""

from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.models.facts import read_config, read_json
from smd_cli.models.families import FAMILIES

_PIPELINES = {
    "StableDiffusionPipeline": "sd15",
    "LatentConsistencyModelPipeline": "sd15",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
}


def recognise_folder(folder: Path) -> str:
    """Family of a diffusers folder.

    Raises:
        AssetError: no model, or one of a family this version cannot drive.
    """
    if not (folder / "model_index.json").exists() and not (folder / "unet").is_dir():
        raise AssetError(f"{folder}: not a diffusers model folder (no model_index.json)")
    if (folder / "model_index.json").exists():
        pipeline = read_json(folder / "model_index.json").get("_class_name", "nothing")
        family = _PIPELINES.get(pipeline, pipeline)
    elif read_config(folder, "unet").get("addition_embed_type") == "text_time":
        family = "sdxl"
    else:
        family = "sd15"
    return supported(family, folder)


def supported(family: str, where: Path) -> str:
    """`family`, where there is code for it."""
    if family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise AssetError(f"{where}: family {family} is not supported yet by this version (it drives {known})")
    return family
