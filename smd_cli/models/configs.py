"""The config files of a model folder. Reads JSON alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smd_cli.errors import AssetError
from smd_cli.models.content import real_kind
from smd_cli.regular_files import MAX_CONFIG, read_text, why_unread
from smd_cli.strict_json import parse

if TYPE_CHECKING:
    from smd_cli.models.prediction import Training

Config = dict[str, Any]

CONFIG, INDEX = "config.json", "model_index.json"
"""Files of a network's folder, and of a model folder."""

SCHEDULER_CONFIG = "scheduler/scheduler_config.json"
"""Where a model folder says what noise it was trained on."""

DEFAULTS = "smd_defaults.yaml"
"""File of a model folder in which its author recommends settings to scenes."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
"""Files of a tokenizer's folder that are read, where they are there."""

CHAT_TEMPLATE = "chat_template.jinja"
"""File of a tokenizer's folder that holds the program which writes conversations; it is never run."""

VOCABULARIES = ("tokenizer.json", "vocab.txt")
"""Files of the words of a network that is a folder of its own; the first that is there is read."""


@dataclass(frozen=True)
class ModelConfigs:
    """The configs of a model, as a family reads its facts from them.

    Attributes:
        folder: the model folder they lie in, for what else a family looks at, and for errors.
        denoiser: that of the UNet or transformer.
        autoencoder: that of the autoencoder in use, which may be another than the folder's.
        scheduler: that of the scheduler.
        training: how the model was trained.
        downscale: px a latent of the autoencoder, along one side.
        picture_side: of the pictures that the model's own autoencoder names, px; None: it names none.
    """

    folder: Path
    denoiser: Config
    autoencoder: Config
    scheduler: Config
    training: Training
    downscale: int
    picture_side: int | None = None


def read_config(folder: Path) -> Config:
    """Read the config.json of a component's folder; errors are those of `read_json`."""
    return read_json(folder / CONFIG)


def read_json(path: Path, limit: int = MAX_CONFIG) -> Config:
    """Read a JSON object from a file of at most `limit` bytes.

    Its numbers may be infinite or NaN: schedulers and tokenizers are published with such in keys that have no
    effect here (`lambda_min_clipped`, `model_max_length`). Whoever takes a number says what it may be.

    Raises:
        AssetError: it cannot be read, or is none.
    """
    try:
        content = parse(read_text(path, limit), any_number=True)
    except OSError as error:
        hint = "; the model folder is incomplete" if isinstance(error, FileNotFoundError) else ""
        raise AssetError(f"{path}: {why_unread(error)}{hint}") from error
    except ValueError as error:
        kind = real_kind(path)
        problem = f"not JSON but {kind}" if kind else f"not readable as JSON ({error})"
        raise AssetError(f"{path}: {problem}") from error
    if not isinstance(content, dict):
        raise AssetError(f"{path}: expected a JSON object")
    return content
