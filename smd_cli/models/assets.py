"""Everything a render needs of a model, found and checked before any weight is read. Knows no torch."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from smd_cli.digests import digest_of
from smd_cli.errors import AssetError, Part
from smd_cli.models import families
from smd_cli.models.choice import config_names, is_model_folder, only_weights
from smd_cli.models.configs import CONFIG, SCHEDULER_CONFIG, TOKENIZER_FILES, read_json
from smd_cli.models.facts import ModelFacts, read_facts
from smd_cli.models.family import Family
from smd_cli.models.files import Files
from smd_cli.models.lora_choice import find_local_loras, find_loras, lora_files
from smd_cli.models.network_class import NetworkClass, read_network_config, warn_of_unknown_keys
from smd_cli.models.networks import (
    ComponentFiles,
    Networks,
    check_network,
    fetch_autoencoder,
    fetch_folder,
    lacking_parts,
    parts_of_file,
    parts_of_folder,
)
from smd_cli.models.prediction import inference_configs
from smd_cli.models.recognise import check_family, recognise_file, recognise_folder
from smd_cli.models.sources import open_files
from smd_cli.models.spec import TINY_VAE, ModelSpec, asked_for
from smd_cli.models.textual_inversions import TextualInversion, find_inversions

if TYPE_CHECKING:
    from smd_cli.core.samplers import ScheduleMaker


@dataclass(frozen=True)
class Assets:
    """A model's files on this disk, recognised and whole.

    Attributes:
        spec: what was asked for.
        base: its files of a model folder, or a single file.
        configs: model folder with the scheduler's config and the tokenizer.
        facts: what the configs say.
        components: files for each of the family's components that the model has.
        loras: files to fuse and their weights, in order.
        textual_inversions: learned words.
        local_loras: files of the adapters for single regions, by the references of the spec, in its order.
        digests: those that were taken of its files, by what they were taken of: once it is loaded, what lies
            at their paths may change, and says nothing of it any more.
    """

    spec: ModelSpec
    base: Files
    configs: Path
    facts: ModelFacts
    components: Networks
    loras: tuple[tuple[Path, float], ...] = ()
    textual_inversions: tuple[TextualInversion, ...] = ()
    local_loras: Mapping[str, Path] = field(default_factory=dict)
    digests: dict[Hashable, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def family(self) -> Family:
        """Return the family that loads them."""
        return families.family(self.facts.family)

    def part_of(self, component: str) -> Part:
        """Return which part of the spec a network comes from."""
        if self.spec.vae and component == self.family.autoencoder:
            return ("vae",)
        return self.spec.configs_part if self._is_lent(component) else ("base",)

    @property
    def lent_weights(self) -> dict[str, Path]:
        """Return the files of weights that come from where a single file's configs are, by what they are."""
        lent = (name for name in self.components if self._is_lent(name) and self.part_of(name) != ("vae",))
        return {f"{name}/{path.name}": path for name in lent for path in self.components[name].weights}

    def _is_lent(self, component: str) -> bool:
        files = self.components[component]
        return bool(self.base.file) and files.weights[0].parent == files.config

    @property
    def weights(self) -> tuple[Path, ...]:
        """Return the networks' files of weights, each once; a single-file checkpoint holds all of them."""
        files = (path for component in self.components.values() for path in component.weights)
        return tuple(dict.fromkeys(files))

    @property
    def texts(self) -> dict[str, Path]:
        """Return what is read of it beside weights, by what it is: configs and tokenizers."""
        folders = {name: files.config for name, files in self.components.items()}
        found = {f"{name}/{CONFIG}": folder / CONFIG for name, folder in folders.items()}
        found[SCHEDULER_CONFIG] = self.configs / SCHEDULER_CONFIG
        for component in self.family.components.values():
            names = [f"{component.tokenizer}/{file}" for file in TOKENIZER_FILES if component.tokenizer]
            found |= {name: path for name in names if (path := self.configs / name).exists()}
        for checkpoint in self.weights if self.base.file else ():
            beside = map(checkpoint.with_name, inference_configs(checkpoint.name))
            found |= {f"inference{path.suffix}": path for path in beside if path.is_file()}
        return found

    @property
    def lora_files(self) -> tuple[tuple[Path, ...], ...]:
        """Return the files of each LoRA: its tensors, and the config beside them, if there is one."""
        return tuple(lora_files(path) for path, _ in self.loras)

    @property
    def schedules(self) -> ScheduleMaker:
        """Read what makes the model's schedules; errors are those of `Family.schedules`."""
        return self.family.schedules(self.configs, self.facts)

    @property
    def sha256(self) -> str:
        """Return the digest of all that is loaded, LoRAs and learned words too, as `digest_of` makes it."""
        loras = (*(path for path, _ in self.loras), *self.local_loras.values())
        added = (*loras, *(each.path for each in self.textual_inversions))
        return digest_of(dict.fromkeys([*self.weights, *added]))


def locate(spec: ModelSpec, *, few_step: bool = False, offline: bool = False) -> Assets:
    """Find a model's files, fetch what is missing unless `offline`, and check them.

    Args:
        spec: the user's choice.
        few_step: the sampler needs few-step weights, so ordinary ones get the LCM-LoRA.
        offline: no network access at all.

    Raises:
        AssetError: not found, not cached, of another family, or damaged; nothing has been loaded then.
    """
    with asked_for(spec.base, "base"):
        files = open_files(spec.base, offline=offline)
        find = _folder if is_model_folder(files) else _checkpoint
        assets = find(spec, files, offline=offline)
        _check_components(assets)
        needed = few_step and not assets.facts.few_step
        loras = find_loras(spec, files, assets.family if needed else None, offline=offline)
        local = find_local_loras(spec, offline=offline)
        words = find_inversions(spec.textual_inversions, assets.family, assets.components, offline=offline)
    return replace(assets, loras=loras, textual_inversions=words, local_loras=local)


def _folder(spec: ModelSpec, files: Files, *, offline: bool) -> Assets:
    """Find the files of a model folder: configs first, which tell whether weights are worth fetching."""
    folder = files.fetch(config_names(files))
    family = families.family(check_family(spec.family, recognise_folder(folder), folder))
    given = () if spec.vae is None else (family.autoencoder,)
    parts = parts_of_folder(files, family, given, spec.left_out)
    networks = {name: _vae(spec, folder, family, offline=offline) for name in given}
    vae = networks[family.autoencoder].config if given else folder / family.autoencoder
    facts = read_facts(folder, vae, family)
    networks |= fetch_folder(files, folder, family, [name for name in parts if name not in given])
    return Assets(spec, files, folder, facts, {name: networks[name] for name in parts})


def _checkpoint(spec: ModelSpec, files: Files, *, offline: bool) -> Assets:
    """Find a checkpoint that is one file, and what it lacks: configs, tokenizers, perhaps networks."""
    name = only_weights(files, "checkpoint")
    path, *_ = files.get(name, *(each for each in inference_configs(name) if each in files.names))
    family = families.family(check_family(spec.family, recognise_file(path), path))
    held = parts_of_file(path, family)
    has_vae, has_config = spec.vae is not None, spec.config is not None
    lacking = lacking_parts(path, family, held, has_vae=has_vae, has_config=has_config)
    config_files, configs = _configs(spec, family, offline=offline)
    networks = {name: ComponentFiles(configs / name, (path,)) for name in held if name not in spec.left_out}
    networks |= _lent(spec, config_files, family, lacking)
    if spec.vae is not None:
        networks[family.autoencoder] = _vae(spec, configs, family, offline=offline)
    facts = read_facts(configs, networks[family.autoencoder].config, family, path)
    return Assets(spec, replace(files, file=name), configs, facts, networks)


def _lent(spec: ModelSpec, configs: Files, family: Family, lacking: Collection[str]) -> Networks:
    """Find the networks that a single file lacks, in the model folder that gives it its configs."""
    if not lacking:
        return {}
    with asked_for(configs.reference, *spec.configs_part):
        try:
            parts = parts_of_folder(configs, family, family.components.keys() - lacking, spec.left_out)
            return fetch_folder(
                configs, configs.fetch([]), family, [name for name in parts if name in lacking]
            )
        except AssetError as error:
            raise type(error)(
                f"{spec.base}: holds no {' and no '.join(name.replace('_', ' ') for name in lacking)}, which "
                f"the folder of its configs has to give then; {error}"
            ) from error


def _configs(spec: ModelSpec, family: Family, *, offline: bool) -> tuple[Files, Path]:
    """Find the model folder that supplies the configs and tokenizer which a single file lacks."""
    with asked_for(spec.config or family.config, *spec.configs_part):
        try:
            files = open_files(spec.config or family.config, offline=offline)
            if files.file:
                raise AssetError(f"{files.reference}: one file, not a diffusers folder")
            folder = files.fetch(config_names(files))
        except AssetError as error:
            raise type(error)(
                f"{spec.base}: a single file needs the configs and the tokenizer of its family; {error}, "
                "or set model.config to a diffusers folder of that family"
            ) from error
        check_family(family.name, recognise_folder(folder), folder)
    return files, folder


def _vae(spec: ModelSpec, configs: Path, family: Family, *, offline: bool) -> ComponentFiles:
    """Find a user's autoencoder: a folder of one, a model folder, or a file that fits the model's config."""
    name = family.autoencoder
    reference = family.tiny_autoencoder if spec.vae == TINY_VAE else str(spec.vae)
    with asked_for(spec.vae, "vae"):
        if not reference:
            raise AssetError(f"tiny: no small autoencoder is known for {family.name} models; leave vae out")
        files = open_files(reference, offline=offline)
        found = fetch_autoencoder(files, family.components[name].stem, name)
        if isinstance(found, ComponentFiles):
            _check_latents(found.config, configs / name, family)
            return found
        folder = configs if (configs / name).is_dir() else _configs(spec, family, offline=offline)[1]
        return ComponentFiles(folder / name, (found,))


def _check_latents(folder: Path, own: Path, family: Family) -> None:
    """Raise AssetError unless an autoencoder has the latents of the model's own, whose folder is `own`."""
    channels = [
        read_network_config(each, family.network(family.autoencoder, each)).get("latent_channels", 4)
        for each in (folder, own)
        if each == folder or each.is_dir()
    ]
    if len(set(channels)) > 1:
        raise AssetError(
            f"{folder}: an autoencoder of {channels[0]} latent channels, and this {family.name} model takes "
            f"{channels[1]}: it was made for another family"
        )


def _check_components(assets: Assets) -> None:
    """Raise AssetError unless every network is whole, and each text encoder knows its tokenizer's tokens."""
    for name, files in assets.components.items():
        part = assets.part_of(name)
        if assets.base.is_ours and part == ("base",):
            continue
        configs_part = assets.spec.configs_part if assets.base.file else ("base",)
        with asked_for(files.config, *(part if part == ("vae",) else configs_part)):
            _check_config(files.config, assets.family.network(name, files.config))
        with asked_for(files.config, *part):
            check_network(files, assets.family, name, assets.facts.latent_channels)
        component = assets.family.components[name]
        if component.tokenizer:
            with asked_for(component.tokenizer, *configs_part):
                encoder = files.config / CONFIG
                tokens = component.read_tokens(assets.configs / component.tokenizer)
                tokens.check_known(read_json(encoder).get("vocab_size"), encoder)


def _check_config(folder: Path, network: NetworkClass) -> None:
    """Raise AssetError unless a config describes a network; warn of what it asks for in vain."""
    read_network_config(folder, network)
    warn_of_unknown_keys(folder, network)
