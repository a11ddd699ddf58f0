"""What lies at a reference: a model, a LoRA or another part of one, and what is known of it. Knows no torch.

Nothing is fetched for it but configs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, Literal

from smd_cli.errors import AssetError
from smd_cli.families import FAMILIES
from smd_cli.models.adapter_survey import adapter_details, family_of
from smd_cli.models.assets import locate
from smd_cli.models.captioner_files import CAPTIONER
from smd_cli.models.choice import config_names, is_model_folder, wanted_names
from smd_cli.models.configs import CONFIG, Config, read_config
from smd_cli.models.facts import ModelFacts, read_facts
from smd_cli.models.families import all_families, family
from smd_cli.models.family import Component, Family
from smd_cli.models.files import Files
from smd_cli.models.kinds import AUTOENCODER, CHECKPOINT, INVERSION, LORA, kind_of
from smd_cli.models.recognise import recognise_file, recognise_folder
from smd_cli.models.spec import ModelSpec
from smd_cli.models.weights import open_weights, read_header
from smd_cli.references import SAFETENSORS

Sort = Literal["model", "configs", "lora", "vae", "textual_inversion", "captioner", "other"]

_OF_FILES: Mapping[object, Sort] = {
    CHECKPOINT: "model",
    LORA: "lora",
    INVERSION: "textual_inversion",
    AUTOENCODER: "vae",
}


_LOOKED_AT = 16  # files of a repository that holds many


@dataclass(frozen=True)
class Weights:
    """A network, or a file of weights that is none.

    Attributes:
        name: of the component; of what is no model's, the file's.
        network: its class; '' where that is not known.
        files: how many its weights are spread over.
        size: bytes; None: not known.
        numbers: how many it holds; None: its weights are not here.
        dtypes: of these, the most frequent first.
    """

    name: str
    network: str
    files: int
    size: int | None
    numbers: int | None = None
    dtypes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """What lies at a reference.

    Attributes:
        files: there.
        sort: what it is; `configs` is a model without weights, as single files need it.
        family: of models that it is, or is for; '' where that is not known.
        parts: its networks.
        facts: what a model's configs say; None: it is none, or they are not here.
        details: what else is known, by words for it.
        problem: why no more is known; '' where nothing is wrong.
    """

    files: Files
    sort: Sort
    family: str = ""
    parts: tuple[Weights, ...] = ()
    facts: ModelFacts | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def is_here(self) -> bool:
        """Tell whether all that is read of it is on this disk."""
        try:
            names = config_names(self.files) if self.sort == "configs" else wanted_names(self.files)
            return all(self.files.look(name).is_here for name in names)
        except AssetError:
            return False


def survey(files: Files, *, offline: bool) -> Survey:
    """Find what files are. What cannot be read of them is a `problem`.

    Raises AssetError: configs cannot be fetched.
    """
    if is_model_folder(files):
        return _folder(files)
    if CONFIG in files and not files.file:
        return _network(files)
    try:
        name = wanted_names(files)[0]
    except AssetError as error:
        return Survey(files, "other", problem=str(error))
    if not files.look(name).is_here:
        return Survey(
            files, "other", parts=(_part(files, name, "", [name]),), problem=f"{name}: not here yet"
        )
    (path,) = files.get(name)
    return _file(files, path, offline=offline)


def survey_cached(files: Files) -> Survey:
    """Find what the files of a repository are that are here; of several, what they have in common.

    Raises AssetError: they cannot be looked at.
    """
    here = [name for name in files.names if name.endswith(SAFETENSORS) and files.look(name).is_here]
    if is_model_folder(files) and not here:
        return replace(_folder(files), sort="configs")
    if is_model_folder(files) or CONFIG in files:
        return survey(files, offline=True)
    found = [survey(replace(files, file=name), offline=True) for name in here[:_LOOKED_AT]]
    if not found:
        return Survey(files, "other", problem="no file of weights of it is here")
    sorts, families = ({getattr(each, key) for each in found} for key in ("sort", "family"))
    common = families.pop() if len(families) == 1 else ""
    return replace(found[0], sort=sorts.pop() if len(sorts) == 1 else "other", family=common)


def _folder(files: Files) -> Survey:
    folder = files.fetch(config_names(files))
    try:
        name = recognise_folder(folder)
    except AssetError as error:
        return Survey(files, "other", problem=str(error))
    if name not in FAMILIES:
        return Survey(files, "model", name, problem=f"family {name} is not supported by this version")
    known = family(name)
    parts = tuple(_parts(files, folder, known))
    facts, problem = None, ""
    try:
        facts = read_facts(folder, folder / known.autoencoder, known)
    except AssetError as error:
        problem = str(error)
    return Survey(
        files,
        "model" if any(part.files for part in parts) else "configs",
        name,
        parts,
        facts,
        problem=problem,
    )


def _parts(files: Files, folder: Path, known: Family) -> Iterator[Weights]:
    """Yield the networks of a model folder that are there, or will be once it is fetched."""
    wanted = wanted_names(files)
    for name in known.components:
        if files.has_folder(name):
            weights = [each for each in wanted if each.startswith(f"{name}/") and each.endswith(SAFETENSORS)]
            network = read_config(folder / name).get("_class_name") or _class_of(known, folder, name)
            yield _part(files, name, str(network), weights)


def _class_of(known: Family, folder: Path, name: str) -> str:
    try:
        return known.network(name, folder / name).name
    except AssetError:
        return ""


def _part(files: Files, name: str, network: str, weights: list[str]) -> Weights:
    """Describe weights; how many numbers they hold is known of those that are here."""
    stored = [files.look(each) for each in weights]
    sizes = [each.size for each in stored]
    size = None if None in sizes else sum(each for each in sizes if each is not None)
    if not weights or not all(each.is_here for each in stored):
        return Weights(name, network, len(weights), size)
    counted: Counter[str] = Counter()
    for path in files.get(*weights):
        counted.update(_numbers(path))
    return Weights(name, network, len(weights), size, counted.total(), _frequent(counted))


def _numbers(path: Path, prefix: str = "") -> Counter[str]:
    """Count the numbers of a file's tensors whose names have a prefix, by their types."""
    counted: Counter[str] = Counter()
    with open_weights(path) as file:
        for name in file.keys():  # noqa: SIM118 - no mapping
            if name.startswith(prefix):
                tensor = file.get_slice(name)
                counted[tensor.get_dtype()] += prod(tensor.get_shape())
    return counted


def _frequent(counted: Counter[str]) -> tuple[str, ...]:
    return tuple(dtype for dtype, _ in counted.most_common())


def _network(files: Files) -> Survey:
    """Describe a folder of one network: an autoencoder, a captioner, or none that a scene can name."""
    (path,) = files.get(CONFIG)
    config = read_config(path.parent)
    name = str(config.get("_class_name") or config.get("model_type") or "")
    try:
        weights = [each for each in wanted_names(files) if each.endswith(SAFETENSORS)]
    except AssetError as error:
        return Survey(files, _sort_of(config), problem=str(error))
    part = _part(files, "weights", name, weights)
    return Survey(files, _sort_of(config), parts=(part,), details=_latents(config))


def _sort_of(config: Config) -> Sort:
    if config.get("model_type") == CAPTIONER:
        return "captioner"
    known = {each.network.name for one in all_families() for each in one.autoencoders}
    return "vae" if config.get("_class_name") in known else "other"


def _latents(config: Config) -> dict[str, Any]:
    channels = config.get("latent_channels")
    return {} if channels is None else {"latent channels": channels}


def _file(files: Files, path: Path, *, offline: bool) -> Survey:
    """Describe a file of weights that is here."""
    try:
        shapes, header = read_header(path)
        sort = _OF_FILES.get(kind_of(shapes), "other")
        if sort == "model" or (sort == "other" and _is_denoiser(path)):
            return _checkpoint(files, path, offline=offline)
    except AssetError as error:
        return Survey(files, "other", problem=str(error))
    counted = _numbers(path)
    part = Weights(
        path.name, "", 1, files.look(files.file or path.name).size, counted.total(), _frequent(counted)
    )
    if sort == "lora":
        name = family_of(shapes, header)
        return Survey(files, sort, name, (part,), details=adapter_details(shapes, name))
    if sort == "textual_inversion":
        return Survey(files, sort, parts=(part,), details={"vectors": [*shapes.values()]})
    return Survey(files, sort, parts=(part,))


def _is_denoiser(path: Path) -> bool:
    """Tell whether a file is a model's denoiser alone, which some families are published as."""
    try:
        return recognise_file(path) in FAMILIES
    except AssetError:
        return False


def _checkpoint(files: Files, path: Path, *, offline: bool) -> Survey:
    name = recognise_file(path)
    if name not in FAMILIES:
        return Survey(files, "model", name, problem=f"family {name} is not supported by this version")
    parts = _held(path, family(name))
    facts, problem = None, ""
    try:
        facts = locate(ModelSpec(files.reference), offline=offline).facts
    except AssetError as error:
        problem = str(error)
    return Survey(files, "model", name, parts, facts, problem=problem)


def _held(path: Path, known: Family) -> tuple[Weights, ...]:
    """Describe the networks that a file holds: under their prefixes, or without one the denoiser alone."""
    parts = [_of_file(path, name, each, each.prefix) for name, each in known.components.items()]
    held = tuple(part for part in parts if part.numbers)
    return held or (_of_file(path, known.denoiser, known.components[known.denoiser], ""),)


def _of_file(path: Path, name: str, component: Component, prefix: str) -> Weights:
    """Describe a network in a file that may hold several."""
    counted = _numbers(path, prefix)
    size = sum(_bytes(dtype) * count for dtype, count in counted.items())
    network = component.network.name if component.network else ""
    return Weights(name, network, 1, size, counted.total(), _frequent(counted))


def _bytes(dtype: str) -> int:
    """Return how many bytes a number of a type takes: `BF16`, `F8_E4M3`, `BOOL`."""
    bits = re.match(r"[A-Z]+(\d+)", dtype)
    return int(bits[1]) // 8 if bits else 1
