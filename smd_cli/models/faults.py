"""Files of a model that hold NaN or infinity. They are searched only after something went wrong: it takes as
long as reading all weights again, and what is never used does no harm.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from smd_cli.errors import AssetError, Part
from smd_cli.models.assets import Assets
from smd_cli.models.backbone import dtype_name
from smd_cli.models.spec import LOCAL_LORAS
from smd_cli.models.weights import open_weights, own_names


def faulty_files(assets: Assets, dtype: torch.dtype) -> AssetError | None:
    """Return an error with a line for each file whose numbers are not finite; None: all are.

    They are looked at as they are and in the dtype of a model; LoRAs, which are added in float32, in that.
    """
    found = [
        (line, part)
        for part, path, prefix, wanted in _files(assets, dtype)
        for line in _faults(path, prefix, wanted)
    ]
    return AssetError(*(line for line, _ in found), parts=[part for _, part in found]) if found else None


def _files(assets: Assets, dtype: torch.dtype) -> Iterator[tuple[Part, Path, str, torch.dtype]]:
    """Yield each file of a model: the part it is of, how names begin in it that count, and in what dtype."""
    for name, component in assets.components.items():
        for path in component.weights:
            yield assets.part_of(name), path, assets.family.components[name].prefix, dtype
    for index, (path, _) in enumerate(assets.loras):
        yield assets.spec.lora_part(index), path, "", torch.float32
    for reference, path in assets.local_loras.items():
        yield (LOCAL_LORAS, reference), path, "", torch.float32
    for index, inversion in enumerate(assets.textual_inversions):
        yield ("textual_inversions", index), inversion.path, "", dtype


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
