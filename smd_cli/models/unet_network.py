"""UNets (Rombach et al., 2112.10752): their class, and what their configs may say. Knows no torch."""

from dataclasses import replace

from smd_cli.models.allowed import (
    ACTIVATION,
    FLAG,
    FRACTION,
    LAYERS,
    LAYERS_OF_EACH,
    MOST_BLOCKS,
    NULL,
    OFF,
    SCALE,
    WIDTH,
    WIDTHS,
    WORD,
    WORDS,
    KnownKeys,
    as_long,
    divides,
    either,
    many,
    real,
    together,
    whole,
    word,
)
from smd_cli.models.network_class import NetworkClass

_SIDE = whole(1, 2**11)
_GROUPS = either(WIDTH, NULL)
_KERNEL = either(whole(1, 1), whole(3, 3), whole(5, 5), whole(7, 7))

UNET = NetworkClass(
    "diffusers.models.unets.unet_2d_condition",
    "UNet2DConditionModel",
    KnownKeys(
        {
            "sample_size": either(_SIDE, many(_SIDE, 2, 2)),
            "in_channels": WIDTH,
            "out_channels": WIDTH,
            "center_input_sample": FLAG,
            "flip_sin_to_cos": FLAG,
            "freq_shift": real(-1, 1),
            "down_block_types": WORDS,
            "mid_block_type": either(WORD, NULL),
            "up_block_types": WORDS,
            "only_cross_attention": either(FLAG, many(FLAG, 1, MOST_BLOCKS)),
            "block_out_channels": WIDTHS,
            "layers_per_block": either(LAYERS, LAYERS_OF_EACH),
            "downsample_padding": whole(0, 1),
            "mid_block_scale_factor": SCALE,
            "dropout": FRACTION,
            "act_fn": ACTIVATION,
            "norm_num_groups": _GROUPS,
            "norm_eps": FRACTION,
            "cross_attention_dim": either(WIDTH, WIDTHS),
            "transformer_layers_per_block": either(
                LAYERS, many(either(LAYERS, many(LAYERS, 1, 16)), 1, MOST_BLOCKS)
            ),
            "reverse_transformer_layers_per_block": either(
                NULL, many(either(LAYERS, many(LAYERS, 1, 16)), 1, MOST_BLOCKS)
            ),
            "encoder_hid_dim": NULL,
            "encoder_hid_dim_type": NULL,
            "attention_head_dim": either(WIDTH, WIDTHS),
            "num_attention_heads": NULL,
            "dual_cross_attention": OFF,
            "use_linear_projection": FLAG,
            "class_embed_type": NULL,
            "addition_embed_type": NULL,
            "addition_time_embed_dim": either(WIDTH, NULL),
            "num_class_embeds": NULL,
            "upcast_attention": either(FLAG, NULL),  # as converters of single files wrote it
            "resnet_time_scale_shift": word("default", "scale_shift"),
            "resnet_skip_time_act": FLAG,
            "resnet_out_scale_factor": SCALE,
            "time_embedding_type": word("positional", "fourier"),
            "time_embedding_dim": either(WIDTH, NULL),
            "time_embedding_act_fn": either(ACTIVATION, NULL),
            "timestep_post_act": either(ACTIVATION, NULL),
            "time_cond_proj_dim": either(WIDTH, NULL),
            "conv_in_kernel": _KERNEL,
            "conv_out_kernel": _KERNEL,
            "projection_class_embeddings_input_dim": either(WIDTH, NULL),
            "attention_type": word("default"),
            "class_embeddings_concat": OFF,
            "mid_block_only_cross_attention": either(FLAG, NULL),
            "cross_attention_norm": either(word("layer_norm", "group_norm"), NULL),
            "addition_embed_type_num_heads": WIDTH,
        },
        (
            together("block_out_channels", "down_block_types", "up_block_types", usual=4),
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
            "addition_time_embed_dim": WIDTH,
            "projection_class_embeddings_input_dim": WIDTH,
        },
    ),
)
"""SDXL's, which is told a vector of the whole prompt, and the sizes of the picture, too."""
