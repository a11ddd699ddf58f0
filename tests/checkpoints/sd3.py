"""A small random Stable Diffusion 3.5: a folder of diffusers, a single file, and a LoRA of its networks."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.models.clip.modeling_clip import CLIPTextConfig, CLIPTextModelWithProjection

from tests.checkpoints import t5
from tests.checkpoints.clip import TOKENS, write_tokenizer
from tests.checkpoints.ldm import ldm_vae

WIDTHS, PROJECTED = (16, 24), (16, 20)
"""Widths of both CLIPs' states, and of their vectors of a prompt."""

INDEX = {
    "_class_name": "StableDiffusion3Pipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "text_encoder_3": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
    "tokenizer_3": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "SD3Transformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}

T5 = "text_encoder_3"

STABLE_3 = {"dual_attention_layers": (), "qk_norm": None}
"""What Stable Diffusion 3 has not and 3.5 has."""

Networks = dict[str, nn.Module]


def _spread(network: nn.Module) -> nn.Module:
    """Give weights a spread with which prompts, places and times show in what a network makes."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1 and "embedding" not in name:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
    return network


def make_transformer(**changes: object) -> SD3Transformer2DModel:
    settings = {
        "sample_size": 8, "in_channels": 16, "out_channels": 16, "num_layers": 3, "attention_head_dim": 8,
        "num_attention_heads": 4, "joint_attention_dim": t5.WIDTH, "caption_projection_dim": 32,
        "pooled_projection_dim": sum(PROJECTED), "pos_embed_max_size": 24, "dual_attention_layers": (0, 1),
        "qk_norm": "rms_norm",
    }  # fmt: skip
    return _spread(SD3Transformer2DModel(**{**settings, **changes}))


def make_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=1, latent_channels=16, norm_num_groups=4,
        scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip


def make_clip(place: int) -> nn.Module:
    """One of both text encoders."""
    config = CLIPTextConfig(
        vocab_size=TOKENS, hidden_size=WIDTHS[place], intermediate_size=2 * WIDTHS[place],
        projection_dim=PROJECTED[place], num_hidden_layers=2, num_attention_heads=2,
        hidden_act=("quick_gelu", "gelu")[place], bos_token_id=TOKENS - 2,
        pad_token_id=(TOKENS - 1, 0)[place],
        eos_token_id=2,  # as published, and wrong
    )  # fmt: skip
    network = CLIPTextModelWithProjection(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
        if place == 0:  # the original program does not project the first, which is published as this
            network.text_projection.weight.copy_(torch.eye(WIDTHS[0]))
    return network


def make_networks(**changes: object) -> Networks:
    """All networks; `changes` are of the transformer's config."""
    torch.manual_seed(41)
    return {
        "transformer": make_transformer(**changes),
        "vae": make_vae(),
        "text_encoder": make_clip(0),
        "text_encoder_2": make_clip(1),
        "text_encoder_3": t5.make_encoder(),
    }


def make_folder(folder: Path, *, with_t5: bool = True, **changes: object) -> Path:
    """A diffusers folder; native size 64 px."""
    parts = {name: each for name, each in make_networks(**changes).items() if with_t5 or name[-1] != "3"}
    for name, network in parts.items():
        network.save_pretrained(folder / name)
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer")
    write_tokenizer(folder / "tokenizer_2", padding="!")
    none = {} if with_t5 else {"text_encoder_3": [None, None], "tokenizer_3": [None, None]}
    if with_t5:
        t5.write_tokenizer(folder / "tokenizer_3")
    (folder / "model_index.json").write_text(json.dumps({**INDEX, **none}))
    return folder


def without_t5(folder: Path, copy: Path) -> Path:
    """A copy of a folder without its third text encoder."""
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("text_encoder_3", "tokenizer_3"))
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(
        json.dumps({**index, "text_encoder_3": [None, None], "tokenizer_3": [None, None]})
    )
    return copy


BLOCK = {
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    "attn.to_out.0": "x_block.attn.proj",
    "attn.to_add_out": "context_block.attn.proj",
    "attn.norm_q": "x_block.attn.ln_q",
    "attn.norm_k": "x_block.attn.ln_k",
    "attn.norm_added_q": "context_block.attn.ln_q",
    "attn.norm_added_k": "context_block.attn.ln_k",
    "attn2.to_out.0": "x_block.attn2.proj",
    "attn2.norm_q": "x_block.attn2.ln_q",
    "attn2.norm_k": "x_block.attn2.ln_k",
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
}
ENDS = {
    "pos_embed.pos_embed": "pos_embed",
    "pos_embed.proj": "x_embedder.proj",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "context_embedder": "context_embedder",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "proj_out": "final_layer.linear",
}
FUSED = {
    "attn.to_q": "x_block.attn.qkv", "attn.to_k": "x_block.attn.qkv", "attn.to_v": "x_block.attn.qkv",
    "attn.add_q_proj": "context_block.attn.qkv", "attn.add_k_proj": "context_block.attn.qkv",
    "attn.add_v_proj": "context_block.attn.qkv",
    "attn2.to_q": "x_block.attn2.qkv", "attn2.to_k": "x_block.attn2.qkv", "attn2.to_v": "x_block.attn2.qkv",
}  # fmt: skip


def mmdit_layer(name: str) -> str:
    """A layer's name in the program that MMDiT was published with."""
    match = re.fullmatch(r"transformer_blocks\.(\d+)\.(.*)", name)
    if match is None:
        return ENDS[name]
    return f"joint_blocks.{match[1]}.{ {**BLOCK, **FUSED}[match[2]] }"


def is_swapped(name: str, blocks: int) -> bool:
    """Tell whether a layer's halves, shift and scale, are the other way round there."""
    return name in ("norm_out.linear", f"transformer_blocks.{blocks - 1}.norm1_context.linear")


def mmdit(transformer: SD3Transformer2DModel) -> dict[str, Tensor]:
    """The transformer's tensors under the names of that program."""
    blocks, made = len(transformer.transformer_blocks), {}
    last = list(FUSED)  # queries, keys and values of a stream, one below the other
    tensors = sorted(
        transformer.state_dict().items(),
        key=lambda each: next((at for at, part in enumerate(last) if f".{part}." in each[0]), -1),
    )
    for name, tensor in tensors:
        layer, _, kind = name.rpartition(".")
        if name == "pos_embed.pos_embed":
            made["pos_embed"] = tensor
            continue
        theirs = f"{mmdit_layer(layer)}.{kind}"
        if is_swapped(layer, blocks):
            tensor = torch.cat(tensor.chunk(2)[::-1])
        made[theirs] = torch.cat([made[theirs], tensor]) if theirs in made else tensor
    return made


def file_tensors(*, encoders: str = "lgt", **changes: object) -> dict[str, Tensor]:
    """The same model under the names of the published file, with some of its text encoders, by letters."""
    made = make_networks(**changes)
    text = {
        "l": ("text_encoders.clip_l.transformer.", made["text_encoder"]),
        "g": ("text_encoders.clip_g.transformer.", made["text_encoder_2"]),
        "t": ("text_encoders.t5xxl.transformer.", made["text_encoder_3"]),
    }
    parts = {
        "model.diffusion_model.": mmdit(made["transformer"]),
        "first_stage_model.": ldm_vae(made["vae"].state_dict()),
        **{start: dict(network.state_dict()) for start, network in (text[each] for each in encoders)},
    }
    if "l" in encoders:
        del parts["text_encoders.clip_l.transformer."]["text_projection.weight"]
        parts["text_encoders.clip_l."] = {"logit_scale": torch.tensor(4.6)}
    if "t" in encoders:
        del parts["text_encoders.t5xxl.transformer."]["encoder.embed_tokens.weight"]
    return {
        start + name: tensor.contiguous() for start, part in parts.items() for name, tensor in part.items()
    }


def make_file(folder: Path, *, encoders: str = "lgt", **changes: object) -> Path:
    """The same model as one file, which takes its configs from the folder of `make_folder`."""
    path = folder / f"sd3_{encoders}.safetensors"
    save_file(file_tensors(encoders=encoders, **changes), path)
    return path


def layers() -> Iterator[tuple[str, str, nn.Linear]]:
    """The layers that the LoRA changes: component, name and layer; T5 is none of diffusers' LoRAs."""
    for component, network in make_networks().items():
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Linear) and component in (
                "transformer",
                "text_encoder",
                "text_encoder_2",
            ):
                yield component, name, layer


def factors(name: str, layer: nn.Linear, rank: int = 2) -> tuple[Tensor, Tensor]:
    """Factors of a layer's change that follow from its name."""
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    down = torch.randn(rank, layer.in_features, generator=generator)
    return down / 8, torch.randn(layer.out_features, rank, generator=generator) / 2


def make_lora(folder: Path) -> Path:
    """A LoRA of the transformer and both CLIPs, as diffusers saves it."""
    tensors = {}
    for component, name, layer in layers():
        if "attn" in name:
            down, up = factors(name, layer)
            tensors |= {f"{component}.{name}.lora_A.weight": down, f"{component}.{name}.lora_B.weight": up}
    path = folder / "lora.safetensors"
    save_file(tensors, path)
    return path
