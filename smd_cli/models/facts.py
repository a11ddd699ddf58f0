"""What a checkpoint's own config files say about it. Reads JSON alone: no weights, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log1p
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from smd_cli.errors import AssetError
from smd_cli.models.allowed import FLAG, NULL, KnownKeys, either, many, real, whole, word
from smd_cli.models.configs import CONFIG, SCHEDULER_CONFIG, Config, ModelConfigs, read_config, read_json
from smd_cli.models.network_class import read_network_config
from smd_cli.models.prediction import ASSUMED, read_training
from smd_cli.models.vae import autoencoder_of

if TYPE_CHECKING:
    from smd_cli.models.family import Family

MOST_TIMESTEPS = 10_000
"""How many training timesteps a model may have; published ones have a tenth."""

_BETA = real(0, 1)

NOISE = KnownKeys(
    {
        "num_train_timesteps": whole(1, MOST_TIMESTEPS),
        "beta_start": _BETA,
        "beta_end": _BETA,
        "beta_schedule": word("linear", "scaled_linear", "squaredcos_cap_v2"),
        "trained_betas": either(many(_BETA, 1, MOST_TIMESTEPS), NULL),
        "rescale_betas_zero_snr": FLAG,
    }
)
"""What the config of a DDPM's scheduler says of its noise levels; the rest is how to sample."""

Prediction = Literal["epsilon", "v_prediction", "flow_prediction"]
LEAST_SIGNAL = -60.0
"""Logarithm of the share of a picture's variance that a usual noise schedule keeps; float32 holds less."""
_PREDICTIONS: Mapping[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v_prediction"}


@dataclass(frozen=True)
class ModelFacts:
    """The facts of a model that the method and the recipe need.

    Attributes:
        family: a key of `smd_cli.families.FAMILIES`.
        native_size: side of the square pictures the model was trained on, px.
        downscale: px a latent along one side.
        latent_channels: C of a latent (N, C, h, w).
        prediction_type: what `predict` returns, 'epsilon', 'v_prediction' (Salimans and Ho, 2202.00512) or
            'flow_prediction', the velocity of flow matching (Lipman et al., 2210.02747).
        prediction_source: the file and key that say so.
        zero_terminal_snr: its last training timestep is noise alone (Lin et al., 2305.08891).
        few_step: the weights were distilled for few-step sampling (LCM, 2310.04378).
        has_usual_noise: its training timesteps are 1000, and something of the picture is left at all of them;
            False: only the schedule itself tells.
        takes_negative: it can be guided away from a negative prompt; not where guidance is distilled in.
        largest_tile: side of the largest square that it knows places in, px; None: of any.
    """

    family: str
    native_size: int
    downscale: int
    latent_channels: int
    prediction_type: Prediction
    few_step: bool
    prediction_source: str = field(default=ASSUMED, compare=False)
    zero_terminal_snr: bool = False
    has_usual_noise: bool = field(default=False, compare=False)
    takes_negative: bool = True
    largest_tile: int | None = None


def read_facts(
    folder: Path,
    vae_folder: Path,
    family: Family,
    checkpoint: Path | None = None,
) -> ModelFacts:
    """Read the facts of a model of `family` from its configs in a diffusers folder and its autoencoder's.

    `checkpoint` is the single file that the folder gives configs to, if there is one.

    Raises:
        AssetError: a config is missing, unreadable, or says something this program cannot do, or the
            checkpoint is damaged.
    """
    path = folder / SCHEDULER_CONFIG
    scheduler = read_json(path)
    training = read_training(scheduler, path, checkpoint)
    try:
        kind = autoencoder_of(read_config(vae_folder), family.autoencoders, vae_folder)
        vae = read_network_config(vae_folder, kind.network)
        where = folder / family.denoiser
        denoiser = read_network_config(where, family.network(family.denoiser, where))
        side = _picture_side(folder / family.autoencoder, vae_folder, vae, family)
        configs = ModelConfigs(
            folder, denoiser, vae, scheduler, training, kind.downscale(vae), picture_side=side
        )
        return _with_tiles(family.read_facts(configs), family, folder)
    except (KeyError, TypeError) as error:
        raise AssetError(f"{folder}: the model's configs lack or garble {error}") from error


def _picture_side(own: Path, used: Path, config: Config, family: Family) -> int | None:
    """Return the side in px of the pictures that a model's `own` autoencoder names.

    `config` is that of the one that is used, which counts where the model has none of its own.
    """
    if own != used and (own / CONFIG).exists():
        config = read_network_config(own, autoencoder_of(read_config(own), family.autoencoders, own).network)
    side = config.get("sample_size")
    return None if side is None else least_side(side)


def _with_tiles(facts: ModelFacts, family: Family, folder: Path) -> ModelFacts:
    """Return facts. Raises AssetError: pictures of the native size cannot be a model's tiles."""
    least = 2 * family.size_multiple
    if facts.native_size < least or facts.native_size % family.size_multiple:
        raise AssetError(
            f"{folder}: its configs say sample_size for pictures of {facts.native_size} px; {family.name} "
            f"models have at least {least} px, and multiples of {family.size_multiple}"
        )
    return facts


def unet_facts(configs: ModelConfigs, family: str) -> ModelFacts:
    """Read the facts of a model whose UNet predicts noise or v at the timesteps of a DDPM.

    Raises:
        AssetError: the UNet is for inpainting or instructions, or predicts something else.
        KeyError: a config lacks a fact.
        TypeError: a fact is of another type.
    """
    unet, scheduler = configs.denoiser, configs.scheduler
    path = configs.folder / SCHEDULER_CONFIG
    NOISE.reduce(scheduler, path)
    _check_is_of_diffusion(scheduler, path, family)
    native, channels = least_side(unet["sample_size"]), unet["in_channels"]
    latent_channels = configs.autoencoder.get("latent_channels", 4)
    training = configs.training
    prediction_type = _PREDICTIONS.get(training.prediction_type)
    check_channels(configs.folder, channels, latent_channels)
    if (written := unet.get("out_channels", 4)) != latent_channels:
        raise AssetError(
            f"{configs.folder}: the UNet writes {written} channels, the autoencoder reads {latent_channels}: "
            "a kind of checkpoint that is not supported"
        )
    if prediction_type is None:
        name = training.prediction_type
        raise AssetError(f"{training.source}: prediction type {name!r:.80} is not supported")
    return ModelFacts(
        family=family,
        native_size=native * configs.downscale,
        downscale=configs.downscale,
        latent_channels=channels,
        prediction_type=prediction_type,
        prediction_source=training.source,
        zero_terminal_snr=training.zero_terminal_snr,
        has_usual_noise=_has_usual_noise(scheduler) and not training.zero_terminal_snr,
        few_step=training.few_step or unet.get("time_cond_proj_dim") is not None,
    )


def least_side(size: int | list[int]) -> int:
    """Return the shorter side of what a config says as one number or as (height, width)."""
    return size if isinstance(size, int) else min(size)


def _check_is_of_diffusion(scheduler: Config, path: Path, family: str) -> None:
    """Raise AssetError if a scheduler is one of flow matching, whose models predict something else."""
    name = str(scheduler.get("_class_name", ""))
    if name.startswith("FlowMatch") or scheduler.get("use_flow_sigmas"):
        raise AssetError(
            f"{path}: {name:.80} is set to flow matching, but {family} models predict noise or v; the config "
            "belongs to another model"
        )


def _has_usual_noise(scheduler: Config) -> bool:
    """Tell whether a scheduler's config surely leaves something of the picture at each of 1000 timesteps."""
    betas = scheduler.get("trained_betas")
    if betas is None and scheduler.get("beta_schedule", "linear") in ("linear", "scaled_linear"):
        betas = [scheduler.get("beta_start", 0.0001), scheduler.get("beta_end", 0.02)]
        betas = [max(betas)] * 1000 if all(type(beta) is float for beta in betas) else None
    if not isinstance(betas, list) or not len(betas) == scheduler.get("num_train_timesteps", 1000) == 1000:
        return False
    return (
        all(type(beta) is float and 0 < beta < 1 for beta in betas)
        and sum(log1p(-beta) for beta in betas) > LEAST_SIGNAL
    )


def check_channels(where: Path, channels: int, latent_channels: int) -> None:
    """Raise AssetError unless a denoiser reads the channels of a latent; says what it reads beside them."""
    if channels == latent_channels:
        return
    kinds = {
        latent_channels + 1: "a checkpoint that reads depth, which is not supported",
        latent_channels * 2: "a checkpoint for instructions (InstructPix2Pix), which is not supported",
        latent_channels * 2 + 1: "an inpainting checkpoint; `smd inpaint` takes ordinary ones",
    }
    kind = kinds.get(channels, "a kind of checkpoint that is not supported")
    raise AssetError(
        f"{where}: the denoiser reads {channels} channels, the autoencoder writes {latent_channels}: {kind}"
    )
