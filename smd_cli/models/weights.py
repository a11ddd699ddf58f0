"""Safetensors files, looked into without reading their tensors. Pickled weights are never opened."""

import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from smd_cli.errors import AssetError

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")

LORA_TENSOR = re.compile(
    r"(?P<layer>.+?)\.(alpha|(lora_|lora\.|lora_linear_layer\.)?(?P<factor>down|up|A|B)\.weight)"
)
"""Name of a tensor in a LoRA file: of a layer its alpha, or its first (down, A) or second (up, B) factor."""

Shapes = dict[str, tuple[int, ...]]


def read_shapes(path: Path) -> Shapes:
    """Names and shapes of a file's tensors; reading them proves that the file is whole.

    Raises:
        AssetError: missing, unreadable, truncated, or no safetensors file.
    """
    if path.suffix in PICKLES:
        raise AssetError(
            f"{path}: pickled weights can run code and are never opened; convert to .safetensors"
        )
    try:
        path.open("rb").close()  # safe_open calls every file that it cannot open missing
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file") from None
    except PermissionError:
        raise AssetError(f"{path}: permission denied") from None
    except (SafetensorError, OSError) as error:
        raise AssetError(f"{path}: not a whole safetensors file ({error}); get it again") from error


def component_file(folder: Path, stem: str) -> Path:
    """The weights of a diffusers component: `stem`.safetensors, else its fp16 variant.

    Raises:
        AssetError: neither is there; names the file, and says when there is only a pickle.
    """
    for name in (f"{stem}.safetensors", f"{stem}.fp16.safetensors"):
        if (folder / name).exists():
            return folder / name
    for pickle in (folder / f"{stem}{suffix}" for suffix in (".bin", ".fp16.bin")):
        if pickle.exists():
            read_shapes(pickle)
    raise AssetError(f"{folder / stem}.safetensors: no such file; the model folder lacks weights")


def lora_file(path: Path) -> Path:
    """The file of a LoRA: `path` itself, or the only .safetensors file of that folder.

    Raises:
        AssetError: none or several in the folder, or an adapter of another kind than LoRA.
    """
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if len(files) != 1:
            raise AssetError(f"{path}: {len(files)} .safetensors files in this folder; name the LoRA's own")
        path = files[0]
    for name in read_shapes(path):
        if LORA_TENSOR.fullmatch(name) is None:
            raise AssetError(f"{path}: not a plain LoRA (other adapters are not supported): it holds {name}")
    return path
