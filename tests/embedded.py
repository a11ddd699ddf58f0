"""The embedded model, loaded once for all tests of a process: runs take turns with it, as in a batch."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from smd_cli.models.assets import Assets, ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load

_loaded: list[tuple[Assets, dict[str, Any], Backbone]] = []


@cache
def backbone() -> Backbone:
    """Return the model as few-step samplers need it, in float32 on the CPU; tests leave it as it is."""
    return load_once(locate(ModelSpec("flatland"), few_step=True), torch.device("cpu"), torch.float32)


def load_once(
    assets: Assets,
    device: torch.device,
    dtype: torch.dtype,
    reached: Any = lambda done, total: None,
    **choices: Any,
) -> Backbone:
    """Load a model, and the embedded one anew only where it is another than before, or may change."""
    whole = {"memory": "high", "weights": "full", **choices}
    if not assets.base.is_ours or not _is_plain(assets) or whole != {"memory": "high", "weights": "full"}:
        return load(assets, device, dtype, reached, **choices)
    place = {"device": device, "dtype": dtype}
    for others, elsewhere, found in _loaded:
        if (others, elsewhere) == (assets, place):
            reached(1, 1)
            return replace(found, assets=assets)
    found = load(assets, device, dtype, reached, **choices)
    _loaded.append((assets, place, found))
    return found


def _is_plain(assets: Assets) -> bool:
    """Tell whether a model consists of what comes with the package, in which nothing changes."""
    own = assets.configs
    added = [path for path, _ in assets.loras]
    return not (assets.local_loras or assets.textual_inversions) and all(
        path.is_relative_to(own) for path in (*assets.weights, *added)
    )


@pytest.fixture(autouse=True, scope="module")
def embedded_once() -> Iterator[None]:
    """Let runs in this process share the embedded model. A conftest imports it for the tests beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smd_cli.app.models.load", load_once)
        yield
