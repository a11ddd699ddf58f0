"""A backbone that remembers what it has encoded: the prompts and pictures of a scene that changes in part."""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from hashlib import blake2b
from threading import RLock
from typing import Generic, TypeVar

import torch
from torch import Tensor

from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.facts import ModelFacts

PROMPTS, PICTURES = 256, 32  # how many are kept

Value = TypeVar("Value")


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


class Remembering:
    """A backbone whose prompts and pictures are encoded once as long as they are among the last asked for.

    Threads may share it. On a CPU they take turns: two networks at once would fight for the same cores.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self._prompts: _Recent[Conditioning] = _Recent(PROMPTS)
        self._pictures: _Recent[Tensor] = _Recent(PICTURES)
        is_shared = backbone.device.type == "cpu"
        self._turn: AbstractContextManager[object] = RLock() if is_shared else nullcontext()

    @property
    def facts(self) -> ModelFacts:
        """Those of the backbone, as all that follows."""
        return self.backbone.facts

    @property
    def assets(self) -> Assets:
        """The files it was loaded from."""
        return self.backbone.assets

    @property
    def alphas_cumprod(self) -> Tensor:
        """The training schedule's signal level at each timestep."""
        return self.backbone.alphas_cumprod

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are computed in."""
        return self.backbone.dtype

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode those of the prompts that are not known, each by itself."""
        encode = self.backbone.encode_prompts
        with self._turn:
            return Conditioning.joined([self._prompts.get(text, partial(encode, [text])) for text in prompts])

    def prepare(self, table: Conditioning) -> Conditioning:
        """Ask the backbone."""
        with self._turn:
            return self.backbone.prepare(table)

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Ask the backbone."""
        with self._turn:
            return self.backbone.predict(latents, timesteps, conditioning)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode pixels unless they are known, by their bytes."""
        data = pixels.contiguous().cpu()
        key = blake2b(data.numpy().tobytes() + str(tuple(data.shape)).encode(), digest_size=16).hexdigest()
        with self._turn:
            return self._pictures.get(key, lambda: self.backbone.encode_image(pixels))

    def decode(self, latents: Tensor) -> Tensor:
        """Ask the backbone."""
        with self._turn:
            return self.backbone.decode(latents)
