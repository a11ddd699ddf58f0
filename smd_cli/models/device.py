"""Where and in what precision to compute, what that place is called, and how much memory it took."""

import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from smd_cli.errors import DeviceError

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_NO_MEMORY = re.compile("out of memory|can't allocate memory")  # torch has a class for CUDA's alone


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name ('cpu', 'cuda', 'cuda:1', 'mps'); 'auto' takes the first of cuda, mps, cpu.

    Raises:
        DeviceError: unknown or not there; says which are.
    """
    there = _devices()
    if name == "auto":
        return torch.device(there[0])
    if name not in there:
        raise DeviceError(f"device {name}: not available here; choose auto or one of {', '.join(there)}")
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of that name; 'auto' takes float16 on a GPU and float32 on the CPU.

    Raises:
        DeviceError: unknown, or not to be had on that device.
    """
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    if name not in _DTYPES:
        raise DeviceError(f"dtype {name}: unknown; choose auto, {', '.join(_DTYPES)}")
    if name == "float16" and device.type == "cpu":
        raise DeviceError("dtype float16: too coarse and slow on the CPU; choose float32 or bfloat16")
    if name == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError(
            f"dtype bfloat16: not supported by {device_name(device)}; choose float16 or float32"
        )
    return _DTYPES[name]


def device_name(device: torch.device) -> str:
    """What the device is, for reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.processor() or platform.machine()})"


@contextmanager
def enough_memory(device: torch.device) -> Iterator[None]:
    """Do a block's work on a device.

    Raises:
        DeviceError: its memory is not enough.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise DeviceError(
                f"{device_name(device)}: out of memory; try a smaller --batch, tile or canvas"
            ) from error
        raise


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether that is what an error says, of whatever device."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


def free_memory_bytes(device: torch.device) -> int:
    """The memory that could still be taken on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return int(psutil.virtual_memory().available)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory held so far: by torch on a CUDA device, else by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    from resource import RUSAGE_SELF, getrusage

    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _devices() -> list[str]:
    """Names of what is there, best first."""
    names = []
    if torch.cuda.is_available():
        names += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]
