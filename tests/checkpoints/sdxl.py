"""A small random SDXL: a folder of diffusers, a single file, and a LoRA of all its networks."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from safetensors.torch import save_file
from torch import nn
from transformers.models.clip.modeling_clip import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.checkpoints.clip import TOKENS, write_tokenizer
from tests.checkpoints.ldm import ldm_unet, ldm_unet_name, ldm_vae, open_clip

FIRST, SECOND, PROJECTED, SIZE = 16, 24, 20, 8
"""Widths of both text encoders, of the second's vector of a prompt, and of what tells one size."""

INDEX = {
    "_class_name": "StableDiffusionXLPipeline",
    "feature_extractor": [None, None],
    "force_zeros_for_empty_prompt": True,
    "image_encoder": [None, None],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}

Networks = dict[str, nn.Module]


def make_unet(**changes: object) -> UNet2DConditionModel:
    settings = {
        "sample_size": 8,
        "block_out_channels": (16, 16, 24),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "transformer_layers_per_block": (1, 1, 2),
        "attention_head_dim": (2, 2, 3),
        "norm_num_groups": 8,
        "use_linear_projection": True,
        "cross_attention_dim": FIRST + SECOND,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": SIZE,
        "projection_class_embeddings_input_dim": 6 * SIZE + PROJECTED,
    }
    unet = UNet2DConditionModel(**{**settings, **changes})
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if ".attn2.to_" in name and name.endswith("weight"):
                parameter *= 2  # so that prompts show
    return unet


def make_vae(**changes: object) -> AutoencoderKL:
    blocks = 4
    settings = {
        "block_out_channels": (8, 8, 16, 16),
        "down_block_types": ("DownEncoderBlock2D",) * blocks,
        "up_block_types": ("UpDecoderBlock2D",) * blocks,
        "layers_per_block": 1,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "scaling_factor": 0.13025,
        "force_upcast": True,
    }
    return AutoencoderKL(**{**settings, **changes})


def make_text_encoder(width: int, kind: type[nn.Module], activation: str, padding: int) -> nn.Module:
    config = CLIPTextConfig(
        vocab_size=TOKENS,
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=PROJECTED,
        num_hidden_layers=2,
        num_attention_heads=2,
        hidden_act=activation,
        bos_token_id=TOKENS - 2,
        eos_token_id=2,  # as published, and wrong
        pad_token_id=padding,
    )
    network = kind(config)
    with torch.no_grad():
        for parameter in network.parameters():  # what CLIP begins with is too small for words to matter
            if parameter.ndim > 1:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
    return network


def make_networks(**parts: nn.Module) -> Networks:
    """The networks, `parts` in place of the ordinary ones."""
    torch.manual_seed(31)
    return {
        "unet": make_unet(),
        "vae": make_vae(),
        "text_encoder": make_text_encoder(FIRST, CLIPTextModel, "quick_gelu", TOKENS - 1),
        "text_encoder_2": make_text_encoder(SECOND, CLIPTextModelWithProjection, "gelu", 0),
        **parts,
    }


def make_folder(folder: Path, **parts: nn.Module) -> Path:
    """A diffusers folder; native size 64 px."""
    for name, network in make_networks(**parts).items():
        network.save_pretrained(folder / name)
    EulerDiscreteScheduler(**NOISE, timestep_spacing="leading").save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer")
    write_tokenizer(folder / "tokenizer_2", padding="!")
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    return folder


def file_tensors(**parts: nn.Module) -> dict[str, torch.Tensor]:
    """The same model under the names of the published file."""
    made = make_networks(**parts)
    of_parts = {
        "model.diffusion_model.": ldm_unet(made["unet"]),
        "first_stage_model.": ldm_vae(made["vae"].state_dict()),
        "conditioner.embedders.0.transformer.text_model.": made["text_encoder"].state_dict(),
        "conditioner.embedders.1.model.": open_clip(made["text_encoder_2"]),
    }
    tensors = {start + name: tensor for start, part in of_parts.items() for name, tensor in part.items()}
    tensors["conditioner.embedders.0.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    tensors["conditioner.embedders.1.model.logit_scale"] = torch.tensor(4.6)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def make_file(folder: Path, **parts: nn.Module) -> Path:
    """The same model as one file, which takes its configs from the folder of `make_folder`."""
    path = folder / "sdxl.safetensors"
    save_file(file_tensors(**parts), path)
    return path


KOHYA = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}


def make_lora(folder: Path, naming: str = "kohya") -> Path:
    """A LoRA of the attention of all three networks, under names of kohya's trainer, LDM's or diffusers'."""
    made, generator, tensors = make_networks(), torch.Generator().manual_seed(32), {}
    for component, name, layer in _attention(made):
        rank, alpha = 2, 1.0
        down = torch.randn(rank, layer.in_features, generator=generator) / 2
        up = torch.randn(layer.out_features, rank, generator=generator) / 2
        if naming == "diffusers":  # without an alpha, whose share is put into a factor
            own = f"{component}.{name}"
            tensors |= {f"{own}.lora_A.weight": down, f"{own}.lora_B.weight": up * (alpha / rank)}
            continue
        if naming == "ldm" and component == "unet":
            unet = made["unet"].config
            name = ldm_unet_name(f"{name}.weight", unet.layers_per_block, unet.up_block_types)
            name = name.removesuffix(".weight")
        own = KOHYA[component] + name.replace(".", "_")
        factors = {f"{own}.lora_down.weight": down, f"{own}.lora_up.weight": up}
        tensors |= {**factors, f"{own}.alpha": torch.tensor(alpha)}
    path = folder / f"lora-{naming}.safetensors"
    save_file(tensors, path)
    return path


def _attention(networks: Networks) -> Iterator[tuple[str, str, nn.Linear]]:
    """Yield the layers of attention: their networks, their names as published, and themselves."""
    for component in KOHYA:
        for name, layer in networks[component].named_modules():
            if isinstance(layer, nn.Linear) and "attn" in name:
                dropped = "text_model." if component == "text_encoder" else ""  # which transformers has since
                yield component, dropped + name, layer
