"""Prompts as Stable Diffusion 3 reads them: through two CLIP text encoders and T5, one behind the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smd_cli.models.assets import Assets
from smd_cli.models.clip_prompts import ClipEncoder, encode_prompts
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.spec import T5
from smd_cli.models.t5 import T5Encoder


@dataclass(frozen=True)
class PromptTrio:
    """The text encoders of a model.

    Attributes:
        clips: both of CLIP, whose states lie side by side.
        t5: the third; None: in its place are zeros, as the model was trained to do without.
        length: how many vectors a chunk of T5's has, or as many zeros.
        width: of all vectors; those of CLIP are filled up with zeros.
    """

    clips: tuple[ClipEncoder, ...]
    t5: T5Encoder | None
    length: int
    width: int

    @classmethod
    def of(
        cls,
        networks: Mapping[str, Any],
        assets: Assets,
        clips: Sequence[str],
        device: torch.device,
        width: int,
    ) -> PromptTrio:
        """Make those of a model's networks, by component. Raises AssetError: as `ClipEncoder.of`."""
        length, t5 = assets.spec.t5_length, None
        if T5 in networks:
            folder = assets.configs / str(assets.family.components[T5].tokenizer)
            t5 = T5Encoder.of(networks[T5], device, folder, length)
        encoders = tuple(ClipEncoder.of(networks, assets, name, device, "last but one") for name in clips)
        return cls(encoders, t5, length, width)

    def encode(self, prompts: Sequence[str]) -> Conditioning:
        """Encode N prompts to N rows; the pooled vectors of both CLIPs lie side by side."""
        return Conditioning.joined([self._row(prompt) for prompt in prompts])

    def _row(self, prompt: str) -> Conditioning:
        """Encode a prompt: the first chunk of CLIP's, the first of T5's, the second of CLIP's, and so on.

        So equal chunks of prompts of any length lie at equal places, where they are mixed.
        """
        clip = encode_prompts([prompt], self.clips)
        padded = F.pad(clip.embeds[0], (0, self.width - clip.embeds.shape[-1]))
        length = self.clips[0].tokenizer.chunks.length
        chunks = list(_in_turn(torch.split(padded, length), self._t5_chunks(prompt, padded)))
        counts = [torch.full((len(chunk),), float(is_there)) for chunk, is_there in chunks]
        row = replace(clip, embeds=torch.cat([chunk for chunk, _ in chunks])[None])
        if all(is_there for _, is_there in chunks):
            return row
        return replace(row, counts=torch.cat(counts).to(padded.device)[None])

    def _t5_chunks(self, prompt: str, like: Tensor) -> Sequence[Tensor]:
        """Return the states (T, D) of the chunks of T5's, on the device and in the dtype of others."""
        if self.t5 is None:
            return [like.new_zeros(self.length, self.width)]
        states = self.t5.encode(self.t5.tokenizer.chunks(prompt)).states
        return list(states.to(like))


def _in_turn(first: Sequence[Tensor], second: Sequence[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Yield chunks (T, D) of two kinds in turn, and whether they are there: zeros stand for what lacks."""
    total = max(2 * len(first) - 1, 2 * len(second))
    kinds = (first, second)
    for place in range(total):
        kind, index = kinds[place % 2], place // 2
        is_there = index < len(kind)
        yield (kind[index] if is_there else torch.zeros_like(kind[0])), is_there
