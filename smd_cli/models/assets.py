"""Everything a render needs of a model, found and checked before any weight is read. Knows no torch."""

from dataclasses import dataclass, replace
from pathlib import Path

from smd_cli.digests import digest_of
from smd_cli.errors import AssetError
from smd_cli.models import families
from smd_cli.models.adapter_files import lora_file
from smd_cli.models.facts import ModelFacts, read_facts
from smd_cli.models.family import Family
from smd_cli.models.recognise import check_family, recognise_file, recognise_folder
from smd_cli.models.sources import Source, resolve
from smd_cli.models.weights import component_weights, read_shapes

LCM_LORA = "lcm_lora"
"""Folder in which a model may bring an LCM-LoRA of its own."""

_LORA = ("pytorch_lora_weights.safetensors",)


@dataclass(frozen=True)
class ModelSpec:
    """A user's choice of model. References are what `sources.resolve` takes.

    Attributes:
        base: an embedded model's name, a diffusers folder, a .safetensors file or a hub id.
        family: a key of `FAMILIES`, or 'auto' to read it from the checkpoint.
        vae: another autoencoder; None keeps the checkpoint's own.
        loras: adapters to fuse and their weights, in order.
        config: model folder or hub id that gives a single file its configs and tokenizer; None: the family's.
        lcm_lora: the LoRA that makes ordinary weights few-step ones; None: the model's own in
            its folder `lcm_lora`, else the family's.
    """

    base: str
    family: str = "auto"
    vae: str | None = None
    loras: tuple[tuple[str, float], ...] = ()
    config: str | None = None
    lcm_lora: str | None = None


@dataclass(frozen=True)
class ComponentFiles:
    """The files of one network of a model.

    Attributes:
        config: folder with its config.json.
        weights: its .safetensors files, several where they are sharded; in that folder under diffusers' names
            for its tensors, or anywhere under those of single-file checkpoints.
    """

    config: Path
    weights: tuple[Path, ...]


@dataclass(frozen=True)
class Assets:
    """A model's files on this disk, recognised and whole.

    Attributes:
        base: the checkpoint as it was asked for, and its revision.
        configs: model folder with the scheduler's config and the tokenizer.
        facts: what the configs say.
        components: files for each of the family's components that the model has.
        loras: files to fuse and their weights, in order.
    """

    base: Source
    configs: Path
    facts: ModelFacts
    components: dict[str, ComponentFiles]
    loras: tuple[tuple[Path, float], ...] = ()

    @property
    def family(self) -> Family:
        """Return the family that loads them."""
        return families.family(self.facts.family)

    @property
    def weights(self) -> tuple[Path, ...]:
        """Return the networks' files of weights, each once; a single-file checkpoint holds all of them."""
        files = (path for component in self.components.values() for path in component.weights)
        return tuple(dict.fromkeys(files))

    @property
    def sha256(self) -> str:
        """Return the digest of all weights, LoRAs included, as `digest_of` makes it."""
        return digest_of(dict.fromkeys([*self.weights, *(path for path, _ in self.loras)]))


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
        base, configs, family = _recognise(spec, offline=offline)
        components = _components(base.path, configs, family)
        if spec.vae is not None:
            components[family.autoencoder] = _vae(spec.vae, configs, family, offline=offline)
        facts = read_facts(configs, components[family.autoencoder].config, family)
        assets = Assets(base, configs, facts, components)
        _check(assets)
        needed = few_step and not facts.few_step
        lcm_lora = lcm_lora_of(spec, base.path, family.name) if needed else None
        loras = _loras(spec, lcm_lora, offline=offline)
    except OSError as error:
        raise AssetError(f"{error.filename or spec.base}: {error.strerror or error}") from error
    return replace(assets, loras=loras)


def _recognise(spec: ModelSpec, *, offline: bool) -> tuple[Source, Path, Family]:
    """Return the checkpoint, the folder with its configs, and its family."""
    wanted = (
        file for each in families.all_families() for file in (*_config_files(each), *_weight_files(each))
    )
    base = resolve(spec.base, tuple(dict.fromkeys(wanted)), offline=offline)
    if base.path.is_dir():
        return (
            base,
            base.path,
            families.family(check_family(spec.family, recognise_folder(base.path), base.path)),
        )
    family = families.family(check_family(spec.family, recognise_file(base.path), base.path))
    return base, _configs_of_single_file(spec, family, offline=offline), family


def _config_files(family: Family) -> tuple[str, ...]:
    """Return the names (patterns) of a family's configs on the hub."""
    tokenizers = (f"{each.tokenizer}/*" for each in family.components.values() if each.tokenizer)
    return ("model_index.json", "*/config.json", "scheduler/*.json", *tokenizers)


def _weight_files(family: Family) -> tuple[str, ...]:
    """Return the names (patterns) of a family's weights on the hub, whole and in shards."""
    stems = [f"{folder}/{component.stem}" for folder, component in family.components.items()]
    endings = (".safetensors", ".safetensors.index.json", "-*-of-*.safetensors")
    weights = (stem + ending for stem in stems for ending in endings)
    return (*weights, *(f"{LCM_LORA}/{file}" for file in _LORA))


def _components(path: Path, configs: Path, family: Family) -> dict[str, ComponentFiles]:
    """Find the networks of a model folder, or of a single file whose configs lie elsewhere."""
    is_single_file = path.is_file()
    return {
        name: ComponentFiles(
            configs / name,
            (path,) if is_single_file else component_weights(configs / name, component.stem),
        )
        for name, component in family.components.items()
        if not component.is_optional or (configs / name).is_dir()
    }


def _check(assets: Assets) -> None:
    """Raise AssetError unless every file of weights is whole and there is a tokenizer."""
    for path in assets.weights:
        read_shapes(path)
    tokenizers = (assets.family.components[name].tokenizer for name in assets.components)
    for tokenizer in (assets.configs / folder for folder in tokenizers if folder):
        if not (tokenizer / "tokenizer.json").exists() and not (tokenizer / "vocab.json").exists():
            raise AssetError(
                f"{tokenizer}: no tokenizer.json and no vocab.json; the model folder is incomplete"
            )


def _configs_of_single_file(spec: ModelSpec, family: Family, *, offline: bool) -> Path:
    """Find the model folder that supplies the configs and tokenizer which a single file lacks."""
    try:
        folder = resolve(spec.config or family.config, _config_files(family), offline=offline).path
    except AssetError as error:
        raise AssetError(
            f"{spec.base}: a single file needs the configs and the tokenizer of its family; {error}, "
            "or set model.config to a diffusers folder of that family"
        ) from error
    check_family(family.name, recognise_folder(folder), folder)
    return folder


def _vae(reference: str, configs: Path, family: Family, *, offline: bool) -> ComponentFiles:
    """Find a user's autoencoder: a folder of one, a model folder, or a file that fits the model's config."""
    name, stem = family.autoencoder, family.components[family.autoencoder].stem
    files = ("config.json", f"{stem}.safetensors")
    path = resolve(reference, (*files, *(f"{name}/{file}" for file in files)), offline=offline).path
    if path.is_file():
        return ComponentFiles(configs / name, (path,))
    folder = path / name if (path / name).is_dir() else path
    return ComponentFiles(folder, component_weights(folder, stem))


def lcm_lora_of(spec: ModelSpec, base: Path, family_name: str) -> str:
    """Return a reference to the LCM-LoRA of a model at `base`: the user's, its own, or its family's."""
    own = base / LCM_LORA
    return spec.lcm_lora or (str(own) if own.is_dir() else families.family(family_name).lcm_lora)


def _loras(spec: ModelSpec, lcm_lora: str | None, *, offline: bool) -> tuple[tuple[Path, float], ...]:
    """Find the user's LoRAs and, where it is needed and they do not name it, the LCM-LoRA."""
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
