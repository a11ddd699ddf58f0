"""Making a scene's relative paths absolute."""

from __future__ import annotations

import os
from pathlib import Path

from smd_cli.scene.mask_specs import ColorMask, ImageMask, MaskSpec


def absolute(text: str, base_dir: Path) -> Path:
    """Return a scene's path as an absolute one; relative ones start at `base_dir`, `~` is a home."""
    home = os.path.expanduser(text)  # noqa: PTH111 - Path's raises where there is no such home
    return (base_dir / home).absolute()


def model_source(text: str, base_dir: Path) -> str:
    """Return an absolute path where the text looks like a path or a model lies there; else the text, a name.

    A bare word is a path only to a folder that holds a model, so that a folder that happens to be called like
    an embedded model does not hide it.
    """
    path = absolute(text, base_dir)
    written_as_path = text.startswith(("/", "./", "../", "~")) or text.endswith((".safetensors", ".ckpt"))
    sign = path if "/" in text else path / "model_index.json"
    is_there = os.path.exists(sign)  # noqa: PTH110 - of what cannot be asked for, Path's raises
    return str(path) if written_as_path or is_there else text


def absolute_mask(mask: MaskSpec, base_dir: Path) -> MaskSpec:
    """Return a mask whose file, where it has one, is an absolute path."""
    if isinstance(mask, (ImageMask, ColorMask)):
        return mask.model_copy(update={"image": str(absolute(mask.image, base_dir))})
    return mask
