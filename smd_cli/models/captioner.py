"""Captions of pictures. A captioner is loaded for as long as it is asked, and never beside a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders
from tokenizers.models import WordPiece
from torch import Tensor

from smd_cli.errors import AssetError
from smd_cli.models.captioner_files import BLIP, LEAST_TOKENS, MOST_TOKENS, CaptionerFiles
from smd_cli.models.loading import load_alone

BEAMS = 3
"""How many captions are thought of at once, as BLIP's authors do (2201.12086)."""

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the colours of pictures that CLIP was trained on, by which BLIP's are normalised too."""

_IMPOSSIBLE = 1e6
"""Of the logarithm of a caption's likelihood: what no weights that are numbers make."""

_UNKNOWN = "[UNK]"
_SPECIAL = frozenset({"[PAD]", _UNKNOWN, "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]"})


@dataclass(frozen=True)
class Captioner:
    """A loaded captioner: its files, the network, and the device that it is on."""

    files: CaptionerFiles
    network: Any
    device: torch.device

    @classmethod
    def load(cls, files: CaptionerFiles, device: torch.device) -> Captioner:
        """Read the weights. Raises AssetError: they do not fit the config."""
        return cls(files, load_alone(BLIP, files.network, device), device)

    def caption(self, picture: Image.Image) -> str:
        """Say what a picture shows: the same of the same picture, whenever it is asked.

        Raises:
            AssetError: it makes nothing of the picture.
            RuntimeError, ValueError, IndexError: its weights or numbers fit nothing, or memory is not enough.
        """
        said = self.network.generate(
            pixel_values=pixel_values(picture, self.files.side).to(self.device),
            num_beams=BEAMS,
            do_sample=False,
            min_new_tokens=LEAST_TOKENS,
            max_new_tokens=MOST_TOKENS,
            return_dict_in_generate=True,
            output_scores=True,
        )
        if not bool(said.sequences_scores.abs().max() < _IMPOSSIBLE):  # NaN is none either
            raise AssetError(f"{self.files.reference}: makes NaN or infinity; get its files again")
        text = words(said.sequences[0].tolist(), self.files.vocabulary)
        if not text:
            raise AssetError(f"{self.files.reference}: makes no caption of the picture; write a prompt")
        return text


def pixel_values(picture: Image.Image, side: int) -> Tensor:
    """Return a picture as a captioner sees it: (1, 3, side, side), whatever its proportions, normalised."""
    resized = picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(resized, dtype=np.float32)) / 255
    normal = (pixels - torch.tensor(_MEAN)) / torch.tensor(_STD)
    return normal.permute(2, 0, 1)[None]


def words(tokens: list[int], vocabulary: dict[int, str]) -> str:
    """Return the text of a caption's tokens, without those that frame it and without unknown ones."""
    known = [number for number in tokens if vocabulary.get(number, _UNKNOWN) not in _SPECIAL]
    tokenizer = Tokenizer(
        WordPiece({token: number for number, token in vocabulary.items()}, unk_token=_UNKNOWN)
    )
    tokenizer.decoder = decoders.WordPiece()
    return " ".join(str(tokenizer.decode(known, skip_special_tokens=False)).split())
