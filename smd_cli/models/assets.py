"""Everything a render needs of a model, found and checked before any weight is read. Knows no torch."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import file_digest, sha256
from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.models.facts import ModelFacts, read_facts
from smd_cli.models.recognise import recognise_folder
from smd_cli.models.sources import Source, resolve
from smd_cli.models.weights import component_file, read_shapes

COMPONENTS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
"""Folders of a diffusers model that hold weights, and the stem of their file names."""

_CONFIGS = ("model_index.json", "*/config.json", "scheduler/*.json", "tokenizer/*")
_WEIGHTS = tuple(f"{folder}/{stem}.safetensors" for folder, stem in COMPONENTS.items())


@dataclass(frozen=True)
class ModelSpec:
    """A user's choice of model.

    Attributes:
        base: an embedded model's name, a diffusers folder, or a hub id.
    """

    base: str


@dataclass(frozen=True)
class Assets:
    """A model's files on this disk, recognised and whole.

    Attributes:
        base: the checkpoint.
        configs: diffusers folder with the configs and the tokenizer.
        facts: what the configs say.
        weights: weight file of each of `COMPONENTS`.
    """

    base: Source
    configs: Path
    facts: ModelFacts
    weights: dict[str, Path]

    @cached_property
    def sha256(self) -> str:
        """Of the weights: the file's own digest where there is one file, else that of the files' digests."""
        digests = []
        for path in dict.fromkeys(self.weights.values()):
            with path.open("rb") as file:
                digests.append(file_digest(file, "sha256").hexdigest())
        return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def locate(spec: ModelSpec, *, offline: bool = False) -> Assets:
    """Find a model's files, fetch what is missing unless `offline`, and check them.

    Raises:
        AssetError: not found, not cached, of another family, or damaged; nothing has been loaded then.
    """
    base = resolve(spec.base, (*_CONFIGS, *_WEIGHTS), offline=offline)
    if not base.path.is_dir():
        raise AssetError(f"{base.reference}: not a model folder")
    family = recognise_folder(base.path)
    facts = read_facts(base.path, family)
    weights = {name: component_file(base.path / name, stem) for name, stem in COMPONENTS.items()}
    for path in weights.values():
        read_shapes(path)
    return Assets(base, base.path, facts, weights)
