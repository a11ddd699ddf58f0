"""The LoRAs of a model: which ones, and their files. Knows no torch."""

from pathlib import Path, PurePosixPath

from smd_cli.errors import AssetError
from smd_cli.models.adapter_files import check_lora
from smd_cli.models.choice import LORA_WEIGHTS, only_weights
from smd_cli.models.family import Family
from smd_cli.models.files import Files
from smd_cli.models.peft_config import ADAPTER_CONFIG, config_beside
from smd_cli.models.sources import open_files
from smd_cli.models.spec import LOCAL_LORAS, ModelSpec, asked_for

LCM_LORA = "lcm_lora"
"""Folder in which a model may bring an LCM-LoRA of its own."""


def lora_files(path: Path) -> tuple[Path, ...]:
    """Return the files of a LoRA: its tensors, and the config beside them, if there is one."""
    return (path, *filter(None, [config_beside(path)]))


def lcm_lora_of(spec: ModelSpec, base: Files, family: Family) -> str:
    """Return a reference to the LCM-LoRA of a model: the user's, its own, or its family's."""
    own = f"{spec.base}/{LCM_LORA}" if base.has_folder(LCM_LORA) else family.lcm_lora
    return spec.lcm_lora or own


def find_loras(
    spec: ModelSpec, base: Files, family: Family | None, *, offline: bool
) -> tuple[tuple[Path, float], ...]:
    """Find the user's LoRAs and, for a family where it is needed, the LCM-LoRA unless they name it."""
    found = []
    for index, (reference, weight) in enumerate(spec.loras):
        with asked_for(reference, *spec.lora_part(index)):
            found.append((_lora(open_files(reference, offline=offline)), weight))
    if family is None:
        return tuple(found)
    lcm_lora = lcm_lora_of(spec, base, family)
    if not lcm_lora:
        raise AssetError(
            f"{spec.base}: the lcm sampler needs few-step weights, and no LoRA is known that makes "
            f"{family.name} models such; set sampler.kind to euler, or model.lcm_lora to one, or to none if "
            "the weights are few-step ones"
        )
    if lcm_lora in (reference for reference, _ in spec.loras):
        return tuple(found)
    is_own = spec.lcm_lora is None and base.has_folder(LCM_LORA)
    with asked_for(lcm_lora, *spec.lora_part(len(spec.loras))):
        try:
            files = base.folder(LCM_LORA) if is_own else open_files(lcm_lora, offline=offline)
            found.append((_lora(files), 1.0))
        except AssetError as error:
            raise type(error)(
                f"{spec.base}: the lcm sampler needs few-step weights, so an LCM-LoRA; {error}; or set "
                "model.lcm_lora to its file, or sampler.kind to euler, with about 30 steps"
            ) from error
    return tuple(found)


def find_local_loras(spec: ModelSpec, *, offline: bool) -> dict[str, Path]:
    """Find the LoRAs of single regions."""
    found = {}
    for reference in spec.local_loras:
        with asked_for(reference, LOCAL_LORAS, reference):
            found[reference] = _lora(open_files(reference, offline=offline))
    return found


def _lora(files: Files) -> Path:
    """Fetch the file of a LoRA, the one that diffusers writes or the only one there, and its config."""
    name = only_weights(files, "LoRA", LORA_WEIGHTS)
    config = str(PurePosixPath(name).with_name(ADAPTER_CONFIG))
    path, *_ = files.get(name, *(each for each in files.names if each == config))
    if not files.is_ours:
        check_lora(path)
    return path
