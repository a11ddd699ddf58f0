"""Which of the files at a place are a model's: decided by their names, before any of them is fetched."""

import re
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from smd_cli.errors import AssetError
from smd_cli.models.configs import CONFIG, DEFAULTS, INDEX, VOCABULARIES, read_json
from smd_cli.models.families import all_families
from smd_cli.models.files import Files, listed
from smd_cli.models.peft_config import ADAPTER_CONFIG
from smd_cli.models.prediction import inference_configs
from smd_cli.references import PICKLES, SAFETENSORS

LORA_WEIGHTS = "pytorch_lora_weights.safetensors"
"""What diffusers calls the file of a LoRA in a repository."""

LEARNED_WORDS = "learned_embeds.safetensors"
"""What diffusers calls the file of a textual inversion in a repository."""

_STEMS = ("diffusion_pytorch_model", "model")
"""What the weights of a network alone are called: of diffusers, and of transformers."""


def is_model_folder(files: Files) -> bool:
    """Tell whether files are a model as diffusers saves it: a folder for each of its networks."""
    if files.file:
        return False
    return INDEX in files or any(name.count("/") == 1 and name.endswith(f"/{CONFIG}") for name in files.names)


def config_names(files: Files) -> list[str]:
    """Return all that is read of a model folder but weights: configs, tokenizers, recommended settings."""
    components = [item for family in all_families() for item in family.components.items()]
    configs = {INDEX, DEFAULTS, *(f"{name}/{CONFIG}" for name, _ in components)}
    folders = {"scheduler", *(component.tokenizer for _, component in components if component.tokenizer)}
    return [name for name in files.names if name in configs or name.rpartition("/")[0] in folders]


def wanted_names(files: Files, left_out: Collection[str] = ()) -> list[str]:
    """Return the names of all that is read of files, as far as names tell: nothing is fetched for it.

    Of a model folder, the weights of components that are `left_out` are not.

    Raises:
        AssetError: as `network_weights` and `only_weights`.
    """
    if is_model_folder(files):
        stems = {name: each.stem for family in all_families() for name, each in family.components.items()}
        weights = [
            f"{name}/{each}"
            for name, stem in stems.items()
            if files.has_folder(name) and name not in left_out
            for each in _weights_by_name(files.folder(name), stem)
        ]
        return [*config_names(files), *weights]
    if CONFIG in files and not files.file:
        stem = next((each for each in _STEMS if _found(files, each)), _STEMS[0])
        words = [name for name in VOCABULARIES if name in files][:1]
        return [CONFIG, *words, *_weights_by_name(files, stem)]
    usual = next((name for name in (LORA_WEIGHTS, LEARNED_WORDS) if name in files), "")
    name = only_weights(files, "file of weights", usual)
    beside = {str(PurePosixPath(name).with_name(ADAPTER_CONFIG)), *inference_configs(name)}
    return [name, *sorted(beside.intersection(files.names))]


def _weights_by_name(files: Files, stem: str) -> list[str]:
    """Return what `network_weights` fetches, its shards by their numbers. Raises as that."""
    found = _found(files, stem)
    if found is None or found.endswith(SAFETENSORS):
        return [*network_weights(files, stem)]
    variant = found.removeprefix(f"{stem}{SAFETENSORS}.index").removesuffix(".json")
    shard = re.compile(rf"{re.escape(stem + variant)}-\d+-of-\d+{re.escape(SAFETENSORS)}")
    return [found, *filter(shard.fullmatch, files.names)]


def _found(files: Files, stem: str) -> str | None:
    """Return the file of a network's weights, or the index of its shards; None: there is neither."""
    for variant in ("", ".fp16"):
        for name in (f"{stem}{variant}{SAFETENSORS}", f"{stem}{SAFETENSORS}.index{variant}.json"):
            if name in files:
                return name
    return None


def network_weights(files: Files, stem: str) -> tuple[str, ...]:
    """Return the names of a network's weights in its folder.

    They are `stem`.safetensors, else shards, else the fp16 variant of either. An index of shards is fetched.

    Raises:
        AssetError: none of them is there; names the file, and says when there are only pickles.
    """
    if found := _found(files, stem):
        return (found,) if found.endswith(SAFETENSORS) else _shards(files, found)
    pickles = [name for name in files.names if name.endswith(PICKLES)]
    if pickles:
        raise AssetError(_only_pickles(files, pickles))
    raise AssetError(f"{files.reference}/{stem}{SAFETENSORS}: no such file; the model folder lacks weights")


def _shards(files: Files, index: str) -> tuple[str, ...]:
    """Return the files over which an index says that the tensors are spread."""
    (path,) = files.get(index)
    spread = read_json(path).get("weight_map")
    if not isinstance(spread, dict) or not spread:
        raise AssetError(f"{path}: names no files of weights")
    names = sorted({PurePosixPath(str(name)).name for name in spread.values()})
    for name in names:
        if name not in files:
            raise AssetError(f"{files.reference}/{name}: no such file, but {index} names it")
    return tuple(names)


def only_weights(files: Files, kind: str, usual: str = "") -> str:
    """Return the name of the only file of weights: of a plain one and its fp16 variant, the plain one.

    Files at the top come before those in folders. Those of networks, beside their configs, do not count.

    Args:
        files: where to look.
        kind: what it should be, for errors, such as 'checkpoint'.
        usual: what diffusers calls the file of that kind, which is taken whatever lies beside it.

    Raises:
        AssetError: there are none, only pickles, or several; lists them.
    """
    if files.file.endswith(PICKLES):
        raise AssetError(_only_pickles(files, [files.file]))
    if files.file or usual in files:
        return files.file or usual
    found = _candidates(files, (SAFETENSORS,))
    if len(found) == 1:
        return found[0]
    if found:
        raise AssetError(
            f"{files.reference}: which {kind}? There are {len(found)}, {listed(found)}; add the name of one"
        )
    if pickles := _candidates(files, PICKLES):
        raise AssetError(_only_pickles(files, pickles))
    raise AssetError(f"{files.reference}: no {kind} in it, no {SAFETENSORS} file at all")


def _candidates(files: Files, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files with these endings that can be meant."""
    found = [
        name
        for name in files.names
        if name.endswith(suffixes)
        and not ("/" in name and str(PurePosixPath(name).with_name(CONFIG)) in files)
    ]
    found = [name for name in found if "/" not in name] or found
    plain = {name for name in found if ".fp16." not in name}
    return sorted(name for name in found if name in plain or name.replace(".fp16.", ".") not in plain)


def _only_pickles(files: Files, names: Sequence[str]) -> str:
    return (
        f"{files.reference}: pickled weights can run code and are never opened ({listed(names)}); "
        f"convert them to {SAFETENSORS}"
    )
