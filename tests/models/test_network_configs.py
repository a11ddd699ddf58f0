"""What a network's config may say: known keys, values that make sense. It is told before weights are read."""

import dataclasses
import inspect
import json
from importlib import import_module

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.models.clip.modeling_clip import CLIPTextConfig, CLIPTextModel

from smd_cli.errors import AssetError
from smd_cli.models.assets import locate
from smd_cli.models.clip_network import CLIP_TEXT
from smd_cli.models.spec import ModelSpec
from smd_cli.models.unet_network import UNET
from smd_cli.models.vae import AUTOENCODER_KL, AUTOENCODER_TINY
from tests.models.outcomes import UNET as UNET_FILE
from tests.models.outcomes import failure

TEXT, VAE, NET, NOISE = (
    f"{part}/{name}"
    for part, name in (
        ("text_encoder", "config.json"),
        ("vae", "config.json"),
        ("unet", "config.json"),
        ("scheduler", "scheduler_config.json"),
    )
)

BAD = [
    (TEXT, "num_hidden_layers", 10**6),
    (TEXT, "num_hidden_layers", -1),
    (TEXT, "num_hidden_layers", 0),
    (TEXT, "num_hidden_layers", 2.0),
    (TEXT, "num_hidden_layers", "2"),
    (TEXT, "num_hidden_layers", True),
    (TEXT, "num_hidden_layers", None),
    (TEXT, "num_hidden_layers", [2]),
    (TEXT, "hidden_size", 10**9),
    (TEXT, "hidden_size", -32),
    (TEXT, "num_attention_heads", 5),
    (TEXT, "num_attention_heads", 0),
    (TEXT, "max_position_embeddings", 10**10),
    (TEXT, "max_position_embeddings", 2),
    (TEXT, "vocab_size", 10**18),
    (TEXT, "layer_norm_eps", -1e-5),
    (TEXT, "hidden_act", "evil"),
    (TEXT, "hidden_act", {"relu": 1}),
    (NET, "layers_per_block", 10**6),
    (NET, "layers_per_block", [1]),
    (NET, "transformer_layers_per_block", 10**6),
    (NET, "block_out_channels", [16, -32]),
    (NET, "block_out_channels", [16] * 9),
    (NET, "block_out_channels", []),
    (NET, "block_out_channels", 16),
    (NET, "down_block_types", ["DownBlock2D"]),
    (NET, "up_block_types", ["UpBlock2D", "../x"]),
    (NET, "norm_num_groups", 7),
    (NET, "attention_head_dim", 5),
    (NET, "attention_head_dim", [4, 5]),
    (NET, "attention_head_dim", [4, 4, 4]),
    (NET, "sample_size", 10**9),
    (NET, "sample_size", 0),
    (NET, "class_embed_type", "timestep"),
    (NET, "addition_embed_type", "text_time"),
    (NET, "norm_eps", "small"),
    (VAE, "block_out_channels", [8, 8, 16, 10**7]),
    (VAE, "layers_per_block", 10**6),
    (VAE, "norm_num_groups", 3),
    (VAE, "scaling_factor", 0),
    (VAE, "shift_factor", "0.1"),
    (VAE, "latents_mean", [0.1] * 4),
    (VAE, "in_channels", 4),
    (NOISE, "num_train_timesteps", 10**12),
    (NOISE, "beta_end", 1.5),
    (NOISE, "beta_schedule", "evil"),
    (NOISE, "trained_betas", [0.1, "x"]),
]


@pytest.mark.parametrize(("file", "key", "value"), BAD, ids=lambda value: str(value)[:30])
def test_values_that_make_no_sense(file, key, value, copy, make):
    make.edit_json(copy / file, **{key: value})
    with pytest.raises(AssetError) as caught:
        locate(ModelSpec(str(copy)))  # which reads no weights
    message = str(caught.value)
    assert message.startswith(f"{copy / file}: ")
    assert key in message
    assert "allowed is" in message or "divide" in message or "is a list of" in message
    assert "\n" not in message
    assert len(message) < 400
    assert caught.value.exit_code == 4


def test_tiny_autoencoders_are_checked_too(make, tmp_path):
    model = make.model(tmp_path / "tiny", vae=make.tiny_vae())
    locate(ModelSpec(str(model)))
    make.edit_json(model / VAE, num_decoder_blocks=[1, 1, 10**6, 1])
    assert f"{model / VAE}: num_decoder_blocks is [1, 1, 1000000, 1]; allowed is" in failure(
        ModelSpec(str(model))
    )


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        (NET, {"layers_per_block": 200}),
        (NET, {"layers_per_block": 200, "transformer_layers_per_block": 200}),
        (TEXT, {"num_hidden_layers": 250}),
        (VAE, {"layers_per_block": 256}),
    ],
)
def test_networks_of_far_more_layers_than_the_weights_are_not_built(file, changes, copy, make, monkeypatch):
    """Each number alone makes sense, but the network would never be filled."""
    built = []
    build = torch.nn.Module.__init__

    def count(self, *arguments, **settings):
        built.append(self)
        build(self, *arguments, **settings)

    monkeypatch.setattr(torch.nn.Module, "__init__", count)
    make.edit_json(copy / file, **changes)
    message = failure(ModelSpec(str(copy)))
    assert message.startswith(f"{copy / file}: ")
    assert "far more than its weights" in message
    assert len(built) < 10_000


def test_weights_of_far_more_tensors_than_the_network_are_not_renamed(copy):
    weights = load_file(copy / UNET_FILE)
    many = {f"input_blocks.{number}.0.x": torch.zeros(1) for number in range(3000)}
    save_file({**weights, **many}, copy / UNET_FILE)
    assert f"{3000 + len(weights):,} tensors, far more than its {len(weights)}" in failure(
        ModelSpec(str(copy))
    )


def test_wide_networks_beside_small_weights_take_no_memory(copy, make):
    """Its largest layer alone would take 77 GB."""
    make.edit_json(copy / NET, block_out_channels=[2**15, 2**16], norm_num_groups=32)
    assert "conv_in.bias is of shape (16,) instead of (32768,)" in failure(ModelSpec(str(copy)))


def test_another_class_is_told(copy, make):
    make.edit_json(copy / NET, _class_name="UNet3DConditionModel")
    assert f"{copy / NET}: describes a UNet3DConditionModel, not a UNet2DConditionModel" in failure(
        ModelSpec(str(copy))
    )


def test_prompts_of_another_width_are_told(copy, make):
    config = CLIPTextConfig(**{**json.loads((copy / TEXT).read_text()), "hidden_size": 16})
    CLIPTextModel(config).save_pretrained(copy / "text_encoder")
    message = failure(ModelSpec(str(copy)))
    assert f"{copy / TEXT}: hidden_size is 16, but the UNet reads prompts of width 32" in message


def test_a_denoiser_writes_what_the_autoencoder_reads(copy, make):
    make.edit_json(copy / NET, out_channels=8)
    assert "the UNet writes 8 channels, the autoencoder reads 4" in failure(ModelSpec(str(copy)))


@pytest.mark.parametrize(
    "network", [UNET, AUTOENCODER_KL, AUTOENCODER_TINY], ids=lambda network: network.name
)
def test_every_key_of_a_class_is_known(network):
    """Also of releases to come: what they add has to be judged."""
    made = getattr(import_module(network.module), network.name)
    assert network.known.keys.keys() == inspect.signature(made.__init__).parameters.keys() - {"self"}


def test_every_key_of_the_text_encoder_is_known():
    own = {field.name for field in dataclasses.fields(CLIPTextConfig)}
    assert own - {"output_hidden_states"} <= CLIP_TEXT.known.keys.keys() | CLIP_TEXT.known.notes
    assert CLIP_TEXT.known.keys.keys() <= own


SCHEDULERS = [
    *("PNDM", "DDIM", "DDPM", "LCM", "EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete"),
    *("DPMSolverMultistep", "DPMSolverSinglestep", "DEISMultistep", "UniPCMultistep", "KDPM2Discrete"),
]
"""Those that models of this family are published with."""

SD15 = [
    (UNET, {
        "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.6.0", "act_fn": "silu",
        "attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280], "center_input_sample": False,
        "cross_attention_dim": 768, "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
        "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4,
        "layers_per_block": 2, "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": 32,
        "out_channels": 4, "sample_size": 64,
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    }),
    (AUTOENCODER_KL, {
        "_class_name": "AutoencoderKL", "_diffusers_version": "0.6.0", "act_fn": "silu",
        "block_out_channels": [128, 256, 512, 512], "down_block_types": ["DownEncoderBlock2D"] * 4,
        "in_channels": 3, "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32,
        "out_channels": 3, "sample_size": 512, "up_block_types": ["UpDecoderBlock2D"] * 4,
    }),
    (CLIP_TEXT, {
        "_name_or_path": "openai/clip-vit-large-patch14", "architectures": ["CLIPTextModel"],
        "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2,
        "hidden_act": "quick_gelu", "hidden_size": 768, "initializer_factor": 1.0,
        "initializer_range": 0.02, "intermediate_size": 3072,
        "layer_norm_eps": 1e-05, "max_position_embeddings": 77, "model_type": "clip_text_model",
        "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1, "projection_dim": 768,
        "torch_dtype": "float32", "transformers_version": "4.22.0.dev0", "vocab_size": 49408,
    }),
    (UNET, {  # of a single file, as diffusers' script converted it
        "sample_size": 64, "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280],
        "upcast_attention": None, "num_attention_heads": None, "time_cond_proj_dim": None,
        "mid_block_only_cross_attention": None, "cross_attention_norm": None, "class_embed_type": None,
    }),
]  # fmt: skip
"""The configs of Stable Diffusion 1.5, as published."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' use of numpy
@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_configs_of_all_schedulers_are_read(name, copy):
    """Some hold -Infinity, which JSON does not know."""
    getattr(diffusers, f"{name}Scheduler")(beta_schedule="scaled_linear").save_pretrained(copy / "scheduler")
    locate(ModelSpec(str(copy)))


def test_a_tokenizer_without_a_greatest_length_is_read(copy, make):
    make.edit_json(copy / "tokenizer/tokenizer_config.json", model_max_length=int(1e30))
    locate(ModelSpec(str(copy)))


@pytest.mark.parametrize(("network", "config"), SD15, ids=lambda each: getattr(each, "name", ""))
def test_published_configs_say_nothing_unknown(network, config, tmp_path):
    assert network.known.unknown(config) == []
    reduced = network.known.reduce(config, tmp_path)
    assert reduced.items() <= config.items()
    assert len(reduced) >= 10


@pytest.mark.parametrize("file", [VAE, NET])
@pytest.mark.parametrize("key", ["up_block_types", "down_block_types", "block_out_channels"])
def test_blocks_are_listed_together(file, key, copy):
    """What the library takes for a list that is left out does not fit the others."""
    config = json.loads((copy / file).read_text())
    del config[key]
    (copy / file).write_text(json.dumps(config))
    with pytest.raises(AssetError, match=f"lacks {key} beside |lack or garble '{key}'"):
        locate(ModelSpec(str(copy)), offline=True)
