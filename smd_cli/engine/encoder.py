"""Encoding prompts and pictures, each once for a scene that changes in part."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from smd_cli.engine.device import exclusive
from smd_cli.models.backbone import Backbone
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.facts import ModelFacts

PROMPTS, PICTURES = 256, 32  # how many are kept

Value = TypeVar("Value")


class Encoder(Protocol):
    """What encodes prompts and pictures: a backbone, or a cache in front of one."""

    @property
    def facts(self) -> ModelFacts:
        """Return the facts of the model."""

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts to N rows."""

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, H, W) in [-1, 1] to scaled latents (B, C, h, w)."""


class CachedEncoder:
    """An encoder that keeps the prompts and pictures that were asked for last."""

    def __init__(self, backbone: Backbone) -> None:
        self.facts = backbone.facts
        self._backbone = backbone
        self._prompts: _Recent[Conditioning] = _Recent(PROMPTS)
        self._pictures: _Recent[Tensor] = _Recent(PICTURES)

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode those of the prompts that are not kept, each by itself."""
        with exclusive(self._backbone.device):
            encode = self._backbone.encode_prompts
            return Conditioning.joined([self._prompts.get(text, partial(encode, [text])) for text in prompts])

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode pixels unless they are kept, by their bytes."""
        data = pixels.contiguous().cpu()
        key = blake2b(data.numpy().tobytes() + str(tuple(data.shape)).encode(), digest_size=16).hexdigest()
        with exclusive(self._backbone.device):
            return self._pictures.get(key, lambda: self._backbone.encode_image(pixels))


class _Recent(Generic[Value]):
    """Keeps the values that were asked for last, `most` of them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._values: OrderedDict[str, Value] = OrderedDict()

    def get(self, key: str, make: Callable[[], Value]) -> Value:
        """Return the value of a key, made if it is not there."""
        if key not in self._values:
            self._values[key] = make()
        self._values.move_to_end(key)
        while len(self._values) > self.most:
            self._values.popitem(last=False)
        return self._values[key]
