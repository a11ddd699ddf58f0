"""Small random checkpoints in every layout that a user may bring."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from safetensors.torch import load_file, save_file
from transformers.models.clip.modeling_clip import CLIPTextConfig, CLIPTextModel

from tests.models.hub import Hub, serve

LAYERS = 1
"""Residual layers a block of the small UNet."""

UNET = {
    "sample_size": 16,
    "block_out_channels": (16, 32),
    "layers_per_block": LAYERS,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 32,
    "attention_head_dim": 4,
    "norm_num_groups": 8,
}

INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def make_unet(**changes: object) -> UNet2DConditionModel:
    return UNet2DConditionModel(**{**UNET, **changes})


def make_vae() -> AutoencoderKL:
    blocks = 4
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
    )


def make_tiny_vae() -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
        scaling_factor=1.5,
    )


def make_text_encoder() -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    return CLIPTextModel(config)


def write_tokenizer(folder: Path) -> None:
    """The published checkpoints' form: vocab.json and merges.txt; here with no merges at all."""
    folder.mkdir(parents=True)
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    bytes_ = [*map(chr, printable), *(chr(256 + shift) for shift in range(256 - len(printable)))]
    words = [*bytes_, *(byte + "</w>" for byte in bytes_), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "<|endoftext|>"})
    )


def write_model(folder: Path, **parts: torch.nn.Module) -> Path:
    """A diffusers folder; `parts` replace the ordinary networks."""
    torch.manual_seed(0)
    networks = {"unet": make_unet(), "vae": make_vae(), "text_encoder": make_text_encoder(), **parts}
    for name, network in networks.items():
        network.save_pretrained(folder / name)
    PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").save_pretrained(
        folder / "scheduler"
    )
    write_tokenizer(folder / "tokenizer")
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    return folder


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def weights_of(folder: Path, part: str) -> dict[str, torch.Tensor]:
    return load_file(next((folder / part).glob("*.safetensors")))


RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def ldm_unet_name(name: str) -> str:
    """A diffusers UNet tensor's name in the LDM layout."""
    for ours, theirs in UNET_ENDS.items():
        if name.startswith(ours + "."):
            return name.replace(ours, theirs, 1)
    match = re.fullmatch(r"(\w+?)_blocks?\.(?:(\d)\.)?(\w+?)s\.(\d)\.(.*)", name)
    assert match, name
    side, block, kind, layer, rest = match[1], int(match[2] or 0), match[3], int(match[4]), match[5]
    if kind == "resnet":
        head = next(ours for ours in RESNET if rest.startswith(ours + "."))
        rest = rest.replace(head, RESNET[head], 1)
    step = block * (LAYERS + 1) + layer
    if side == "mid":
        return f"middle_block.{2 * layer if kind == 'resnet' else 1}.{rest}"
    if kind == "downsampler":
        return f"input_blocks.{(block + 1) * (LAYERS + 1)}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsampler":
        after = 2 if "CrossAttn" in UNET["up_block_types"][block] else 1
        return f"output_blocks.{step + LAYERS}.{after}.{rest}"
    slot = 0 if kind == "resnet" else 1
    return (
        f"input_blocks.{1 + step}.{slot}.{rest}" if side == "down" else f"output_blocks.{step}.{slot}.{rest}"
    )


VAE_WORDS = [
    (r"down_blocks\.(\d)\.resnets", r"down.\1.block"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"attn_1\.group_norm", "attn_1.norm"),
    (r"attn_1\.to_(q|k|v)", r"attn_1.\1"),
    (r"attn_1\.to_out\.0", "attn_1.proj_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"conv_norm_out", "norm_out"),
]


def ldm_vae_name(name: str) -> str:
    """An autoencoder tensor's name in the LDM layout, which counts the decoder's blocks from the end."""
    up = re.search(r"up_blocks\.(\d)", name)
    if up:
        name = name.replace(up[0], f"up.{3 - int(up[1])}")
        name = name.replace("resnets", "block").replace("upsamplers.0", "upsample")
    for pattern, words in VAE_WORDS:
        name = re.sub(pattern, words, name)
    return name


def ldm_vae(folder: Path) -> dict[str, torch.Tensor]:
    """The autoencoder in the LDM layout: its attention is made of 1x1 convolutions."""
    renamed = {ldm_vae_name(name): tensor for name, tensor in weights_of(folder, "vae").items()}
    return {
        name: tensor[:, :, None, None] if re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name) else tensor
        for name, tensor in renamed.items()
    }


def ldm_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """A whole checkpoint in the LDM layout, with the extra tensors that published files carry."""
    unet, text = weights_of(folder, "unet"), weights_of(folder, "text_encoder")
    return {
        **{f"model.diffusion_model.{ldm_unet_name(name)}": tensor for name, tensor in unet.items()},
        **{f"first_stage_model.{name}": tensor for name, tensor in ldm_vae(folder).items()},
        **{f"cond_stage_model.transformer.text_model.{name}": tensor for name, tensor in text.items()},
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
        "cond_stage_model.logit_scale": torch.tensor(4.6),
        "alphas_cumprod": torch.linspace(1, 0, 1000),
        "model_ema.decay": torch.tensor(0.9999),
        **{
            f"model_ema.diffusion_model{ldm_unet_name(name).replace('.', '')}": torch.zeros_like(tensor)
            for name, tensor in unet.items()
        },
    }


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SD1.5 model as diffusers saves it; not to be changed."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The small model again, to be damaged."""
    return shutil.copytree(folder, tmp_path / "model")


@pytest.fixture(scope="session")
def single_file(folder: Path) -> Path:
    """The small model as one file in the LDM layout."""
    path = folder.parent / "tiny.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in ldm_tensors(folder).items()}, path)
    return path


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub without repositories, and an empty cache."""
    with serve(tmp_path / "home") as running:
        yield running


@pytest.fixture
def styles(single_file: Path, tmp_path: Path) -> Path:
    """A repository that holds single-file checkpoints alone: one at the top, and beside it what is none."""
    folder = tmp_path / "styles"
    (folder / "older").mkdir(parents=True)
    shutil.copy(single_file, folder / "my_style_v2.safetensors")
    (folder / "README.md").write_text("a style")
    tensors = {name: tensor + 1 for name, tensor in load_file(single_file).items()}
    save_file(tensors, folder / "older" / "my style.safetensors")
    (folder / "my_style_v2.ckpt").write_bytes(b"never read")
    return folder


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The makers of small parts, for tests that vary them."""
    makers: dict[str, Callable[..., object]] = {
        "model": write_model,
        "unet": make_unet,
        "tiny_vae": make_tiny_vae,
        "edit_json": edit_json,
        "ldm_tensors": ldm_tensors,
        "ldm_vae": ldm_vae,
    }
    return SimpleNamespace(**makers)
