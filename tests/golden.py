"""The recorded outputs of the published implementations, and the tiny pipelines that they were made with.

Those of Stable Diffusion 1.5 lie in the folder named by SMD_GOLDEN, by default `shared/golden` beside the
repository; those of SDXL and SD3 in the one named by SMD_GOLDEN_FAMILIES, by default `golden-families` beside
the first. Without a folder, tests that take cases or the tiny pipeline from it are skipped.
"""

import json
import os
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(os.environ.get("SMD_GOLDEN", Path(__file__).parents[2] / "shared" / "golden"))
FAMILIES = Path(os.environ.get("SMD_GOLDEN_FAMILIES", FOLDER.parent / "golden-families"))
DOWNSCALE = 8

needs_golden = pytest.mark.skipif(not (FOLDER / "cases.json").exists(), reason=f"no golden files in {FOLDER}")


@dataclass(frozen=True)
class Case:
    """One recorded run: its settings, and its inputs and outputs as tensors."""

    name: str
    settings: dict[str, Any]
    folder: Path = FOLDER

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.folder / f"{self.name}.safetensors")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the latents."""
        return self.settings["height"] // DOWNSCALE, self.settings["width"] // DOWNSCALE

    @property
    def masks(self) -> Tensor:
        """Painted masks (P, 1, H, W) before covering; a panorama's one prompt fills the canvas."""
        full = torch.ones(1, 1, self.settings["height"], self.settings["width"])
        return self.tensors.get("masks", full)

    @property
    def cover_alpha(self) -> float:
        """What is left of a mask where a later one covers it; the published default where it is not told."""
        return self.settings.get("cover_alpha", 0.3)


def cases(*tasks: str, folder: Path = FOLDER) -> list[Any]:
    """Every listed case of some tasks, as pytest parameters that carry its name."""
    if not (folder / "cases.json").exists():
        return []
    listed = json.loads((folder / "cases.json").read_text())
    return [
        pytest.param(Case(name, case, folder), id=name)
        for name, case in listed.items()
        if case["task"] in tasks
    ]


@cache
def units(name: str = "units") -> dict[str, Tensor]:
    return load_file(FOLDER / f"{name}.safetensors")


class TinyAutoencoder:
    """The autoencoder of a tiny pipeline of random weights, straight from diffusers."""

    def __init__(self, folder: Path) -> None:
        from diffusers import AutoencoderKL

        self.vae = AutoencoderKL.from_pretrained(folder, subfolder="vae").eval()
        self.shift = self.vae.config.shift_factor or 0.0

    @torch.no_grad()
    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode pictures (N, H, W, 3) of bytes by the mode of the posterior; scaled latents."""
        scaled = (
            pixels.movedim(-1, 1).contiguous() / 127.5 - 1
        )  # in channels-last order a flat white rounds apart
        return (self.vae.encode(scaled).latent_dist.mode() - self.shift) * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Decode scaled latents into pixels (N, 3, H, W) in [-1, 1]."""
        return self.vae.decode(latents / self.vae.config.scaling_factor + self.shift).sample.clamp(-1, 1)

    def white(self, case: Case) -> Tensor:
        return self.encode_image(torch.full((1, case.settings["height"], case.settings["width"], 3), 255))

    def background(self, case: Case) -> Tensor | None:
        pixels = case.tensors.get("background")
        return None if pixels is None else self.encode_image(pixels[None])


class TinyPipeline(TinyAutoencoder):
    """The tiny SD1.5 pipeline of random weights, straight from diffusers and transformers."""

    def __init__(self) -> None:
        from diffusers import DDIMScheduler, UNet2DConditionModel
        from transformers import AutoTokenizer, CLIPTextModel

        folder = FOLDER / "tiny-sd15"
        super().__init__(folder)
        self.unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet").eval()
        self.text_encoder = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder").eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
        self.alphas_cumprod = DDIMScheduler.from_pretrained(folder, subfolder="scheduler").alphas_cumprod

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> Tensor:
        ids = self.tokenizer(
            prompts, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
        ).input_ids
        return self.text_encoder(ids)[0]

    def conditioning(self, case: Case) -> Tensor:
        """Embed the positives, then the negatives, as near to the background's as their strength says."""
        settings = case.settings
        halves = [self.encode_prompts(settings[key]) for key in ("prompts", "negative_prompts")]
        if "prompt_strengths" in settings:
            strengths = torch.tensor(settings["prompt_strengths"]).view(-1, 1, 1)
            keys = ("background_prompt", "background_negative_prompt")
            backgrounds = [self.encode_prompts([settings[key]]) for key in keys]
            halves = [torch.lerp(*pair, strengths) for pair in zip(backgrounds, halves, strict=True)]
        return torch.cat(halves)

    @torch.no_grad()
    def predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        return self.unet(latents, timesteps, encoder_hidden_states=embeddings).sample


@cache
def tiny_pipeline() -> TinyPipeline:
    return TinyPipeline()


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Largest deviation as a share of the largest expected value."""
    return float((actual - expected).abs().max() / expected.abs().max())
