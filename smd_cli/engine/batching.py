"""How many views are evaluated at once: what was asked for, or what memory allows."""

import logging
from typing import Literal

import torch
from torch import Tensor

from smd_cli.core.guidance import ModelInput
from smd_cli.engine.device import exclusive, free_memory_bytes, is_out_of_memory
from smd_cli.engine.layout import Layout
from smd_cli.engine.memory import row_bytes
from smd_cli.models.backbone import Backbone
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.thrifty import memory_of

_log = logging.getLogger(__name__)

Batch = int | Literal["auto"]
MOST = {"cpu": 8, "cuda": 64, "mps": 16}  # views at once, past which a device gains nothing
FREE_SHARE = 0.5  # of the memory that is free now, for the views: the rest is the canvas's and the decoder's


def most_at_once(device: torch.device, memory: str) -> int:
    """Return the most views that are evaluated at once where that is left to choose."""
    return 1 if memory == "low" else MOST[device.type]


def views_at_once(batch: Batch, layout: Layout, backbone: Backbone) -> int:
    """Return the number of views to evaluate at once."""
    if batch != "auto":
        return batch
    most = most_at_once(backbone.device, memory_of(backbone))
    free = free_memory_bytes(backbone.device) * FREE_SHARE
    fitting = int(
        free / (row_bytes(layout, backbone.assets, backbone.dtype) * layout.guidance.rows_per_view(0))
    )
    return max(min(fitting, most), 1)


class Evaluator:
    """The model under a scene's prompts, as the core asks it; takes fewer rows at once where memory ends."""

    def __init__(self, backbone: Backbone, table: Conditioning) -> None:
        self.backbone = backbone
        self.table = table
        self.most: int | None = None

    def __call__(self, asked: ModelInput) -> Tensor:
        """Predict for N rows, whose prompts are rows of the table."""
        parts: list[Tensor] = []
        done = 0
        while done < len(asked):
            at_most = self.most or len(asked)
            part = asked if at_most >= len(asked) else asked.at(range(len(asked))[done : done + at_most])
            try:
                with exclusive(self.backbone.device):
                    parts.append(self.backbone.predict(part, self.table.rows(part.prompts)))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or len(part) == 1:
                    raise
                self._halve(len(part))
            else:
                done += len(parts[-1])
        return torch.cat(parts)

    def _halve(self, rows: int) -> None:
        self.most = rows // 2
        _log.warning(
            "out of memory with %d evaluations at once; going on with %d, which may round otherwise "
            "(not with --deterministic)",
            rows,
            self.most,
        )
        if self.backbone.device.type == "cuda":
            torch.cuda.empty_cache()
