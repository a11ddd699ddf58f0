"""Train flatland: `python -m smd_cli.workshop.train --folder runs/flatland`."""

import argparse
import copy
import dataclasses
import sys
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTokenizer

from smd_cli.engine.device import choose_device
from smd_cli.errors import DeviceError, UsageError
from smd_cli.models.assets import locate
from smd_cli.models.components import Destination, load_networks
from smd_cli.models.lora_choice import LCM_LORA
from smd_cli.models.spec import ModelSpec
from smd_cli.workshop.train.adapter import save_adapter
from smd_cli.workshop.train.autoencoder import picture_pool, polish_decoder, train_autoencoder
from smd_cli.workshop.train.config import Config, check_settings
from smd_cli.workshop.train.coupled import teach_coupled_steps
from smd_cli.workshop.train.coupled_data import coupled_lessons
from smd_cli.workshop.train.distill import distill
from smd_cli.workshop.train.ends import EndLessons
from smd_cli.workshop.train.export import export
from smd_cli.workshop.train.fold import fold_guidance
from smd_cli.workshop.train.late import LateParts, late_lessons, teach_late_steps
from smd_cli.workshop.train.latents import Codec, encode_pictures
from smd_cli.workshop.train.paths import read_paths
from smd_cli.workshop.train.text import read_tokenizer, token_ids, train_text
from smd_cli.workshop.train.unet import ConditionedUNet, build, quick_attention, train_unet

SMALL_SEED, LARGE_SEED = 30_000_000, 40_000_000


def say(text: str) -> None:
    """Report progress on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


@dataclass(frozen=True)
class Parts:
    """The networks, as far as they are trained: tokenizer, UNet with its text encoder, autoencoder."""

    tokenizer: CLIPTokenizer
    model: ConditionedUNet
    autoencoder: AutoencoderTiny

    @property
    def empty_ids(self) -> Tensor:
        """The token ids (77,) of the empty caption, on the UNet's device."""
        return token_ids(self.tokenizer, [""])[0].to(self.model.unet.device)


def from_scratch(config: Config, pool: np.ndarray) -> Parts:
    """Train the text encoder, the autoencoder and, on 128 px pictures, the UNet with the text encoder."""
    say("text: tokenizer and encoder")
    tokenizer, text = train_text(config)
    say("autoencoder")
    autoencoder = train_autoencoder(pool, config)
    torch.manual_seed(config.seed)
    unet = quick_attention(build(), config.device)
    parts = Parts(tokenizer, ConditionedUNet(unet, text.requires_grad_(True)).to(config.device), autoencoder)
    data = _latents(parts, config, "small", size=128, first_seed=SMALL_SEED, count=config.small_pictures)
    say("unet at 128 px")
    model = train_unet(
        parts.model,
        data,
        parts.empty_ids,
        config,
        budget=config.unet_small,
        folder=config.stage("unet-small"),
    )
    return dataclasses.replace(parts, model=model)


def from_base(folder: Path, device: str = "cpu") -> Parts:
    """Load an exported model, without its adapter, onto a device."""
    networks = load_networks(
        locate(ModelSpec(str(folder)), offline=True),
        Destination(torch.device("cpu"), torch.float32, lambda count: None),
    )
    unet = quick_attention(networks["unet"], device)
    model = ConditionedUNet(unet, networks["text_encoder"]).requires_grad_(False).to(device)
    return Parts(read_tokenizer(folder / "tokenizer"), model, networks["vae"].to(device))


def _pool(config: Config) -> np.ndarray:
    say(f"{config.pool} pictures for the autoencoder")
    return picture_pool(config)


def _latents(
    parts: Parts, config: Config, name: str, *, size: int, first_seed: int, count: int
) -> dict[str, Tensor]:
    say(f"latents of {count} pictures at {size} px")
    path = config.folder / f"pictures-{name}.safetensors"
    data = encode_pictures(
        path, parts.autoencoder, parts.tokenizer, first_seed=first_seed, count=count, size=size
    )
    return {part: tensor.to(config.device) for part, tensor in data.items()}


def run(config: Config) -> Path:
    """Run every stage that is not finished yet; return the folder of the exported model.

    Raises UsageError: the run's folder was begun with other settings.
    """
    check_settings(config)
    pool = cache(partial(_pool, config))
    parts = from_base(config.base, config.device) if config.base else from_scratch(config, pool())
    empty = parts.empty_ids
    data = _latents(parts, config, "large", size=256, first_seed=LARGE_SEED, count=config.large_pictures)
    say("unet at 256 px")
    parts.model.requires_grad_(True)
    model = train_unet(
        parts.model, data, empty, config, budget=config.unet_large, folder=config.stage("unet-large")
    )
    say("distillation")
    student = distill(model, data, empty, config, config.stage("distill"))
    say("guidance distillation")
    paths = read_paths(sorted((config.stage("distill") / "paths").glob("*.safetensors")), config.device)
    student = fold_guidance(student, model.text, paths, empty, config, config.stage("fold"))
    say("late steps")
    late = LateParts(parts.tokenizer, model.text, Codec(parts.autoencoder))
    student = teach_late_steps(student, late, data, config, config.stage("late"))
    say("coupled steps")
    student = _coupled(student, parts, data, config)
    say("decoder")
    autoencoder = polish_decoder(parts.autoencoder, pool(), config)
    folder = export(config.folder / "flatland", parts.tokenizer, model.text, model.unet, autoencoder)
    save_adapter(student, folder / LCM_LORA)
    return folder


def _coupled(
    student: UNet2DConditionModel, parts: Parts, data: dict[str, Tensor], config: Config
) -> UNet2DConditionModel:
    """Export the model for its program to make lessons, and teach them."""
    folder = config.stage("coupled") / "model"
    copies = copy.deepcopy((parts.model.text, parts.model.unet, parts.autoencoder))
    export(folder, parts.tokenizer, *(each.cpu() for each in copies))
    save_adapter(student, folder / LCM_LORA)
    late = LateParts(parts.tokenizer, parts.model.text, Codec(parts.autoencoder))
    before = student.requires_grad_(False).eval()
    left, pale, alone = coupled_lessons(folder, before, late, config)
    earlier = late_lessons(before, late, data, config)
    ends = EndLessons(alone, data, earlier.white, parts.model.text)
    return teach_coupled_steps(
        before, parts.model.text, (earlier, ends), (left, pale), config, config.stage("coupled")
    )


def main() -> None:
    """Parse the options and run the training."""
    parser = argparse.ArgumentParser(prog="python -m smd_cli.workshop.train", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Config.folder, help="checkpoints, logs and the exported model"
    )
    parser.add_argument("--base", type=Path, help="continue from this exported model, at 256 px")
    parser.add_argument("--seed", type=int, default=Config.seed)
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile networks: a fifth faster on a CPU, more on a GPU; needs a C++ compiler, two minutes",
    )
    parser.add_argument("--device", default=Config.device, help="auto, cpu, cuda, cuda:N or mps")
    options = parser.parse_args()
    if options.base and not (options.base / "model_index.json").is_file():
        parser.error(f"--base {options.base}: no exported model; there is no model_index.json")
    try:
        options.device = str(choose_device(options.device))
        say(f"exported to {run(dataclasses.replace(Config(), **vars(options)))}")
    except (DeviceError, UsageError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
