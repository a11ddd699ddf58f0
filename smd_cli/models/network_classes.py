"""The classes that networks are built from, and what their configs may say. Knows no torch.

A config is a stranger's file. Of it the program takes the keys below, with values that make sense, and builds
the network itself: nothing in a config can lead to another file, to code or to another kind of attention.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from smd_cli.errors import AssetError
from smd_cli.models.allowed import (
    FLAG,
    NULL,
    OFF,
    Allowed,
    KnownKeys,
    above,
    as_long,
    divides,
    either,
    many,
    real,
    whole,
    word,
)
from smd_cli.models.configs import CONFIG, Config, read_config

_log = logging.getLogger(__name__)

Spellings = Callable[[str], tuple[str, ...]]
"""Gives the other names that a tensor may have had, or has in a network of another release."""


@dataclass(frozen=True)
class NetworkClass:
    """A class of networks.

    Attributes:
        module: where it is, in diffusers or transformers.
        name: its own, which configs of diffusers call `_class_name`.
        known: the keys of its config.
        spellings: what a tensor's name may be in the network.
        single_file: what turns names of single-file checkpoints into the network's, in
            `diffusers.loaders.single_file_utils`: it takes tensors, and what it asks for of the network, its
            config and what their names begin with, and touches no file.
        takes_bare_names: whether that takes names without the prefix that they have in a whole checkpoint.
        trim: takes off a network, before it is filled, what it is never asked for.
        build: makes one of diffusers' from its class and the known keys of a config.
        identity: a square weight that single files leave out because it changes nothing, or hold in vain.
        nested: keys of its config that are configs themselves, of parts of the network.
        attention: what computes it in a class of transformers: PyTorch itself (`sdpa`), where the class can
            have that. Configs have no say in it.
    """

    module: str
    name: str
    known: KnownKeys
    spellings: Spellings = lambda name: ()
    single_file: str = ""
    takes_bare_names: bool = False
    trim: Callable[[Any], None] = lambda network: None
    build: Callable[[Any, Config], Any] = lambda kind, config: kind(**config)
    identity: str = ""
    nested: Mapping[str, KnownKeys] = field(default_factory=dict)
    attention: Literal["sdpa", "eager"] = "sdpa"


def read_network_config(folder: Path, network: NetworkClass) -> Config:
    """Read the config of a network: the known keys alone, with values that make sense.

    Raises:
        AssetError: it cannot be read, is another class's, or a value is none that is allowed.
    """
    config, path = read_config(folder), folder / CONFIG
    name = config.get("_class_name", network.name)
    if name != network.name:
        raise AssetError(f"{path}: describes a {name!s:.80}, not a {network.name}")
    parts = {key: known.reduce(_mapping(config, key, path), path) for key, known in network.nested.items()}
    return {**network.known.reduce(config, path), **parts}


def _mapping(config: Config, key: str, path: Path) -> Config:
    """Return a part of a config that is one itself."""
    part = config.get(key)
    if not isinstance(part, dict):
        raise AssetError(f"{path}: {key} is no config of a part of the network")
    return part


def warn_of_unknown_keys(folder: Path, network: NetworkClass) -> None:
    """Warn of keys that ask for something which this program does not know."""
    if unknown := network.known.unknown(read_config(folder)):
        _log.warning("%s: not known, so without effect: %s", folder / CONFIG, ", ".join(unknown))


MOST_BLOCKS = 8
"""Blocks of a UNet or an autoencoder; each one after the first halves the picture."""

_WIDTH = whole(1, 2**16)
_LAYERS = whole(1, 256)
_ONE_OR_EACH = many(_LAYERS, 1, MOST_BLOCKS)
_SIDE = either(whole(1, 2**13), many(whole(1, 2**13), 2, 2))
_WIDTHS = many(_WIDTH, 1, MOST_BLOCKS)
_GROUPS = either(_WIDTH, NULL)
_EPS = real(0, 1)
_SCALE = above(0, 1e6)
_KERNEL = either(whole(1, 1), whole(3, 3), whole(5, 5), whole(7, 7))
_ACTIVATIONS = word("silu", "swish", "mish", "gelu", "relu")
_NAME = Allowed("a word", lambda value: isinstance(value, str) and value.isidentifier())
_NAMES = many(_NAME, 1, MOST_BLOCKS)
_TOKEN = whole(0, 2**20)


UNET = NetworkClass(
    "diffusers.models.unets.unet_2d_condition",
    "UNet2DConditionModel",
    KnownKeys(
        {
            "sample_size": either(whole(1, 2**11), many(whole(1, 2**11), 2, 2)),
            "in_channels": _WIDTH,
            "out_channels": _WIDTH,
            "center_input_sample": FLAG,
            "flip_sin_to_cos": FLAG,
            "freq_shift": real(-1, 1),
            "down_block_types": _NAMES,
            "mid_block_type": either(_NAME, NULL),
            "up_block_types": _NAMES,
            "only_cross_attention": either(FLAG, many(FLAG, 1, MOST_BLOCKS)),
            "block_out_channels": _WIDTHS,
            "layers_per_block": either(_LAYERS, _ONE_OR_EACH),
            "downsample_padding": whole(0, 1),
            "mid_block_scale_factor": _SCALE,
            "dropout": real(0, 1),
            "act_fn": _ACTIVATIONS,
            "norm_num_groups": _GROUPS,
            "norm_eps": _EPS,
            "cross_attention_dim": either(_WIDTH, _WIDTHS),
            "transformer_layers_per_block": either(
                _LAYERS, many(either(_LAYERS, many(_LAYERS, 1, 16)), 1, MOST_BLOCKS)
            ),
            "reverse_transformer_layers_per_block": either(
                NULL, many(either(_LAYERS, many(_LAYERS, 1, 16)), 1, MOST_BLOCKS)
            ),
            "encoder_hid_dim": NULL,
            "encoder_hid_dim_type": NULL,
            "attention_head_dim": either(_WIDTH, _WIDTHS),
            "num_attention_heads": NULL,
            "dual_cross_attention": OFF,
            "use_linear_projection": FLAG,
            "class_embed_type": NULL,
            "addition_embed_type": NULL,
            "addition_time_embed_dim": either(_WIDTH, NULL),
            "num_class_embeds": NULL,
            "upcast_attention": either(FLAG, NULL),  # as converters of single files wrote it
            "resnet_time_scale_shift": word("default", "scale_shift"),
            "resnet_skip_time_act": FLAG,
            "resnet_out_scale_factor": _SCALE,
            "time_embedding_type": word("positional", "fourier"),
            "time_embedding_dim": either(_WIDTH, NULL),
            "time_embedding_act_fn": either(_ACTIVATIONS, NULL),
            "timestep_post_act": either(_ACTIVATIONS, NULL),
            "time_cond_proj_dim": either(_WIDTH, NULL),
            "conv_in_kernel": _KERNEL,
            "conv_out_kernel": _KERNEL,
            "projection_class_embeddings_input_dim": either(_WIDTH, NULL),
            "attention_type": word("default"),
            "class_embeddings_concat": OFF,
            "mid_block_only_cross_attention": either(FLAG, NULL),
            "cross_attention_norm": either(word("layer_norm", "group_norm"), NULL),
            "addition_embed_type_num_heads": _WIDTH,
        },
        (
            as_long("block_out_channels", "down_block_types", "up_block_types", "layers_per_block"),
            as_long("block_out_channels", "attention_head_dim", "cross_attention_dim"),
            divides("norm_num_groups", "block_out_channels"),
            divides("attention_head_dim", "block_out_channels"),
        ),
    ),
    single_file="convert_ldm_unet_checkpoint",
)
"""The UNet of Stable Diffusion 1.x, which is told a prompt and a time and nothing else."""

SDXL_UNET = replace(
    UNET,
    known=replace(
        UNET.known,
        keys={
            **UNET.known.keys,
            "addition_embed_type": word("text_time"),
            "addition_time_embed_dim": _WIDTH,
            "projection_class_embeddings_input_dim": _WIDTH,
        },
    ),
)
"""SDXL's, which is told a vector of the whole prompt, and the sizes of the picture, too."""

_FORMERLY = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Layers of attention as diffusers named them when many autoencoders were published, and as it does now."""


def _attention_spellings(name: str) -> tuple[str, ...]:
    path, _, kind = name.rpartition(".")
    block, _, layer = path.rpartition(".")
    return (f"{block}.{_FORMERLY[layer]}.{kind}",) if layer in _FORMERLY else ()


AUTOENCODER_KL = NetworkClass(
    "diffusers.models.autoencoders.autoencoder_kl",
    "AutoencoderKL",
    KnownKeys(
        {
            "in_channels": whole(3, 3),
            "out_channels": whole(3, 3),
            "down_block_types": _NAMES,
            "up_block_types": _NAMES,
            "block_out_channels": _WIDTHS,
            "layers_per_block": _LAYERS,
            "act_fn": _ACTIVATIONS,
            "latent_channels": _WIDTH,
            "norm_num_groups": _WIDTH,
            "sample_size": _SIDE,
            "scaling_factor": _SCALE,
            "shift_factor": either(NULL, real(-1e6, 1e6)),
            "latents_mean": NULL,
            "latents_std": NULL,
            "force_upcast": FLAG,
            "use_quant_conv": FLAG,
            "use_post_quant_conv": FLAG,
            "mid_block_add_attention": FLAG,
        },
        (
            as_long("block_out_channels", "down_block_types", "up_block_types"),
            divides("norm_num_groups", "block_out_channels"),
        ),
    ),
    _attention_spellings,
    "convert_ldm_vae_checkpoint",
)

AUTOENCODER_TINY = NetworkClass(
    "diffusers.models.autoencoders.autoencoder_tiny",
    "AutoencoderTiny",
    KnownKeys(
        {
            "in_channels": whole(3, 3),
            "out_channels": whole(3, 3),
            "encoder_block_out_channels": _WIDTHS,
            "decoder_block_out_channels": _WIDTHS,
            "act_fn": _ACTIVATIONS,
            "upsample_fn": word("nearest", "bilinear", "bicubic"),
            "latent_channels": _WIDTH,
            "upsampling_scaling_factor": whole(2, 2),
            "num_encoder_blocks": _ONE_OR_EACH,
            "num_decoder_blocks": _ONE_OR_EACH,
            "latent_magnitude": _SCALE,
            "latent_shift": real(-1e6, 1e6),
            "force_upcast": FLAG,
            "scaling_factor": _SCALE,
            "shift_factor": either(NULL, real(-1e6, 1e6)),
        },
        (
            as_long("encoder_block_out_channels", "num_encoder_blocks"),
            as_long("decoder_block_out_channels", "num_decoder_blocks"),
        ),
        notes=frozenset({"block_out_channels"}),
    ),
)


def _clip_spellings(name: str) -> tuple[str, ...]:
    start = "text_model."
    return name.removeprefix(start), start + name


_ABOUT_FILES = (
    "architectures dtype model_type name_or_path torch_dtype torchscript transformers_version use_bfloat16"
)
_ABOUT_TRAINING = "dropout gradient_checkpointing initializer_factor initializer_range"
_ABOUT_TASKS = (
    "chunk_size_feed_forward diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size "
    "id2label is_decoder is_encoder_decoder label2id length_penalty max_length min_length "
    "no_repeat_ngram_size num_beam_groups num_beams num_labels num_return_sequences output_hidden_states "
    "problem_type repetition_penalty return_dict temperature tie_word_embeddings top_k top_p typical_p "
    "use_cache"
)
TRANSFORMERS_NOTES = frozenset(f"{_ABOUT_FILES} {_ABOUT_TRAINING} {_ABOUT_TASKS}".split())
"""What transformers writes into every config, which a text encoder has no use for here."""

CLIP_TEXT = NetworkClass(
    "transformers.models.clip.modeling_clip",
    "CLIPTextModel",
    KnownKeys(
        {
            "vocab_size": whole(1, 2**20),
            "hidden_size": _WIDTH,
            "intermediate_size": _WIDTH,
            "projection_dim": either(whole(0, 2**16), NULL),
            "num_hidden_layers": _LAYERS,
            "num_attention_heads": _WIDTH,
            "max_position_embeddings": whole(3, 2**16),
            "hidden_act": word("quick_gelu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"),
            "layer_norm_eps": _EPS,
            "attention_dropout": real(0, 1),
            "pad_token_id": either(_TOKEN, NULL),
            "bos_token_id": either(_TOKEN, NULL),
            "eos_token_id": either(_TOKEN, many(_TOKEN, 1, 16), NULL),
        },
        (divides("num_attention_heads", "hidden_size"),),
        TRANSFORMERS_NOTES,
    ),
    _clip_spellings,
    "convert_open_clip_checkpoint",
)
"""CLIP's text encoder, published with and without `text_model.` before its names, and under OpenCLIP's."""

CLIP_TEXT_PROJECTED = replace(
    CLIP_TEXT,
    name="CLIPTextModelWithProjection",
    known=replace(CLIP_TEXT.known, keys={**CLIP_TEXT.known.keys, "projection_dim": _WIDTH}),
)
"""The same with the projection that makes one vector of a whole prompt."""
