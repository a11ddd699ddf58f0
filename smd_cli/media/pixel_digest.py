"""The digest of what a picture shows, whatever the format, compression and metadata of its file."""

from __future__ import annotations

from hashlib import sha256

from PIL import Image


class PixelDigest:
    """The SHA-256 of pictures, one after the other."""

    def __init__(self) -> None:
        self._hash = sha256()

    def add(self, image: Image.Image) -> None:
        """Add a picture: the line `{mode} {width}x{height}`, a line feed, and its pixels row by row."""
        self._hash.update(f"{image.mode} {image.width}x{image.height}\n".encode())
        self._hash.update(image.tobytes())

    def hexdigest(self) -> str:
        """Return the digest of all pictures so far."""
        return self._hash.hexdigest()


def pixel_digest(image: Image.Image) -> str:
    """Return the digest of one picture."""
    digest = PixelDigest()
    digest.add(image)
    return digest.hexdigest()
