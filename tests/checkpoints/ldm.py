"""Networks of diffusers under the names of single files: those of LDM, the first latent diffusion program."""

import re

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

Weights = dict[str, Tensor]

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
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def ldm_unet(unet: UNet2DConditionModel) -> Weights:
    """A UNet's tensors in the LDM layout."""
    layers, ups = unet.config.layers_per_block, unet.config.up_block_types
    return {ldm_unet_name(name, layers, ups): tensor for name, tensor in unet.state_dict().items()}


def ldm_unet_name(name: str, layers: int, up_block_types: tuple[str, ...]) -> str:
    """A diffusers UNet tensor's name in the LDM layout, which counts the layers of all blocks one by one."""
    for ours, theirs in UNET_ENDS.items():
        if name.startswith(ours + "."):
            return name.replace(ours, theirs, 1)
    match = re.fullmatch(r"(\w+?)_blocks?\.(?:(\d)\.)?(\w+?)s\.(\d)\.(.*)", name)
    assert match, name
    side, block, kind, layer, rest = match[1], int(match[2] or 0), match[3], int(match[4]), match[5]
    if kind == "resnet":
        head = next(ours for ours in RESNET if rest.startswith(ours + "."))
        rest = rest.replace(head, RESNET[head], 1)
    step = block * (layers + 1) + layer
    if side == "mid":
        return f"middle_block.{2 * layer if kind == 'resnet' else 1}.{rest}"
    if kind == "downsampler":
        return f"input_blocks.{(block + 1) * (layers + 1)}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsampler":
        after = 2 if "CrossAttn" in up_block_types[block] else 1
        return f"output_blocks.{step + layers}.{after}.{rest}"
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


def ldm_vae(weights: Weights) -> Weights:
    """An autoencoder's tensors in the LDM layout: its attention is made of 1x1 convolutions."""
    renamed = {ldm_vae_name(name): tensor for name, tensor in weights.items()}
    return {
        name: tensor[:, :, None, None] if re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name) else tensor
        for name, tensor in renamed.items()
    }


CLIP_WORDS = [
    ("text_model.", ""),
    ("embeddings.token_embedding", "token_embedding"),
    ("embeddings.position_embedding.weight", "positional_embedding"),
    ("encoder.layers", "transformer.resblocks"),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
    ("self_attn", "attn"),
    ("final_layer_norm", "ln_final"),
]


def open_clip(encoder: CLIPTextModel | CLIPTextModelWithProjection) -> Weights:
    """A text encoder's tensors as OpenCLIP has them: queries, keys and values in one, projections turned."""
    renamed: Weights = {}
    for name, tensor in encoder.state_dict().items():
        for ours, theirs in CLIP_WORDS:
            name = name.replace(ours, theirs)
        renamed[name] = tensor
    if "text_projection.weight" in renamed:
        renamed["text_projection"] = renamed.pop("text_projection.weight").T.contiguous()
    for name in [name for name in renamed if ".q_proj." in name]:
        parts = [renamed.pop(name.replace(".q_proj.", f".{letter}_proj.")) for letter in "qkv"]
        renamed[name.replace(".q_proj.", ".in_proj_")] = torch.cat(parts)
    return renamed
