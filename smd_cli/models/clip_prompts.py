"""Prompts through CLIP text encoders: in chunks, with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import Tensor

from smd_cli.models.assets import Assets
from smd_cli.models.chunks import Chunk
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.learned_words import learn_words
from smd_cli.models.text_encoder import EMPTY, Encoded, TextEncoder
from smd_cli.models.tokens import Tokenizer

Layer = Literal["last", "last but one"]
"""What is read of a text encoder: its last layer's states, normalised, or those before it, as they are."""


@dataclass(frozen=True)
class ClipEncoder(TextEncoder):
    """A text encoder of CLIP and its tokenizer.

    Attributes:
        network: transformers' CLIPTextModel, or CLIPTextModelWithProjection, which has a vector a chunk too:
            what it projects at the end of the text.
        layer: what is read of it.
    """

    layer: Layer = "last"

    @classmethod
    def of(
        cls,
        networks: Mapping[str, Any],
        assets: Assets,
        component: str,
        device: torch.device,
        layer: Layer = "last",
    ) -> ClipEncoder:
        """Make that of a component from a model's networks; its network learns the words of the assets.

        Raises AssetError: the tokenizer or a textual inversion cannot be read.
        """
        network = networks[component]
        learned = learn_words(network, component, assets.textual_inversions)
        folder = assets.configs / str(assets.family.components[component].tokenizer)
        length = network.config.max_position_embeddings
        return cls(Tokenizer.load(folder, length, learned), network, device, layer)

    def encode_attending(self, chunks: Sequence[Chunk], attended: Tensor | None = None) -> Encoded:
        """Encode chunks that may attend to some of their tokens (M, T) only."""
        mask = None if attended is None else attended.to(self.device)
        found = self.network(self.tokenizer.rows(chunks).to(self.device), mask, output_hidden_states=True)
        last: Tensor = found.last_hidden_state
        states = last if self.layer == "last" else found.hidden_states[-2]
        if not hasattr(self.network, "text_projection"):
            return Encoded(states, states.new_empty(len(chunks), 0))
        # transformers may look for the end where the largest number is, which is a learned word's
        ends = torch.tensor([1 + len(chunk.tokens) for chunk in chunks], device=self.device)
        ended = last[torch.arange(len(chunks), device=self.device), ends]
        return Encoded(states, self.network.text_projection(ended))


def encode_prompts(prompts: Sequence[str], encoders: Sequence[ClipEncoder]) -> Conditioning:
    """Encode N prompts to N rows; what several encoders make of them lies side by side.

    The chunks of a prompt follow one another; its pooled vector is that of the first.
    """
    chunked = [_as_many([encoder.tokenizer.chunks(prompt) for encoder in encoders]) for prompt in prompts]
    counts = [len(of_prompt[0]) for of_prompt in chunked]
    encoded = [
        encoder.encode([chunk for of_prompt in chunked for chunk in of_prompt[place]])
        for place, encoder in enumerate(encoders)
    ]
    states = torch.cat([each.states for each in encoded], dim=-1)
    pooled = torch.cat([each.pooled for each in encoded], dim=-1)
    rows = [Conditioning(of_prompt.flatten(0, 1)[None]) for of_prompt in torch.split(states, counts)]
    firsts = [0, *accumulate(counts[:-1])]
    return replace(Conditioning.joined(rows), pooled=pooled[firsts] if pooled.shape[1] else None)


def _as_many(of_encoders: Sequence[tuple[Chunk, ...]]) -> list[tuple[Chunk, ...]]:
    """Return the chunks of a prompt for each encoder, empty ones where others have more."""
    most = max(map(len, of_encoders))
    return [chunks + (EMPTY,) * (most - len(chunks)) for chunks in of_encoders]
