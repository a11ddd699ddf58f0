"""Z-Image's transformer asked about views: the tokens of a picture and of its caption in one sequence.

The network is of diffusers (Z-Image, arXiv 2511.22699), the way through it this program's: a batch of views
is one tensor, captions are read once for all steps, and a caption can be a mix of texts of several lengths.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from smd_cli.core.coupling import Coupling
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.coupled_sequence import coupled_bias, in_rows
from smd_cli.models.s3dit import PATCH

MULTIPLE = 32
"""Captions and pictures are filled up to multiples of so many tokens, by learned ones that count too."""

KIND = f"{PATCH}-1"
"""What the network calls the layers for single pictures in such patches."""


@dataclass(frozen=True)
class SingleStream:
    """The transformer. Its layers may come to the device one by one, which its own parameters do not."""

    network: Any  # diffusers has no types

    def read_captions(self, table: Conditioning) -> tuple[Tensor, Tensor]:
        """Bring captions to where they meet pictures.

        In a mix of texts, where some have ended a token is as far on the way to the one that fills them up. A
        block of tokens that only some texts reach counts in attention as much as these do.

        Returns:
            Their tokens (N, P, D), P a multiple of 32, and how much each counts, (N, P).
        """
        room = -table.embeds.shape[1] % MULTIPLE
        counts = pad(table.all_counts, (0, room))
        present = counts[:, ::MULTIPLE].repeat_interleave(MULTIPLE, dim=1)  # a block is there if it begins
        share = counts / torch.where(present > 0, present, 1.0)
        words = self.network.cap_embedder(pad(table.embeds, (0, 0, 0, room)))
        filler = self.network.cap_pad_token.to(words)
        tokens = torch.lerp(filler.expand_as(words), words, share[..., None].to(words))
        turns = self._caption_turns(present, first=present.new_ones(len(present)))
        bias = _bias(present, tokens.dtype)
        for layer in self.network.context_refiner:
            tokens = layer(tokens, bias, turns)
        return tokens, present

    def velocity(
        self,
        latents: Tensor,
        times: Tensor,
        captions: tuple[Tensor, Tensor],
        coupling: Coupling | None = None,
    ) -> Tensor:
        """Predict noise - clean for latents (N, C, h, w) at sigmas `times` (N,), under N captions.

        With a coupling there are N·R captions, R a row. A row then stands as deep as its captions are long on
        average, by their shares, and each caption as far before it as if it were alone.
        """
        tokens, present = captions
        longest = int((present > 0).any(dim=0).sum())  # of these rows: others of the table may be longer
        tokens, present = tokens[:, :longest], present[:, :longest]
        height, width = (side // PATCH for side in latents.shape[-2:])
        clock = self.network.t_embedder((1 - times) * self.network.t_scale).type_as(latents)
        patches = self.network.all_x_embedder[KIND](_patches(latents))
        count = patches.shape[1]
        filler = self.network.x_pad_token.to(patches).expand(len(patches), -count % MULTIPLE, -1)
        picture = torch.cat([patches, filler], dim=1)
        depths = present.sum(dim=1) + 1
        depth = depths if coupling is None else coupling.mean(depths[:, None])[:, 0]
        turns = self._picture_turns(depth, (height, width))
        for layer in self.network.noise_refiner:
            picture = layer(picture, None, turns, clock)
        everything = torch.cat([picture, in_rows(tokens, len(depth))], dim=1)
        first = 1 + depth.repeat_interleave(len(depths) // len(depth)) - depths
        turns = torch.cat([turns, in_rows(self._caption_turns(present, first), len(depth))], dim=1)
        if coupling is None:
            bias = _bias(pad(present, (picture.shape[1], 0), value=1.0), everything.dtype)
        else:
            fillers = filler.shape[1]
            bias = coupled_bias(coupling, present, (height, width), everything.dtype, fillers=fillers)
        for layer in self.network.layers:
            everything = layer(everything, bias, turns, clock)
        output = self.network.all_final_layer[KIND](everything[:, :count], c=clock)
        return -_picture(output, (height, width))

    def _caption_turns(self, present: Tensor, first: Tensor) -> Tensor:
        """Return the rotations of the tokens of captions, which stand in a row from `first` (N,) on."""
        place = first[:, None] + torch.arange(present.shape[1], device=present.device)
        return self._turns(torch.stack([place, 0 * place, 0 * place], dim=-1))

    def _picture_turns(self, depth: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the rotations of the tokens of views of a size, in tokens, each behind its caption (N,).

        Their places are counted from the corner of the view. What fills them up has none.
        """
        height, width = size
        sides = (torch.arange(side, device=depth.device) for side in size)
        row, column = torch.meshgrid(*sides, indexing="ij")
        place = torch.stack([0.0 * row, row, column], dim=-1).flatten(0, 1).repeat(len(depth), 1, 1)
        place[..., 0] = depth[:, None]
        return self._turns(pad(place, (0, 0, 0, -height * width % MULTIPLE)))

    def _turns(self, place: Tensor) -> Tensor:
        """Return rotations (N, S, head / 2), complex, of places (N, S, 3): rotary embedding (2104.09864)."""
        angles = []
        for axis, size in enumerate(self.network.axes_dims):
            power = torch.arange(0, size, 2, dtype=torch.float64) / size
            frequencies = (1.0 / self.network.rope_theta**power).float().to(place.device)
            angles.append(place[..., axis, None] * frequencies)
        angle = torch.cat(angles, dim=-1)
        return torch.polar(torch.ones_like(angle), angle)


def _bias(present: Tensor, dtype: torch.dtype) -> Tensor | None:
    """Return what is added to the logits of attention to tokens (N, S): (N, 1, 1, S), None for nothing."""
    if bool((present == 1).all()):
        return None
    return present.log()[:, None, None].to(dtype)


def _patches(latents: Tensor) -> Tensor:
    """Cut latents (N, C, h, w) into tokens (N, T, 4 C), line by line."""
    count, channels, height, width = latents.shape
    cut = latents.reshape(count, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(count, -1, PATCH**2 * channels)


def _picture(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Undo `_patches` for a picture of so many tokens by side."""
    count, (height, width) = len(tokens), size
    cut = tokens.reshape(count, height, width, PATCH, PATCH, -1).permute(0, 5, 1, 3, 2, 4)
    return cut.reshape(count, -1, height * PATCH, width * PATCH)
