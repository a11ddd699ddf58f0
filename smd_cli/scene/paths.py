"""A scene's relative paths made absolute."""

from __future__ import annotations

import os
from pathlib import Path

from smd_cli.scene.masks import ColorMask, ImageMask, MaskSpec


def absolute(text: str, base_dir: Path) -> Path:
    """A scene's path from where its relative ones start; `~` is a home."""
    home = os.path.expanduser(text)  # noqa: PTH111 - Path's raises where there is no such home
    return (base_dir / home).absolute()


def model_source(text: str, base_dir: Path) -> str:
    """An absolute path, where the text looks like one or a model lies there; else a name, left as it is.

    A bare word is a path only to a folder that holds a model, so that a folder that happens to be called like
    an embedded model does not hide it.
    """
    path = absolute(text, base_dir)
    written_as_path = text.startswith(("/", "./", "../", "~")) or text.endswith((".safetensors", ".ckpt"))
    sign = path if "/" in text else path / "model_index.json"
    is_there = os.path.exists(sign)  # noqa: PTH110 - of what cannot be asked for, Path's raises
    return str(path) if written_as_path or is_there else text


def absolute_mask(mask: MaskSpec, base_dir: Path) -> MaskSpec:
    """A mask whose file, where it has one, is absolute."""
    if isinstance(mask, (ImageMask, ColorMask)):
        return mask.model_copy(update={"image": str(absolute(mask.image, base_dir))})
    return mask
