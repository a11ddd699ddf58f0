"""What a checkpoint's own config files say about it. Reads JSON alone: no weights, no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smd_cli.errors import AssetError

Config = dict[str, Any]


@dataclass(frozen=True)
class ModelFacts:
    """The facts of a model that the method and the recipe need.

    Attributes:
        family: a key of `families.FAMILIES`.
        native_size: side of the square pictures the model was trained on, px.
        downscale: px a latent along one side.
        latent_channels: C of a latent (N, C, h, w).
        prediction_type: what `predict` returns, 'epsilon' or 'v_prediction' (Salimans and Ho, 2202.00512).
        few_step: the weights were distilled for few-step sampling (LCM, 2310.04378).
    """

    family: str
    native_size: int
    downscale: int
    latent_channels: int
    prediction_type: Literal["epsilon", "v_prediction"]
    few_step: bool


def read_facts(folder: Path, vae_folder: Path, family: str) -> ModelFacts:
    """Facts of a model of `family`, from its configs in a diffusers folder and its autoencoder's.

    Raises:
        AssetError: a config is missing, unreadable, or says something this program cannot do.
    """
    unet, vae = read_config(folder / "unet"), read_config(vae_folder)
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    try:
        size, downscale = unet["sample_size"], _downscale(vae)
        facts = ModelFacts(
            family=family,
            native_size=(size if isinstance(size, int) else min(size)) * downscale,
            downscale=downscale,
            latent_channels=unet["in_channels"],
            prediction_type=scheduler.get("prediction_type", "epsilon"),
            few_step=scheduler.get("_class_name") == "LCMScheduler"
            or unet.get("time_cond_proj_dim") is not None,
        )
    except (KeyError, TypeError) as error:
        raise AssetError(f"{folder}: the model's configs lack or garble {error}") from error
    if facts.latent_channels != vae.get("latent_channels", 4):
        raise AssetError(
            f"{folder}: the UNet reads {facts.latent_channels} channels, the autoencoder writes "
            f"{vae.get('latent_channels', 4)}; inpainting and instruction checkpoints are not supported"
        )
    if facts.prediction_type not in ("epsilon", "v_prediction"):
        raise AssetError(f"{folder}: prediction type {facts.prediction_type!r} is not supported")
    return facts


def _downscale(vae: Config) -> int:
    """Px a latent: every block of the encoder after the first halves the picture."""
    tiny = vae["_class_name"] == "AutoencoderTiny"
    return int(2 ** (len(vae["encoder_block_out_channels" if tiny else "block_out_channels"]) - 1))


def read_config(folder: Path) -> Config:
    """The config.json of a component's folder."""
    return read_json(folder / "config.json")


def read_json(path: Path) -> Config:
    """A JSON object from a file; every way this can fail is an `AssetError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file; the model folder is incomplete") from None
    except PermissionError:
        raise AssetError(f"{path}: permission denied") from None
    except (OSError, ValueError) as error:
        raise AssetError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise AssetError(f"{path}: expected a JSON object")
    return content
