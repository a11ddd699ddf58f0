"""A cache of images that is limited by the memory of their pixels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from PIL import Image


class HasImage(Protocol):
    """A value whose image takes most of its memory."""

    @property
    def image(self) -> Image.Image:
        """Return the image."""


Value = TypeVar("Value", bound=HasImage)


class ImageCache(Generic[Value]):
    """Values by what they depend on; their images take at most `limit` bytes after each call of `trim`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key; where there is none, make it. Nothing is kept when `make` raises."""
        if key not in self._values:
            self._values[key] = make()
        self._values.move_to_end(key)
        return self._values[key]

    def trim(self, *, keep: int = 0) -> None:
        """Remove the least recently used values until the others are within the limit, or but `keep`."""
        used = sum(_bytes(value.image) for value in self._values.values())
        while used > self._limit and len(self._values) > keep:
            _, value = self._values.popitem(last=False)
            used -= _bytes(value.image)


def _bytes(image: Image.Image) -> int:
    """Return the bytes of an image in memory: Pillow keeps one a pixel for one channel, else four."""
    return image.width * image.height * (1 if len(image.getbands()) == 1 else 4)
