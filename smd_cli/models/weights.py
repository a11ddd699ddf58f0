"""Safetensors files, looked into without reading their tensors. Pickled weights are never opened."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from smd_cli.errors import AssetError

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")

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
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file") from None
    except PermissionError:
        raise AssetError(f"{path}: permission denied") from None
    except (SafetensorError, OSError) as error:
        raise AssetError(f"{path}: not a whole safetensors file ({error}); download it again") from error


def component_file(folder: Path, stem: str) -> Path:
    """The weights of a diffusers component: `stem`.safetensors, else its fp16 variant.

    Raises:
        AssetError: neither is there; names the file, and says when there is only a pickle.
    """
    for name in (f"{stem}.safetensors", f"{stem}.fp16.safetensors"):
        if (folder / name).exists():
            return folder / name
    pickle = next((folder / f"{stem}{end}" for end in PICKLES if (folder / f"{stem}{end}").exists()), None)
    if pickle is not None:
        read_shapes(pickle)
    raise AssetError(f"{folder / stem}.safetensors: no such file; the model folder has no weights there")
