"""Shared by the tests of the training: a tiny UNet, batches of pictures, a student with a fixed output."""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from smd_cli import flatland
from smd_cli.workshop.train.unet import alpha_sigma, alphas_cumprod
from smd_cli.workshop.train.visibility import PictureBatch

WEIGHTS_FOLDER = Path(flatland.__file__).with_name("weights")


TINY = {
    "sample_size": 8,
    "block_out_channels": (32, 32),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 16,
    "attention_head_dim": 4,
    "norm_num_groups": 8,
}


def tiny_unet(**changes) -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(**TINY | changes)


def tiny_text() -> CLIPTextModel:
    """A text encoder for prompts of 77 token ids below 64, as wide as the tiny UNet takes them."""
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return CLIPTextModel(CLIPTextConfig(vocab_size=64, bos_token_id=62, eos_token_id=63, **size)).eval()


def picture_batch(count: int, boxes: torch.Tensor, side: int = 8) -> PictureBatch:
    """Latents that are all 5, and 7 in their bootstrapped version."""
    latents = torch.full((count, 4, side, side), 5.0)
    ids = torch.zeros(count, 77, dtype=torch.long)
    return PictureBatch(
        latents, latents + 2, ids, torch.ones(count, dtype=torch.bool), boxes.expand(count, 4)
    )


def sees_three(z, timesteps, **_):
    """A network whose noise prediction implies the same picture for any input: latents that are all 3."""
    alpha, sigma = alpha_sigma(timesteps, alphas_cumprod())
    return ((z - 3 * alpha) / sigma,)
