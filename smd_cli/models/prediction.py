"""What a model was trained to predict, and which file says so. Reads configs, headers and small texts alone.

A network that predicts noise and one that predicts v have the same tensors, so that somebody has to say it.
For single files there are three conventions: an inference config of the original Stable Diffusion beside
the file, empty tensors `v_pred` and `ztsnr` in it, and its header, as ModelSpec or kohya's trainer fills it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from smd_cli.models.configs import Config
from smd_cli.models.weights import read_header
from smd_cli.references import SAFETENSORS
from smd_cli.regular_files import UnfitFileError, read_text

_log = logging.getLogger(__name__)

ASSUMED = "assumed, no file says"
MAX_YAML = 2**16
"""Bytes; published inference configs have a thirtieth of it."""

_NAMES = {
    **dict.fromkeys(("epsilon", "eps"), "epsilon"),
    **dict.fromkeys(("v", "v_prediction", "v-prediction", "v_pred", "velocity"), "v_prediction"),
}
_TRUE = ("true", "1")
_DISTILLED = ("LCMScheduler", "TCDScheduler")


class Said(NamedTuple):
    """What a source says of a model's predictions; other names than this program knows stay as they are."""

    prediction_type: str
    source: str


class Training(NamedTuple):
    """How a model was trained.

    Attributes:
        prediction_type: what it predicts; not checked.
        source: the file and key that say so.
        zero_terminal_snr: its last training timestep is noise alone (Lin et al., 2305.08891).
        few_step: its scheduler is one that models distilled for few steps are published with.
    """

    prediction_type: str
    source: str
    zero_terminal_snr: bool
    few_step: bool = False


def read_training(scheduler: Config, config: Path, checkpoint: Path | None) -> Training:
    """Find how a model was trained; warns where sources disagree.

    What a single file and its neighbour say counts before the scheduler's config, which may be the family's.

    Args:
        scheduler: the scheduler's config.
        config: where that is.
        checkpoint: the single file that holds the model; None: a folder, whose own that config is.

    Raises:
        AssetError: the checkpoint is damaged.
        OSError: a file cannot be read.
    """
    said: list[Said] = []
    zero_terminal_snr = bool(scheduler.get("rescale_betas_zero_snr"))
    if checkpoint is not None:
        names, metadata = read_header(checkpoint)
        said = [*_of_inference_config(checkpoint), *_of_header(checkpoint, names, metadata)]
        zero_terminal_snr |= "ztsnr" in names or _is_true(metadata, "ss_zero_terminal_snr")
    if "prediction_type" in scheduler:
        said.append(_said(scheduler["prediction_type"], str(config)))
    first = said[0] if said else Said("epsilon", ASSUMED)
    for other in said[1:]:
        if other.prediction_type != first.prediction_type:
            _log.warning(
                "%s says that the model predicts %s, but %s says %s; the first one counts",
                first.source,
                first.prediction_type,
                other.source,
                other.prediction_type,
            )
    is_turbo = checkpoint is None and not zero_terminal_snr and _is_turbo(scheduler)
    few_step = is_turbo or scheduler.get("_class_name") in _DISTILLED
    return Training(first.prediction_type, first.source, zero_terminal_snr, few_step)


def _is_turbo(scheduler: Config) -> bool:
    """Tell whether a scheduler's config is as SD-Turbo and SDXL-Turbo have it (Sauer et al., 2311.17042).

    Of a single file it says nothing: the config that SD2's files borrow is SD-Turbo's.
    """
    is_euler = str(scheduler.get("_class_name")).startswith("Euler")
    predicts_noise = scheduler.get("prediction_type", "epsilon") == "epsilon"
    return is_euler and predicts_noise and scheduler.get("timestep_spacing") == "trailing"


def inference_configs(checkpoint: str) -> tuple[str, str]:
    """Return the names that the inference config of a checkpoint may have, which lies beside it."""
    stem = checkpoint.removesuffix(SAFETENSORS)
    return f"{stem}.yaml", f"{stem}.yml"


def _said(prediction_type: object, source: str) -> Said:
    name = str(prediction_type)
    return Said(_NAMES.get(name.lower(), name), source)


def _is_true(metadata: dict[str, str], key: str) -> bool:
    return metadata.get(key, "").lower() in _TRUE


def _of_header(path: Path, names: Iterable[str], metadata: dict[str, str]) -> Iterator[Said]:
    """Yield what a file says by its marks and in its header."""
    if "v_pred" in names:
        yield _said("v_prediction", f"{path} (tensor v_pred)")
    if "modelspec.prediction_type" in metadata:
        yield _said(metadata["modelspec.prediction_type"], f"{path} (modelspec.prediction_type)")
    if _is_true(metadata, "ss_v_parameterization"):
        yield _said("v_prediction", f"{path} (ss_v_parameterization)")


def _of_inference_config(checkpoint: Path) -> Iterator[Said]:
    """Yield what the YAML file beside a checkpoint says; one that is no inference config says nothing."""
    for path in map(checkpoint.with_name, inference_configs(checkpoint.name)):
        if not path.exists() or path.is_dir():
            continue
        try:
            # texts and their containers alone: no tags, no merging, no numbers
            node = yaml.load(read_text(path, MAX_YAML), Loader=yaml.BaseLoader)  # noqa: S506
        except (ValueError, yaml.YAMLError, RecursionError, UnfitFileError) as error:
            reason = error.strerror if isinstance(error, UnfitFileError) else _line(error)
            _log.warning("%s: not read as the config of %s (%s)", path, checkpoint.name, reason)
            continue
        for key in ("model", "params", "parameterization"):
            node = node.get(key) if isinstance(node, dict) else None
        if isinstance(node, str):
            yield _said(node, str(path))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
