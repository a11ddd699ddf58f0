"""A small random Z-Image-Turbo: a folder of diffusers, a single file as ComfyUI's users have, and a LoRA."""

import json
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.checkpoints import qwen
from tests.checkpoints.ldm import ldm_vae

CHANNELS, DIM, LAYERS = 16, 32, 3

INDEX = {
    "_class_name": "ZImagePipeline",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "Qwen3Model"],
    "tokenizer": ["transformers", "Qwen2Tokenizer"],
    "transformer": ["diffusers", "ZImageTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}

Weights = dict[str, Tensor]


def make_transformer(**changes: object) -> ZImageTransformer2DModel:
    """A transformer whose output depends on every input: what it begins with has pads and gates of 0."""
    torch.manual_seed(41)
    settings = {
        "in_channels": CHANNELS, "dim": DIM, "n_layers": 2, "n_refiner_layers": 1, "n_heads": 2,
        "n_kv_heads": 2, "cap_feat_dim": qwen.HIDDEN, "axes_dims": [4, 6, 6], "axes_lens": [512, 64, 64],
    }  # fmt: skip
    network = ZImageTransformer2DModel(**{**settings, **changes})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.3)
    return network


def make_vae() -> AutoencoderKL:
    torch.manual_seed(42)
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=1, latent_channels=CHANNELS,
        norm_num_groups=4, sample_size=64, scaling_factor=0.3611, shift_factor=0.1159, force_upcast=True,
        use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip


def make_folder(folder: Path, *, shift: float = 3.0, **changes: object) -> Path:
    """A diffusers folder; native size 64 px. `changes` are of the transformer's config."""
    make_transformer(**changes).save_pretrained(folder / "transformer")
    make_vae().save_pretrained(folder / "vae")
    FlowMatchEulerDiscreteScheduler(shift=shift).save_pretrained(folder / "scheduler")
    qwen.write_encoder(folder / "text_encoder", LAYERS, seed=43)
    qwen.write_tokenizer(folder / "tokenizer")
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    return folder


def published(weights: Weights) -> Weights:
    """A transformer's tensors under Z-Image's published names, with queries, keys and values as one."""
    renamed = {}
    for name, tensor in weights.items():
        path, _, kind = name.rpartition(".")
        path = path.replace("all_x_embedder.2-1", "x_embedder").replace("all_final_layer.2-1", "final_layer")
        path = path.replace("attention.norm_q", "attention.q_norm").replace(
            "attention.norm_k", "attention.k_norm"
        )
        path = path.replace("attention.to_out.0", "attention.out")
        if path.endswith(".to_q"):
            start = name.removesuffix("to_q.weight")
            renamed[start + "qkv.weight"] = torch.cat([weights[f"{start}to_{part}.weight"] for part in "qkv"])
        elif not path.endswith((".to_k", ".to_v")):
            renamed[f"{path}.{kind}".removeprefix(".")] = tensor
    return renamed


def make_file(folder: Path, *, start: str = "model.diffusion_model.", **changes: object) -> Path:
    """The transformer as one file under its published names, as ComfyUI reads it: it holds nothing else."""
    path = folder / "z_image_turbo.safetensors"
    tensors = published(make_transformer(**changes).state_dict())
    tensors["norm_final.weight"] = torch.ones(DIM)  # which published files have, in vain
    save_file({start + name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def make_whole_file(folder: Path, model: Path) -> Path:
    """The networks of a model folder in one file, as ComfyUI saves checkpoints."""
    encoder = load_file(model / "text_encoder" / "model.safetensors")
    of_parts = {
        "model.diffusion_model.": published(make_transformer().state_dict()),
        "vae.": ldm_vae(make_vae().state_dict()),
        "text_encoders.qwen3_4b.transformer.": encoder,
    }
    tensors = {start + name: tensor for start, part in of_parts.items() for name, tensor in part.items()}
    path = folder / "z_image_turbo_aio.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def lora_layers() -> dict[str, tuple[Tensor, Tensor]]:
    """The factors, down and up, of a LoRA of all linear layers of the transformer's blocks."""
    generator, layers = torch.Generator().manual_seed(44), {}
    for name, layer in make_transformer().named_modules():
        if isinstance(layer, nn.Linear) and name.startswith(("layers", "noise_refiner", "context_refiner")):
            shapes = (2, layer.in_features), (layer.out_features, 2)
            layers[name] = tuple(torch.randn(*shape, generator=generator) / 4 for shape in shapes)
    return layers


def make_lora(folder: Path) -> Path:
    """That LoRA as diffusers saves it."""
    path, tensors = folder / "lora.safetensors", {}
    for name, (down, up) in lora_layers().items():
        tensors[f"transformer.{name}.lora_A.weight"] = down
        tensors[f"transformer.{name}.lora_B.weight"] = up
    save_file(tensors, path)
    return path
