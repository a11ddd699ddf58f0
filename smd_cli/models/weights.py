"""Safetensors files, looked into without reading their tensors. Pickled weights are never opened."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from smd_cli.errors import AssetError
from smd_cli.references import PICKLES

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
