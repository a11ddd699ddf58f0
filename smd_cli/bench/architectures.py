"""The families' published architectures, as their configs say: a model without its weights.

Each is what the named repository publishes. Text encoders are described, since families look into their
configs, but not made: prompts are random numbers of the right shape.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import smd_cli
from smd_cli.models.sources import EMBEDDED

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """A model without its weights.

    Attributes:
        name: of the family, and what users ask for.
        published: whose configs these are, on the hub.
        configs: of the networks and the scheduler, by their folders.
        tokens: of the prompts that it is measured with.
        width: of what a prompt's tokens become for the denoiser.
        pooled: width of the vector beside them; 0: there is none.
        tokenizers: folders of tokenizers, by their kind, `clip` or `qwen`.
    """

    name: str
    published: str
    configs: Mapping[str, Config]
    tokens: int
    width: int
    pooled: int = 0
    tokenizers: Mapping[str, str] = field(default_factory=lambda: {"tokenizer": "clip"})

    def write(self, folder: Path) -> None:
        """Write the folder of a diffusers model, but for the weights."""
        for name, config in self.configs.items():
            (folder / name).mkdir()
            file = "scheduler_config.json" if name == "scheduler" else "config.json"
            (folder / name / file).write_text(json.dumps(config))
        for name, kind in self.tokenizers.items():
            (folder / name).mkdir()
            for file, text in _TOKENIZERS[kind]().items():
                (folder / name / file).write_text(text)


def _clip_tokenizer() -> dict[str, str]:
    """Take the files of the embedded model's, which is one of CLIP's."""
    folder = Path(smd_cli.__file__).parent / EMBEDDED["flatland"] / "tokenizer"
    return {path.name: path.read_text() for path in folder.iterdir()}


def _qwen_tokenizer() -> dict[str, str]:
    """Make the files of one that knows bytes and the marks of a conversation, and no word."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [*map(chr, printable), *(chr(256 + shift) for shift in range(256 - len(printable)))]
    marks = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
    added = {
        str(len(letters) + place): {
            "content": mark,
            "special": mark.endswith("|>"),
            **dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False),
        }
        for place, mark in enumerate(marks)
    }
    config = {"added_tokens_decoder": added, "tokenizer_class": "Qwen2Tokenizer", "pad_token": marks[0]}
    vocabulary = {letter: place for place, letter in enumerate(letters)}
    return {
        "vocab.json": json.dumps(vocabulary),
        "merges.txt": "#version: 0.2\n",
        "tokenizer_config.json": json.dumps(config),
    }


_TOKENIZERS = {"clip": _clip_tokenizer, "qwen": _qwen_tokenizer}


def _kl(latent_channels: int, scaling: float, size: int, **more: object) -> Config:
    """Return the config of a KL autoencoder, whose widths are the same in all of these families."""
    return {
        "_class_name": "AutoencoderKL",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "latent_channels": latent_channels,
        "scaling_factor": scaling,
        "sample_size": size,
        **more,
    }


def _clip(width: int, layers: int, heads: int, activation: str) -> Config:
    return {
        "architectures": ["CLIPTextModel"],
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": 77,
        "projection_dim": width,
        "hidden_act": activation,
        "vocab_size": 49408,
    }


_CLIP_L, _CLIP_G = _clip(768, 12, 12, "quick_gelu"), _clip(1280, 32, 20, "gelu")

_QWEN3_4B: Config = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": 151936,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "hidden_act": "silu",
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": True,
}

_NOISE: Config = {
    "_class_name": "PNDMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "steps_offset": 1,
}


def _flow(shift: float, **more: object) -> Config:
    return {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "shift": shift,
        **more,
    }


SD15 = Architecture(
    "sd15",
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    {
        "unet": {
            "_class_name": "UNet2DConditionModel",
            "sample_size": 64,
            "in_channels": 4,
            "out_channels": 4,
            "block_out_channels": [320, 640, 1280, 1280],
            "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
            "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
            "layers_per_block": 2,
            "attention_head_dim": 8,
            "cross_attention_dim": 768,
        },
        "vae": _kl(4, 0.18215, 512),
        "text_encoder": _CLIP_L,
        "scheduler": _NOISE,
    },
    tokens=77,
    width=768,
)

SDXL = Architecture(
    "sdxl",
    "stabilityai/stable-diffusion-xl-base-1.0",
    {
        "unet": {
            "_class_name": "UNet2DConditionModel",
            "sample_size": 128,
            "in_channels": 4,
            "out_channels": 4,
            "block_out_channels": [320, 640, 1280],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            "layers_per_block": 2,
            "transformer_layers_per_block": [1, 2, 10],
            "attention_head_dim": [5, 10, 20],
            "cross_attention_dim": 2048,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        "vae": _kl(4, 0.13025, 1024, force_upcast=True),
        "text_encoder": _CLIP_L,
        "text_encoder_2": {**_CLIP_G, "architectures": ["CLIPTextModelWithProjection"]},
        "scheduler": {**_NOISE, "_class_name": "EulerDiscreteScheduler"},
    },
    tokens=77,
    width=2048,
    pooled=1280,
    tokenizers={"tokenizer": "clip", "tokenizer_2": "clip"},
)

SD3 = Architecture(
    "sd3",
    "stabilityai/stable-diffusion-3-medium-diffusers",
    {
        "transformer": {
            "_class_name": "SD3Transformer2DModel",
            "sample_size": 128,
            "patch_size": 2,
            "in_channels": 16,
            "out_channels": 16,
            "num_layers": 24,
            "attention_head_dim": 64,
            "num_attention_heads": 24,
            "joint_attention_dim": 4096,
            "caption_projection_dim": 1536,
            "pooled_projection_dim": 2048,
            "pos_embed_max_size": 192,
        },
        "vae": _kl(16, 1.5305, 1024, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        "text_encoder": {**_CLIP_L, "architectures": ["CLIPTextModelWithProjection"]},
        "text_encoder_2": {**_CLIP_G, "architectures": ["CLIPTextModelWithProjection"]},
        "scheduler": _flow(3.0),
    },
    tokens=77 + 256,  # as with T5
    width=4096,
    pooled=2048,
    tokenizers={"tokenizer": "clip", "tokenizer_2": "clip"},
)

KLEIN = Architecture(
    "klein",
    "black-forest-labs/FLUX.2-klein-4B",
    {
        "transformer": {
            "_class_name": "Flux2Transformer2DModel",
            "patch_size": 1,
            "in_channels": 128,
            "num_layers": 5,
            "num_single_layers": 20,
            "attention_head_dim": 128,
            "num_attention_heads": 24,
            "joint_attention_dim": 7680,
            "timestep_guidance_channels": 256,
            "mlp_ratio": 3.0,
            "axes_dims_rope": [32, 32, 32, 32],
            "rope_theta": 2000,
            "guidance_embeds": False,
        },
        "vae": {
            "_class_name": "AutoencoderKLFlux2",
            "block_out_channels": [128, 256, 512, 512],
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "layers_per_block": 2,
            "latent_channels": 32,
            "sample_size": 1024,
            "patch_size": [2, 2],
        },
        "text_encoder": _QWEN3_4B,
        "scheduler": _flow(3.0, use_dynamic_shifting=True),
    },
    tokens=512,
    width=7680,
    tokenizers={"tokenizer": "qwen"},
)

ZIMAGE = Architecture(
    "zimage",
    "Tongyi-MAI/Z-Image-Turbo",
    {
        "transformer": {
            "_class_name": "ZImageTransformer2DModel",
            "in_channels": 16,
            "dim": 3840,
            "n_layers": 30,
            "n_refiner_layers": 2,
            "n_heads": 30,
            "n_kv_heads": 30,
            "cap_feat_dim": 2560,
            "axes_dims": [32, 48, 48],
            "axes_lens": [1536, 512, 512],
        },
        "vae": _kl(16, 0.3611, 1024, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
        "text_encoder": _QWEN3_4B,
        "scheduler": _flow(3.0),
    },
    tokens=128,
    width=2560,
    tokenizers={"tokenizer": "qwen"},
)

ARCHITECTURES: dict[str, Architecture] = {each.name: each for each in (SD15, SDXL, SD3, KLEIN, ZIMAGE)}
"""What can be measured, by the name of its family."""
