"""What this program has to know of a class of networks to build one from a stranger's config. Knows no torch.

Of the config it takes the keys that a class knows, with values that make sense, and builds the network
itself: nothing in a config can lead to another file, to code or to another kind of attention.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from smd_cli.errors import AssetError
from smd_cli.models.allowed import KnownKeys
from smd_cli.models.configs import CONFIG, Config, read_config

_log = logging.getLogger(__name__)

Spellings = Callable[[str], tuple[str, ...]]
"""Gives the other names that a tensor may have had, or has in a network of another release."""


@dataclass(frozen=True)
class NetworkClass:
    """A class of networks.

    Attributes:
        module: where it is, in diffusers or transformers.
        name: its own, which configs of diffusers call `_class_name`.
        known: the keys of its config.
        spellings: what a tensor's name may be in the network.
        single_file: what turns names of single-file checkpoints into the network's, in
            `diffusers.loaders.single_file_utils`: it takes tensors, and what it asks for of the network, its
            config and what their names begin with, and touches no file.
        takes_bare_names: whether that takes names without the prefix that they have in a whole checkpoint.
        trim: takes off a network, before it is filled, what it is never asked for.
        build: makes one of diffusers' from its class and the known keys of a config.
        identity: a square weight that single files leave out because it changes nothing, or hold in vain.
        nested: keys of its config that are configs themselves, of parts of the network.
        attention: what computes it in a class of transformers: PyTorch itself (`sdpa`), where the class can
            have that. Configs have no say in it.
    """

    module: str
    name: str
    known: KnownKeys
    spellings: Spellings = lambda name: ()
    single_file: str = ""
    takes_bare_names: bool = False
    trim: Callable[[Any], None] = lambda network: None
    build: Callable[[Any, Config], Any] = lambda kind, config: kind(**config)
    identity: str = ""
    nested: Mapping[str, KnownKeys] = field(default_factory=dict)
    attention: Literal["sdpa", "eager"] = "sdpa"


def is_described(folder: Path, network: NetworkClass) -> bool:
    """Tell whether a folder is there and describes a network of a class. Raises AssetError: unreadable."""
    return folder.is_dir() and read_config(folder).get("_class_name") == network.name


def read_network_config(folder: Path, network: NetworkClass) -> Config:
    """Read the config of a network: the known keys alone, with values that make sense.

    Raises:
        AssetError: it cannot be read, is another class's, or a value is none that is allowed.
    """
    config, path = read_config(folder), folder / CONFIG
    name = config.get("_class_name", network.name)
    if name != network.name:
        raise AssetError(f"{path}: describes a {name!s:.80}, not a {network.name}")
    parts = {key: known.reduce(_mapping(config, key, path), path) for key, known in network.nested.items()}
    return {**network.known.reduce(config, path), **parts}


def _mapping(config: Config, key: str, path: Path) -> Config:
    """Return a part of a config that is one itself."""
    part = config.get(key)
    if not isinstance(part, dict):
        raise AssetError(f"{path}: {key} is no config of a part of the network")
    return part


def warn_of_unknown_keys(folder: Path, network: NetworkClass) -> None:
    """Warn of keys that ask for something which this program does not know."""
    if unknown := network.known.unknown(read_config(folder)):
        _log.warning("%s: not known, so without effect: %s", folder / CONFIG, ", ".join(unknown))


_ABOUT_FILES = (
    "architectures dtype model_type name_or_path torch_dtype torchscript transformers_version use_bfloat16"
)
_ABOUT_TRAINING = "dropout gradient_checkpointing initializer_factor initializer_range"
_ABOUT_TASKS = (
    "chunk_size_feed_forward diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size "
    "id2label is_decoder is_encoder_decoder label2id length_penalty max_length min_length "
    "no_repeat_ngram_size num_beam_groups num_beams num_labels num_return_sequences output_hidden_states "
    "problem_type repetition_penalty return_dict temperature tie_word_embeddings top_k top_p typical_p "
    "use_cache"
)
TRANSFORMERS_NOTES = frozenset(f"{_ABOUT_FILES} {_ABOUT_TRAINING} {_ABOUT_TASKS}".split())
"""What transformers writes into every config, which a text encoder has no use for here."""
