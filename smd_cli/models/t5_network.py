"""T5's encoder (Raffel et al., 1910.10683): its class, and what its config may say. Knows no torch."""

from smd_cli.models.allowed import (
    FLAG,
    FRACTION,
    HEADS,
    LAYERS,
    VOCABULARY_SIZE,
    WIDTH,
    KnownKeys,
    whole,
    word,
)
from smd_cli.models.configs import Config
from smd_cli.models.network_class import TRANSFORMERS_NOTES, NetworkClass

_DECODER = (
    "bos_token_id classifier_dropout decoder_start_token_id eos_token_id n_positions num_decoder_layers "
    "output_past pad_token_id scale_decoder_outputs task_specific_params"
)
"""What configs say of the decoder and of other tasks."""


def _tells_distances(config: Config) -> str:
    """Say that a quarter of the buckets, which hold one distance each, reach as far as all of them."""
    buckets = config.get("relative_attention_num_buckets", 32)
    most = config.get("relative_attention_max_distance", 128)
    if buckets // 4 < most and buckets >= 4:
        return ""
    return (
        f"relative_attention_max_distance is {most}, and relative_attention_num_buckets {buckets}: a quarter "
        "of these, at least 1, has to be less"
    )


T5_ENCODER = NetworkClass(
    "transformers.models.t5.modeling_t5",
    "T5EncoderModel",
    KnownKeys(
        {
            "vocab_size": VOCABULARY_SIZE,
            "d_model": WIDTH,
            "d_kv": WIDTH,
            "d_ff": WIDTH,
            "num_layers": LAYERS,
            "num_heads": HEADS,
            "relative_attention_num_buckets": whole(2, 2**12),
            "relative_attention_max_distance": whole(1, 2**16),
            "layer_norm_epsilon": FRACTION,
            "feed_forward_proj": word("gated-gelu", "relu"),
            "dropout_rate": FRACTION,
            "is_gated_act": FLAG,
            "dense_act_fn": word("gelu_new", "relu"),
        },
        (_tells_distances,),
        TRANSFORMERS_NOTES | frozenset(_DECODER.split()),
    ),
)
"""The encoder alone."""
