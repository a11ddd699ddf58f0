"""Safetensors files, looked into without reading their tensors. Pickled weights are never opened."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from smd_cli.errors import AssetError
from smd_cli.models.content import real_kind, text_in_place
from smd_cli.references import PICKLES
from smd_cli.regular_files import UnfitFileError, open_regular, why_unread

_REAL = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
_PACKED = ("I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL")
_SCALES = (
    *(".scale_weight", ".weight_scale", ".weight_scale_2", "scaled_fp8", ".comfy_quant"),  # of ComfyUI
    *(".absmax", ".quant_map", ".SCB", ".qweight", ".qzeros", ".wscales"),  # bitsandbytes, GPTQ, SVDQuant
)
"""Endings of tensors that scale quantised weights, or that are packed."""

Shapes = dict[str, tuple[int, ...]]
Header = tuple[Shapes, dict[str, str]]
"""Names and shapes of a file's tensors, and what its writer added."""


def own_names(names: Iterable[str], prefix: str) -> list[str]:
    """Return the names of a network's tensors: of a whole checkpoint those with its prefix, else all."""
    names = list(names)
    return [name for name in names if name.startswith(prefix)] or names


def read_shapes(path: Path) -> Shapes:
    """Return names and shapes of a file's tensors. Raises as `read_header`."""
    return read_header(path)[0]


def stored_bytes(path: Path, names: Iterable[str]) -> int:
    """Return the bytes that tensors take in a file. Raises as `open_weights`."""
    with open_weights(path) as file:
        slices = [file.get_slice(name) for name in names]
        return sum(int(prod(each.get_shape())) * _bits(each.get_dtype()) for each in slices) // 8


def _bits(dtype: str) -> int:
    """Return the size of a number by what its type is called: F16, I64, F8_E4M3."""
    found = re.search("[0-9]+", dtype)
    return int(found[0]) if found else 8  # BOOL


def check_real(path: Path, names: Iterable[str]) -> None:
    """Check that tensors hold real numbers, as no quantised ones do: those mean nothing without their scales.

    Raises:
        AssetError: as `open_weights`; or one holds other numbers.
    """
    with open_weights(path) as file:
        for name in names:
            if (kind := file.get_slice(name).get_dtype()) not in _REAL:
                raise AssetError(f"{path}: {name} holds {kind} numbers; get the file in F16, BF16 or F32")


def check_plain(path: Path, prefix: str) -> None:
    """Check that the weights of a network in a file are numbers as they are, and not to be scaled first.

    Raises:
        AssetError: as `open_weights`; or there are none, or they are quantised or no real numbers.
    """
    with open_weights(path) as file:
        names = own_names(file.keys(), prefix)
        if not names:
            raise AssetError(f"{path}: holds no tensors; get the file again")
        for name in names:
            kind = file.get_slice(name).get_dtype()
            if kind not in (*_REAL, *_PACKED):
                raise AssetError(f"{path}: {name} holds {kind} numbers; get the file in F16, BF16 or F32")
            if (name.endswith(".weight") and kind in _PACKED) or name.endswith(_SCALES):
                raise AssetError(
                    f"{path}: quantised weights ({name}), which are not read; get the file in F16, BF16 or "
                    "F32: --weights int8 makes weights small as they are loaded"
                )


def read_header(path: Path) -> Header:
    """Read the header of a file, which proves that the file is whole. Raises as `open_weights`."""
    with open_weights(path) as file:
        names = file.keys()
        return {name: tuple(file.get_slice(name).get_shape()) for name in names}, file.metadata() or {}


@contextmanager
def open_weights(path: Path, framework: str = "numpy") -> Iterator[Any]:
    """Open a safetensors file, by `safe_open`, for its tensors in a framework, 'numpy' or 'pt'.

    Raises:
        AssetError: missing, unreadable, truncated, or no safetensors file.
    """
    if path.suffix in PICKLES:
        raise AssetError(
            f"{path}: pickled weights can run code and are never opened; convert to .safetensors"
        )
    try:
        open_regular(path).close()  # safe_open opens pipes, and calls what it cannot open missing
        with safe_open(path, framework=framework) as file:
            yield file
    except (FileNotFoundError, PermissionError, UnfitFileError) as error:
        raise AssetError(f"{path}: {why_unread(error)}") from error
    except (SafetensorError, OSError) as error:
        raise AssetError(f"{path}: {_what_is_wrong(path, error)}") from error


def _what_is_wrong(path: Path, error: Exception) -> str:
    if kind := real_kind(path) or text_in_place(path):
        return f"not a safetensors file but {kind}"
    reason = str(error).rpartition("Error while deserializing header: ")[2]
    return f"not a whole safetensors file ({reason}); download it again"
