"""Encoding prompts and pictures, each once for a scene that changes in part."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from hashlib import blake2b
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from smd_cli.engine.device import exclusive
from smd_cli.engine.finite import is_finite, not_finite
from smd_cli.models.backbone import Backbone, dtype_name
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.facts import ModelFacts
from smd_cli.models.local_loras import LoraWeights, lora_table, with_loras

_log = logging.getLogger(__name__)

PROMPTS, PICTURES = 256, 32  # how many are kept
MOST_BYTES = 2**28  # that the kept ones of either kind take

Value = TypeVar("Value")


class Encoder(Protocol):
    """What encodes prompts and pictures: a checked backbone, or a cache in front of one."""

    @property
    def facts(self) -> ModelFacts:
        """Return the facts of the model."""

    def encode_prompts(self, prompts: list[str], loras: LoraWeights = ()) -> Conditioning:
        """Encode N prompts to N rows, with local LoRAs of some weights."""

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, H, W) in [-1, 1] to scaled latents (B, C, h, w)."""


class CheckedEncoder:
    """Encodes by a backbone, into finite numbers. Raises SmdError: they are not."""

    def __init__(self, backbone: Backbone) -> None:
        self.facts = backbone.facts
        self._backbone = backbone

    def encode_prompts(self, prompts: list[str], loras: LoraWeights = ()) -> Conditioning:
        """Encode N prompts to N rows, with local LoRAs of some weights."""
        with with_loras(lora_table([loras]), self._backbone.device):
            encoded = self._backbone.encode_prompts(prompts)
        vectors = [each for each in (encoded.embeds, encoded.pooled) if each is not None]
        if not all(map(is_finite, vectors)):
            broken = next(
                text for row, text in enumerate(prompts) if not all(is_finite(each[row]) for each in vectors)
            )
            raise not_finite(self._backbone, f"encoding the prompt {broken!r}")
        return encoded

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, H, W), in float32 where the numbers are too large for the model's dtype."""
        latents = self._backbone.encode_image(pixels)
        if is_finite(latents):
            return latents
        dtype = self._backbone.dtype
        if dtype != torch.float32:
            latents = self._backbone.encode_image(pixels, precise=True)
            if is_finite(latents):
                _log.warning("the autoencoder overflows in %s; encoded in float32", dtype_name(dtype))
                return latents
        raise not_finite(self._backbone, "encoding a picture")


class CachedEncoder:
    """A checked encoder that keeps the prompts and pictures that were asked for last.

    Each is encoded by itself, so that no picture depends on what else a run has encoded.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.facts = backbone.facts
        self._device = backbone.device
        self._encoder = CheckedEncoder(backbone)
        self._prompts: _Recent[Conditioning] = _Recent(PROMPTS, _prompt_bytes)
        self._pictures: _Recent[Tensor] = _Recent(PICTURES, _bytes)

    def encode_prompts(self, prompts: list[str], loras: LoraWeights = ()) -> Conditioning:
        """Encode those of the prompts that are not kept with these LoRAs, each by itself."""
        with exclusive(self._device):
            encode = self._encoder.encode_prompts
            return Conditioning.joined(
                [self._prompts.get((text, loras), partial(encode, [text], loras)) for text in prompts]
            )

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode pixels unless they are kept, by their bytes."""
        data = pixels.contiguous().cpu()
        shown = blake2b(str(tuple(data.shape)).encode(), digest_size=16)
        shown.update(data.numpy().data)
        key = shown.hexdigest()
        with exclusive(self._device):
            return self._pictures.get(key, lambda: self._encoder.encode_image(pixels))


class _Recent(Generic[Value]):
    """Keeps the values that were asked for last, `most` of them and no more than MOST_BYTES."""

    def __init__(self, most: int, size: Callable[[Value], int]) -> None:
        self.most = most
        self._size = size
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key, made if it is not there."""
        if key not in self._values:
            self._values[key] = make()
            self._bytes += self._size(self._values[key])
        self._values.move_to_end(key)
        value = self._values[key]
        while self._values and (len(self._values) > self.most or self._bytes > MOST_BYTES):
            self._bytes -= self._size(self._values.popitem(last=False)[1])
        return value


def _bytes(tensor: Tensor) -> int:
    return tensor.nbytes


def _prompt_bytes(prompt: Conditioning) -> int:
    return sum(each.nbytes for each in (prompt.embeds, prompt.pooled) if each is not None)
