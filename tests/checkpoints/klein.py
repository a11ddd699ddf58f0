"""A small random FLUX.2 klein: a diffusers folder, a transformer in the layout it was published in, LoRAs."""

import json
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file, save_file

from tests.checkpoints import qwen

SIZE = 64
LAYERS = 28
CHANNELS = 16
"""Channels of a token: those of four latent pixels."""

SCHEDULER = {
    "num_train_timesteps": 1000, "shift": 3.0, "use_dynamic_shifting": True, "base_shift": 0.5,
    "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096, "time_shift_type": "exponential",
}  # fmt: skip


def make_transformer(**changes: object) -> Flux2Transformer2DModel:
    """A transformer of one double and two single blocks, whose times, prompts and places show."""
    transformer = Flux2Transformer2DModel(**{
        "in_channels": CHANNELS, "num_layers": 1, "num_single_layers": 2, "attention_head_dim": 8,
        "num_attention_heads": 4, "joint_attention_dim": 3 * qwen.HIDDEN, "timestep_guidance_channels": 16,
        "axes_dims_rope": (2, 2, 2, 2), "guidance_embeds": False, **changes,
    })  # fmt: skip
    for parameter in transformer.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return transformer


def make_autoencoder() -> AutoencoderKLFlux2:
    """An autoencoder whose latents have means and variances of their own in each channel."""
    blocks = 4
    autoencoder = AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        layers_per_block=1,
        latent_channels=CHANNELS // 4,
        norm_num_groups=4,
        sample_size=SIZE,
    )
    autoencoder.bn.running_mean.normal_()
    autoencoder.bn.running_var.uniform_(0.3, 2)
    return autoencoder


def make_folder(folder: Path, *, is_distilled: bool = True, **scheduler: object) -> Path:
    """A diffusers folder; `scheduler` is what its scheduler's config says besides."""
    torch.manual_seed(7)
    make_transformer().save_pretrained(folder / "transformer")
    make_autoencoder().save_pretrained(folder / "vae")
    qwen.write_encoder(folder / "text_encoder", LAYERS, seed=7)
    qwen.write_tokenizer(folder / "tokenizer")
    FlowMatchEulerDiscreteScheduler(**{**SCHEDULER, **scheduler}).save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "Flux2KleinPipeline", "is_distilled": is_distilled,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen3ForCausalLM"],
        "tokenizer": ["transformers", "Qwen2TokenizerFast"],
        "transformer": ["diffusers", "Flux2Transformer2DModel"], "vae": ["diffusers", "AutoencoderKLFlux2"],
    }  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


FUSED = {"img_attn.qkv": ("to_q", "to_k", "to_v"), "txt_attn.qkv": ("add_q_proj", "add_k_proj", "add_v_proj")}
RENAMED = {
    "img_attn.proj": "attn.to_out.0", "img_mlp.0": "ff.linear_in", "img_mlp.2": "ff.linear_out",
    "img_attn.norm.query_norm": "attn.norm_q", "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.proj": "attn.to_add_out", "txt_mlp.0": "ff_context.linear_in",
    "txt_mlp.2": "ff_context.linear_out", "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
}  # fmt: skip
SINGLE = {
    "linear1": "attn.to_qkv_mlp_proj", "linear2": "attn.to_out", "norm.query_norm": "attn.norm_q",
    "norm.key_norm": "attn.norm_k",
}  # fmt: skip
OUTSIDE = {
    "img_in": "x_embedder", "txt_in": "context_embedder",
    "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2",
    "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
    "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
    "single_stream_modulation.lin": "single_stream_modulation.linear", "final_layer.linear": "proj_out",
}  # fmt: skip


def published(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A transformer's weights under the names, and in the layers, that FLUX.2 was published with."""
    made = {f"{theirs}.weight": weights[f"{ours}.weight"] for theirs, ours in OUTSIDE.items()}
    scale, shift = weights["norm_out.linear.weight"].chunk(2)
    made["final_layer.adaLN_modulation.1.weight"] = torch.cat([shift, scale])
    block = "transformer_blocks.0"
    for theirs, parts in FUSED.items():
        fused = [weights[f"{block}.attn.{part}.weight"] for part in parts]
        made[f"double_blocks.0.{theirs}.weight"] = torch.cat(fused)
    for theirs, ours in RENAMED.items():
        end = "scale" if "norm" in theirs else "weight"
        made[f"double_blocks.0.{theirs}.{end}"] = weights[f"{block}.{ours}.weight"]
    for index in range(2):
        for theirs, ours in SINGLE.items():
            end = "scale" if "norm" in theirs else "weight"
            name = f"single_transformer_blocks.{index}.{ours}.weight"
            made[f"single_blocks.{index}.{theirs}.{end}"] = weights[name]
    return made


def make_file(folder: Path, *, start: str = "") -> Path:
    """The transformer of a folder that `make_folder` made, as a single file in the published layout."""
    weights = load_file(folder / "transformer/diffusion_pytorch_model.safetensors")
    path = folder.with_name(f"{folder.name}-transformer.safetensors")
    save_file({start + name: tensor.contiguous() for name, tensor in published(weights).items()}, path)
    return path


def make_lora(folder: Path, *, seed: int = 3, rank: int = 2) -> Path:
    """A LoRA in diffusers' names, for layers of both kinds of blocks and outside of them."""
    torch.manual_seed(seed)
    modules = dict(make_transformer().named_modules())
    tensors = {}
    for name, module in modules.items():
        if isinstance(module, torch.nn.Linear) and ("blocks" in name or name == "x_embedder"):
            tensors[f"transformer.{name}.lora_A.weight"] = torch.randn(rank, module.in_features)
            tensors[f"transformer.{name}.lora_B.weight"] = torch.randn(module.out_features, rank) * 0.05
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pytorch_lora_weights.safetensors"
    save_file(tensors, path)
    return path
