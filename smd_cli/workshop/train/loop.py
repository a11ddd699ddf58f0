"""The training loop of every stage: cosine rate, bf16 autocast, moving average, checkpoints and a log."""

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from smd_cli.media.files import replacing
from smd_cli.workshop.train.config import Budget

CHECKPOINT_SECONDS = 120.0
STATE = "state.safetensors"
WARM_UP_STEPS = 100
GRADIENT_NORM = 1.0


Network = TypeVar("Network", bound=nn.Module)


class MovingAverage(Generic[Network]):
    """An exponential moving average of a module's parameters, with a lower decay during the first steps."""

    def __init__(self, module: Network, decay: float) -> None:
        self.module: Network = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Update the average after a step."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), 1 - decay)


def learning_rate(step: int, budget: Budget) -> float:
    """Return the learning rate of a step: a linear warm-up, then a cosine decay to a twentieth."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / budget.steps)))
    return budget.learning_rate * warm * (0.05 + 0.95 * cosine)


def train(
    module: Network,
    loss: Callable[[Network, int], Tensor],
    *,
    budget: Budget,
    folder: Path,
    average: MovingAverage[Network],
) -> Network:
    """Minimise `loss(module, step)` and return the averaged module; resume from a checkpoint in `folder`.

    Write `state.safetensors` (module, average, optimiser, step) every two minutes and, every hundred steps, a
    line of JSON to `log.jsonl` (step, mean loss, total seconds).
    """
    optimizer = torch.optim.AdamW(module.parameters(), lr=budget.learning_rate, weight_decay=1e-4, fused=True)
    start, spent = _resume(folder, module, average, optimizer)
    module.train()
    began = saved = time.monotonic()
    device = next(module.parameters()).device
    losses: list[Tensor] = []
    for step in range(start, budget.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, budget)
        with torch.autocast(device.type, torch.bfloat16):
            value = loss(module, step)
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), GRADIENT_NORM)
        optimizer.step()
        average.update(module, step)
        losses.append(value.detach())
        if len(losses) == 100 or step + 1 == budget.steps:
            mean = torch.stack(losses).mean().item()  # synchronises with a GPU
            _log(folder, step + 1, mean, spent + time.monotonic() - began)
            losses.clear()
        if time.monotonic() - saved > CHECKPOINT_SECONDS or step + 1 == budget.steps:
            saved = time.monotonic()
            seconds = spent + saved - began
            _save(folder, module, average, optimizer, {"step": step + 1, "seconds": seconds})
    return average.module


def _resume(
    folder: Path, module: nn.Module, average: MovingAverage[Any], optimizer: torch.optim.Optimizer
) -> tuple[int, float]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / STATE
    if not path.exists():
        return 0, 0.0
    module.load_state_dict(read_state(path, "module"))
    average.module.load_state_dict(read_state(path, "average"))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in read_state(path, "optimizer").items():
        number, _, moment = name.partition(".")
        moments.setdefault(int(number), {})[moment] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    with safe_open(path, "pt") as file:
        progress = file.metadata()
    return int(progress["step"]), float(progress["seconds"])


def read_state(path: Path, part: str) -> dict[str, Tensor]:
    """Return the tensors of a part of a checkpoint: module, average or optimizer."""
    with safe_open(path, "pt") as file:
        names = [name for name in file.keys() if name.startswith(f"{part}.")]  # noqa: SIM118 - no mapping
        return {name.removeprefix(f"{part}."): file.get_tensor(name) for name in names}


def _save(
    folder: Path,
    module: nn.Module,
    average: MovingAverage[Any],
    optimizer: torch.optim.Optimizer,
    progress: dict[str, float],
) -> None:
    moments = optimizer.state_dict()["state"]
    tensors = {
        **{f"module.{name}": tensor for name, tensor in module.state_dict().items()},
        **{f"average.{name}": tensor for name, tensor in average.module.state_dict().items()},
        **{f"optimizer.{i}.{name}": tensor for i in moments for name, tensor in moments[i].items()},
    }
    separate = {name: each.clone(memory_format=torch.contiguous_format) for name, each in tensors.items()}
    with replacing(folder / STATE) as temporary:
        save_file(separate, temporary, {name: str(number) for name, number in progress.items()})


def _log(folder: Path, step: int, loss: float, seconds: float) -> None:
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": step, "loss": round(loss, 5), "seconds": round(seconds, 1)}) + "\n")
