"""Safetensors files, looked into without reading their tensors. Pickled weights are never opened."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from smd_cli.errors import AssetError
from smd_cli.models.configs import read_json

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")

Shapes = dict[str, tuple[int, ...]]


def read_shapes(path: Path) -> Shapes:
    """Return names and shapes of a file's tensors; reading them proves that the file is whole.

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


def component_weights(folder: Path, stem: str) -> tuple[Path, ...]:
    """Find the weights of a diffusers component: `stem`.safetensors, else its fp16 variant, else its shards.

    Raises:
        AssetError: none of them is there; names the file, and says when there is only a pickle.
    """
    for name in (f"{stem}.safetensors", f"{stem}.fp16.safetensors"):
        if (folder / name).exists():
            return (folder / name,)
    index = folder / f"{stem}.safetensors.index.json"
    if index.exists():
        return _shards(index)
    for pickle in (folder / f"{stem}{suffix}" for suffix in (".bin", ".fp16.bin")):
        if pickle.exists():
            read_shapes(pickle)
    raise AssetError(f"{folder / stem}.safetensors: no such file; the model folder lacks weights")


def _shards(index: Path) -> tuple[Path, ...]:
    """Return the files over which an index says that the tensors are spread."""
    files = read_json(index).get("weight_map")
    if not isinstance(files, dict) or not files:
        raise AssetError(f"{index}: names no files of weights")
    return tuple(index.parent / name for name in sorted({Path(str(name)).name for name in files.values()}))
