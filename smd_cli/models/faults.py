"""Files of a model that hold NaN or infinity. They are searched only after something went wrong: it takes as
long as reading all weights again, and what is never used does no harm.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from smd_cli.models.assets import Assets
from smd_cli.models.backbone import dtype_name
from smd_cli.models.weights import open_weights, own_names


def faulty_files(assets: Assets, dtype: torch.dtype) -> tuple[str, ...]:
    """Return a line for each file whose numbers are not finite, as they are or in the dtype of a model.

    LoRAs are added in float32, so that theirs are looked at as they are.
    """
    networks = (
        (path, assets.family.components[name].prefix, dtype)
        for name, component in assets.components.items()
        for path in component.weights
    )
    loras = ((path, "", torch.float32) for path, _ in assets.loras)
    words = ((each.path, "", dtype) for each in assets.textual_inversions)
    return tuple(line for part in (*networks, *loras, *words) for line in _faults(*part))


def _faults(path: Path, prefix: str, dtype: torch.dtype) -> Iterator[str]:
    """Yield what is wrong with the tensors of a network in a file, a line for each kind of fault."""
    broken, too_large = [], []
    with open_weights(path, "pt") as file:
        for name in own_names(file.keys(), prefix):
            tensor = file.get_tensor(name)
            if not tensor.isfinite().all():
                broken.append(name)
            elif tensor.is_floating_point() and not tensor.to(dtype).isfinite().all():
                too_large.append(name)
    if broken:
        yield f"{path}: holds NaN or infinity in {_listed(broken)}; get the file again, or use another"
    if too_large:
        where = f"{dtype_name(dtype)} in {_listed(too_large)}"
        yield f"{path}: holds numbers too large for {where}; compute in float32 (--dtype)"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more tensors"
