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
from smd_cli.models.network_class import TRANSFORMERS_NOTES, NetworkClass

_DECODER = (
    "bos_token_id classifier_dropout decoder_start_token_id eos_token_id n_positions num_decoder_layers "
    "output_past pad_token_id scale_decoder_outputs task_specific_params"
)
"""What configs say of the decoder and of other tasks."""

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
        notes=TRANSFORMERS_NOTES | frozenset(_DECODER.split()),
    ),
)
"""The encoder alone."""
