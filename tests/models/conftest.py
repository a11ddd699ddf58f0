"""Small random checkpoints in every layout that a user may bring."""

import json
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

from tests.checkpoints import ldm
from tests.checkpoints.clip import TOKENS, write_tokenizer
from tests.checkpoints.sd15 import INDEX
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
        vocab_size=TOKENS,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=TOKENS - 2,
        eos_token_id=TOKENS - 1,
        pad_token_id=TOKENS - 1,
    )
    return CLIPTextModel(config)


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


def ldm_unet_name(name: str) -> str:
    """The name of one of the UNet's tensors in the LDM layout."""
    return ldm.ldm_unet_name(name, LAYERS, UNET["up_block_types"])


def ldm_vae(folder: Path) -> dict[str, torch.Tensor]:
    """The autoencoder in the LDM layout."""
    return ldm.ldm_vae(weights_of(folder, "vae"))


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
