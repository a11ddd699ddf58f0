"""Everything a render needs of a model, found and checked before any weight is read. Knows no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import file_digest, sha256
from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.models.facts import ModelFacts, read_facts
from smd_cli.models.families import FAMILIES
from smd_cli.models.recognise import agree, recognise_file, recognise_folder
from smd_cli.models.sources import Source, resolve
from smd_cli.models.weights import component_file, lora_file, read_shapes

COMPONENTS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
"""Folders of a diffusers model that hold weights, and the stem of their file names."""

NO_LORA = "none"
"""What `ModelSpec.lcm_lora` says of weights that are few-step ones although their configs do not tell."""

LCM_LORA = "lcm_lora"
"""Folder in which a model may bring an LCM-LoRA of its own."""

_CONFIGS = ("model_index.json", "*/config.json", "scheduler/*.json", "tokenizer/*")
_LORA = ("pytorch_lora_weights.safetensors",)
_WEIGHTS = (
    *(f"{folder}/{stem}.safetensors" for folder, stem in COMPONENTS.items()),
    *(f"{LCM_LORA}/{file}" for file in _LORA),
)
_VAE = (
    "config.json",
    "diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)


@dataclass(frozen=True)
class ModelSpec:
    """A user's choice of model. References are what `sources.resolve` takes.

    Attributes:
        base: an embedded model's name, a diffusers folder, a .safetensors file or a hub id.
        family: a key of `FAMILIES`, or 'auto' to read it from the checkpoint.
        vae: another autoencoder; None keeps the checkpoint's own.
        loras: adapters to fuse and their weights, in order.
        config: model folder or hub id that gives a single file its configs and tokenizer; None: the family's.
        lcm_lora: the LoRA that makes ordinary weights few-step ones; or `NO_LORA`; None: the model's own in
            its folder `lcm_lora`, else the family's.
    """

    base: str
    family: str = "auto"
    vae: str | None = None
    loras: tuple[tuple[str, float], ...] = ()
    config: str | None = None
    lcm_lora: str | None = None


@dataclass(frozen=True)
class Part:
    """One network of a model.

    Attributes:
        config: folder with its config.json.
        weights: its .safetensors file; in that folder, or anywhere with other names for its tensors.
    """

    config: Path
    weights: Path


@dataclass(frozen=True)
class Assets:
    """A model's files on this disk, recognised and whole.

    Attributes:
        base: the checkpoint as it was asked for, and its revision.
        configs: model folder with the scheduler's config and the tokenizer.
        facts: what the configs say.
        parts: a network for each of `COMPONENTS`.
        loras: files to fuse and their weights, in order.
    """

    base: Source
    configs: Path
    facts: ModelFacts
    parts: dict[str, Part]
    loras: tuple[tuple[Path, float], ...] = ()

    @cached_property
    def sha256(self) -> str:
        """Of all weights: the file's own digest where there is one file, else that of the files' digests."""
        files = [part.weights for part in self.parts.values()] + [path for path, _ in self.loras]
        return digest_of(dict.fromkeys(files))


def digest_of(files: Iterable[Path]) -> str:
    """SHA-256 of what files hold: the file's own where there is one, else that of their digests in order."""
    digests = [_digest(path) for path in files]
    return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def _digest(path: Path) -> str:
    """SHA-256 of a file. The hub's cache names a large file's blob by it, which saves reading gigabytes."""
    blob = path.resolve()
    if blob.parent.name == "blobs" and len(blob.name) == 64:
        return blob.name
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def locate(spec: ModelSpec, *, few_step: bool = False, offline: bool = False) -> Assets:
    """Find a model's files, fetch what is missing unless `offline`, and check them.

    Args:
        spec: the user's choice.
        few_step: the sampler needs few-step weights, so ordinary ones get the LCM-LoRA.
        offline: no network access at all.

    Raises:
        AssetError: not found, not cached, of another family, or damaged; nothing has been loaded then.
    """
    try:
        base, configs, family = _recognise(spec, (*_CONFIGS, *_WEIGHTS), offline=offline)
        parts = _parts(base.path, configs)
        if spec.vae is not None:
            parts["vae"] = _vae(spec.vae, parts["vae"].config, offline=offline)
        facts = read_facts(configs, parts["vae"].config, family)
        _check(configs, parts)
        needed = few_step and not facts.few_step and spec.lcm_lora != NO_LORA
        lcm_lora = lcm_lora_of(spec, base.path, family) if needed else None
        loras = _loras(spec, lcm_lora, offline=offline)
    except OSError as error:
        raise AssetError(f"{error.filename or spec.base}: {error.strerror or error}") from error
    return Assets(base, configs, facts, parts, loras)


def facts_of(spec: ModelSpec, *, offline: bool = False) -> ModelFacts:
    """Facts of a checkpoint; of a model on the hub only the configs are fetched.

    Raises:
        AssetError: as `locate` does, but weights may be missing.
    """
    _, configs, family = _recognise(spec, _CONFIGS, offline=offline)
    return read_facts(configs, configs / "vae", family)


def _recognise(spec: ModelSpec, wanted: Sequence[str], *, offline: bool) -> tuple[Source, Path, str]:
    """The checkpoint, the folder with its configs, and its family."""
    base = resolve(spec.base, wanted, offline=offline)
    if base.path.is_dir():
        return base, base.path, agree(spec.family, recognise_folder(base.path), base.path)
    family = agree(spec.family, recognise_file(base.path), base.path)
    return base, _companion(spec, family, offline=offline), family


def _parts(path: Path, configs: Path) -> dict[str, Part]:
    """The networks of a model folder, or of a single file with its configs elsewhere."""
    alone = path.is_file()
    return {
        name: Part(configs / name, path if alone else component_file(configs / name, stem))
        for name, stem in COMPONENTS.items()
    }


def _check(configs: Path, parts: dict[str, Part]) -> None:
    """Every file is whole, and prompts can be read."""
    for path in {part.weights for part in parts.values()}:
        read_shapes(path)
    tokenizer = configs / "tokenizer"
    if not (tokenizer / "tokenizer.json").exists() and not (tokenizer / "vocab.json").exists():
        raise AssetError(f"{tokenizer}: no tokenizer.json and no vocab.json; the model folder is incomplete")


def _companion(spec: ModelSpec, family: str, *, offline: bool) -> Path:
    """Folder that supplies what a single file lacks."""
    try:
        folder = resolve(spec.config or FAMILIES[family].config, _CONFIGS, offline=offline).path
    except AssetError as error:
        raise AssetError(
            f"{spec.base}: a single file needs the configs and the tokenizer of its family; {error}, "
            "or set model.config to a diffusers folder of that family"
        ) from error
    agree(family, recognise_folder(folder), folder)
    return folder


def _vae(reference: str, config: Path, *, offline: bool) -> Part:
    """A user's autoencoder: a folder of one, a model folder, or a file that fits the checkpoint's config."""
    path = resolve(reference, _VAE, offline=offline).path
    if path.is_file():
        return Part(config, path)
    folder = path / "vae" if (path / "vae").is_dir() else path
    return Part(folder, component_file(folder, COMPONENTS["vae"]))


def lcm_lora_of(spec: ModelSpec, base: Path, family: str) -> str:
    """Where the LCM-LoRA of a model at `base` comes from: the user's, the model's own, or the family's."""
    own = base / LCM_LORA
    return spec.lcm_lora or (str(own) if own.is_dir() else FAMILIES[family].lcm_lora)


def _loras(spec: ModelSpec, lcm_lora: str | None, *, offline: bool) -> tuple[tuple[Path, float], ...]:
    """The user's LoRAs and, where it is needed and the user does not name it, the LCM-LoRA."""
    wanted = list(spec.loras)
    if lcm_lora is not None and lcm_lora not in (reference for reference, _ in wanted):
        wanted.append((lcm_lora, 1.0))
    found = []
    for reference, weight in wanted:
        try:
            path = lora_file(resolve(reference, _LORA, offline=offline).path)
        except AssetError as error:
            if reference != lcm_lora:
                raise
            raise AssetError(
                f"{spec.base}: the lcm sampler needs few-step weights, so an LCM-LoRA; {error}; or set "
                "model.lcm_lora to its file, or sampler.kind to ddim"
            ) from error
        found.append((path, weight))
    return tuple(found)
