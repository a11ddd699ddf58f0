"""Train flatland from nothing: `python -m smd_cli.flatland.train --folder runs/flatland`."""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

from smd_cli.flatland.train.autoencoder import picture_pool, polish_decoder, train_autoencoder
from smd_cli.flatland.train.config import Config
from smd_cli.flatland.train.distill import distill
from smd_cli.flatland.train.export import export
from smd_cli.flatland.train.latents import encode_pictures
from smd_cli.flatland.train.text import token_ids, train_text
from smd_cli.flatland.train.unet import Generator, build, train_unet

SMALL_SEED, LARGE_SEED = 30_000_000, 40_000_000


def say(text: str) -> None:
    """Report a stage."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def run(config: Config) -> Path:
    """Run every stage that is not finished yet; return the folder of the exported model."""
    say("text: tokenizer and encoder")
    tokenizer, text = train_text(config)
    empty = token_ids(tokenizer, [""])[0]
    say("autoencoder")
    pool = picture_pool(config)
    autoencoder = train_autoencoder(pool, config)
    torch.manual_seed(config.seed)
    generator = Generator(build(), text.requires_grad_(True))
    sizes = (
        ("small", 128, SMALL_SEED, config.small_pictures, config.unet_small),
        ("large", 256, LARGE_SEED, config.large_pictures, config.unet_large),
    )
    for name, size, seed, count, budget in sizes:
        say(f"latents of {count} pictures at {size} px")
        path = config.folder / f"latents-{name}.safetensors"
        data = encode_pictures(path, autoencoder, tokenizer, first_seed=seed, count=count, size=size)
        say(f"unet at {size} px")
        folder = config.stage(f"unet-{name}")
        generator = train_unet(generator, data, empty, config, budget=budget, folder=folder)
        generator.unet.requires_grad_(True)  # the text encoder learns with the small pictures alone
    say("distillation")
    student = distill(generator, data, empty, config, config.stage("distill"))
    say("decoder")
    autoencoder = polish_decoder(autoencoder, pool, config)
    return export(config.folder / "flatland", tokenizer, generator.text, student, autoencoder)


def main() -> None:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(prog="python -m smd_cli.flatland.train", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Config.folder, help="checkpoints, logs and the exported model"
    )
    parser.add_argument("--seed", type=int, default=Config.seed)
    parser.add_argument(
        "--compile", action="store_true", help="train a sixth faster; needs a C++ compiler and two minutes"
    )
    config = dataclasses.replace(Config(), **vars(parser.parse_args()))
    say(f"exported to {run(config)}")


if __name__ == "__main__":
    main()
