"""Which family a checkpoint belongs to, by its configs or the names of its tensors."""

from collections.abc import Iterable
from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.families import FAMILIES
from smd_cli.models.configs import INDEX, read_config, read_json
from smd_cli.models.families import all_families
from smd_cli.models.kinds import CHECKPOINT, place_of
from smd_cli.models.unet_family import is_told_sizes
from smd_cli.models.weights import read_shapes

_DENOISER = "model.diffusion_model."
"""What precedes the names of a denoiser's tensors in most files."""

_REFINER = "sdxl-refiner"
"""The second model of SDXL, which goes on with what the first has begun; both have one pipeline's name."""

_OTHER_TENSORS = {
    "conditioner.embedders.0.model.": _REFINER,
    "joint_blocks.": "sd3",
    "model.diffusion_model.double_blocks.": "flux",
    "double_blocks.": "flux",
    "noise_augmentor.alphas_cumprod": "sd2-unclip",
}
"""Beginnings of tensor names that only their single files have."""


def recognise_folder(folder: Path) -> str:
    """Return the family of a diffusers folder, by its pipeline's name, else by its configs.

    A family that is not in `FAMILIES` is named too, where it is known, else by its pipeline.

    Raises:
        AssetError: no model there.
    """
    index = folder / INDEX
    if is_told_sizes(folder) and _reads_second_encoder_alone(folder):
        return _REFINER
    if index.exists():
        pipeline = str(read_json(index).get("_class_name"))
        known = [family for family in all_families() if pipeline in family.marks.pipelines]
        fitting = [family for family in known if len(known) == 1 or family.marks.fits_folder(folder)]
        return (fitting or known)[0].name if known else pipeline
    for family in all_families():
        if family.marks.fits_folder(folder):
            return family.name
    raise AssetError(f"{folder}: not a diffusers model folder (no {INDEX})")


def _reads_second_encoder_alone(folder: Path) -> bool:
    second = folder / "text_encoder_2"
    if not second.is_dir():
        return False
    width = read_config(folder / "unet").get("cross_attention_dim")
    return width is not None and width == read_config(second).get("hidden_size")


def recognise_file(path: Path) -> str:
    """Return the family of a single-file checkpoint; one that is not in `FAMILIES` is named too.

    Raises:
        AssetError: no checkpoint, and no denoiser of one.
    """
    names = read_shapes(path)
    if _holds(names, "model_ema.") and not _holds(names, _DENOISER):
        raise AssetError(
            f"{path}: of its UNet it holds only the average over its training (model_ema.…), which is for "
            "training on; get the file with the weights for use"
        )
    known = {start: family.name for family in all_families() for start in family.marks.tensors}
    marks = {**_OTHER_TENSORS, **known}
    for start in sorted(marks, key=len, reverse=True):  # a family's own blocks before those it shares
        if _holds(names, start):
            return marks[start]
    bare = {name.removeprefix(_DENOISER) for name in names}
    for family in all_families():
        if not bare.isdisjoint(family.marks.denoiser):
            return family.name
    if place := place_of(names, CHECKPOINT):
        raise AssetError(f"{path}: {place}")
    raise AssetError(f"{path}: not a checkpoint of any known family")


def _holds(names: Iterable[str], *starts: str) -> bool:
    return any(name.startswith(starts) for name in names)


def check_family(asked: str, family: str, where: Path) -> str:
    """Return the recognised family of the checkpoint at `where`.

    Raises:
        AssetError: this program cannot run it, or the user asked for another; 'auto' asks for none.
    """
    if family not in FAMILIES:
        raise AssetError(
            f"{where}: family {family} is not supported yet by this version (only {', '.join(FAMILIES)})"
        )
    if asked not in ("auto", family):
        raise AssetError(f"{where}: is of family {family}, not {asked}")
    return family
