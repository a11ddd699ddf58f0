"""Devices: which one to compute on, in what precision, its name, its memory, and turns on it."""

import gc
import platform
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from smd_cli.errors import DeviceError

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
HALVES = ("float16", "bfloat16")
"""Half precisions that the numbers of most models fit, best first."""

_DEVICE = re.compile(r"cpu|cuda(:[0-9]+)?|mps")
_CPU_TURN = threading.RLock()
_NO_MEMORY = re.compile("out of memory|can't allocate memory")  # torch has a class for CUDA's alone


@dataclass(frozen=True)
class Placement:
    """Where and how a model computes.

    Attributes:
        device: where.
        dtype: what it computes in.
        memory: one of `smd_cli.placement.PLACEMENTS`.
        weights: one of `smd_cli.placement.WEIGHTS`.
    """

    device: torch.device
    dtype: torch.dtype
    memory: str = "high"
    weights: str = "full"


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of a name ('cpu', 'cuda', 'cuda:1', 'mps'); 'auto' is the first of cuda, mps, cpu.

    Raises:
        DeviceError: unknown or not there; says which are.
    """
    there = _devices()
    if name == "auto":
        return torch.device(there[0])
    if not _DEVICE.fullmatch(name):
        raise DeviceError(f"device {name!r}: unknown device; give auto, cpu, cuda, cuda:N or mps")
    if name not in there:
        raise DeviceError(f"device {name}: not available here; choose auto or one of {', '.join(there)}")
    return torch.device(name)


def choose_dtype(name: str, device: torch.device, halves: Sequence[str] = HALVES) -> torch.dtype:
    """Return the dtype of a name; 'auto' chooses for a family whose numbers fit the `halves`, best first.

    On a GPU that is the first of these which it computes in. On a CPU it is float32, so that pictures are the
    same on all of them; but bfloat16 for models that were made in it, where the CPU has instructions for it:
    elsewhere it is several times slower than float32 there.

    Raises:
        DeviceError: unknown, or not available on that device.
    """
    if name == "auto":
        return _DTYPES[_best_dtype(device, halves)]
    if name not in _DTYPES:
        raise DeviceError(f"dtype {name}: unknown; choose auto, {', '.join(_DTYPES)}")
    if name == "float16" and device.type == "cpu":
        raise DeviceError("dtype float16: too coarse and slow on the CPU; choose float32 or bfloat16")
    if name == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError(
            f"dtype bfloat16: not supported by {device_name(device)}; choose float16 or float32"
        )
    return _DTYPES[name]


def _best_dtype(device: torch.device, halves: Sequence[str]) -> str:
    if device.type == "cpu":
        return "bfloat16" if halves[0] == "bfloat16" and _has_fast_bfloat16() else "float32"
    return next((half for half in halves if half == "float16" or _computes_bfloat16(device)), "float32")


def _computes_bfloat16(device: torch.device) -> bool:
    """Tell whether a GPU computes in bfloat16 by itself, rather than by way of float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.backends.mps.is_macos_or_newer(14, 0)


def _has_fast_bfloat16() -> bool:
    """Tell whether the CPU multiplies bfloat16 by instructions of its own (AVX-512 BF16, AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def device_name(device: torch.device) -> str:
    """Return what reports call a device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    kernels = torch.backends.cpu.get_cpu_capability()  # which instructions torch computes with
    return f"{device.type} ({platform.processor() or platform.machine()}, {kernels})"


@contextmanager
def enough_memory(device: torch.device) -> Iterator[None]:
    """Guard a block that computes on a device.

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


def exclusive(device: torch.device) -> AbstractContextManager[object]:
    """Wait for a turn on the CPU, where threads that run networks at once would fight for the same cores.

    Other devices queue work by themselves.
    """
    return _CPU_TURN if device.type == "cpu" else nullcontext()


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Compute on so many threads of a CPU, as threads that begin within the block do; None: as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def release_memory(device: torch.device) -> None:
    """Give memory back that torch keeps for later on a CUDA device."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error is a lack of memory, on whatever device."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


def free_memory_bytes(device: torch.device) -> int:
    """Return the memory that could still be taken on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return int(psutil.virtual_memory().available)


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory held so far: by torch on a CUDA device, else by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    from resource import RUSAGE_SELF, getrusage

    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak_memory(device: torch.device) -> bool:
    """Let `peak_memory_bytes` begin anew; False: not possible here, so that it goes on from the start."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed
        return False
    return True


def _devices() -> list[str]:
    """List the names of the devices that are there, best first."""
    names = []
    if torch.cuda.is_available():
        names += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]
