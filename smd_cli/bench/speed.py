"""Times programs side by side: the same weights, noise and scene, in turns, in one run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from statistics import median
from typing import Literal

import torch
from PIL import Image, ImageChops

from smd_cli import __version__
from smd_cli.bench.programs import Program, plain_loop, this_program
from smd_cli.bench.report import Row, Speed
from smd_cli.engine.batching import Batch
from smd_cli.engine.device import device_name, enough_memory
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.errors import UsageError
from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load
from smd_cli.scene.resolve import Plan


@dataclass(frozen=True)
class Case:
    """A scene, its painted setting, the model that it asks for, and what this program is measured against."""

    plan: Plan
    setting: CanvasImages
    assets: Assets
    rival: Literal["plain loop", "diffusers"]


@dataclass(frozen=True)
class Rounds:
    """How to measure.

    Attributes:
        count: timed pictures of a scene, of each program.
        device: where.
        dtype: what the weights are computed in.
        batch: views that this program evaluates at once, and diffusers' pipeline with it.
        tell: called after every picture.
    """

    count: int
    device: torch.device
    dtype: torch.dtype
    batch: Batch
    tell: Callable[[], None] = lambda: None


def pictures(cases: int, rounds: int) -> int:
    """Return how many pictures are painted: two programs a case, each once to warm up."""
    return 2 * cases * (rounds + 1)


def measure(cases: Sequence[Case], rounds: Rounds) -> Speed:
    """Measure this program against its rival on every scene; neighbours of one model share its weights.

    Raises:
        AssetError: weights do not fit their configs.
        DeviceError: the memory of the device is not enough.
        UsageError: a rival cannot drive the model; nothing has been loaded then.
    """
    for case in cases:
        family = case.assets.facts.family
        if case.rival == "diffusers" and family != "sd15":
            raise UsageError(f"--model: diffusers' panorama pipeline drives sd15 models, not {family}")
    rows: list[Row] = []
    with enough_memory(rounds.device):
        for assets, of_model in groupby(cases, key=lambda case: case.assets):
            backbone = load(assets, rounds.device, rounds.dtype)
            for case in of_model:
                rows += _compare(case, backbone, rounds)
    return Speed(machine(rounds.device, rounds.dtype), tuple(rows))


def _compare(case: Case, backbone: Backbone, rounds: Rounds) -> list[Row]:
    with torch.inference_mode():
        stage = prepare(case.plan, case.setting, backbone, batch=rounds.batch)
    return race(case.plan, (this_program(stage), _rival(case, stage)), rounds)


def _rival(case: Case, stage: PreparedScene) -> Program:
    if case.rival == "plain loop":
        return plain_loop(stage)
    from smd_cli.bench.panorama import diffusers_panorama

    return diffusers_panorama(stage)


def race(plan: Plan, programs: Sequence[Program], rounds: Rounds) -> list[Row]:
    """Paint by all programs in turns, so that what else the machine does falls on all of them alike.

    The first one is what the others are held against.
    """
    painted: list[Image.Image] = []
    for program in programs:  # untimed: first calls also reserve memory and choose kernels
        painted.append(program.paint(plan.seed))
        rounds.tell()
    seconds: list[list[float]] = [[] for _ in programs]
    for _ in range(rounds.count):
        for program, spent in zip(programs, seconds, strict=True):
            spent.append(_time(program, plan.seed))
            rounds.tell()
    return [
        Row(
            scene=plan.name,
            name=program.name,
            seconds=tuple(spent),
            ratio=median(spent) / median(seconds[0]),
            evaluations=program.evaluations,
            difference=difference(painted[0], picture),
            paints_the_same=program.paints_the_same,
        )
        for program, picture, spent in zip(programs, painted, seconds, strict=True)
    ]


def _time(program: Program, seed: int) -> float:
    """Seconds of one picture; it comes back to the CPU, so nothing of it is still under way then."""
    began = time.perf_counter()
    program.paint(seed)
    return time.perf_counter() - began


def difference(one: Image.Image, other: Image.Image) -> int:
    """Largest distance of two RGB pictures of one size, in grey levels."""
    return max(ImageChops.difference(one, other).tobytes())


def machine(device: torch.device, dtype: torch.dtype) -> dict[str, str | int]:
    """Tell on what was measured."""
    return {
        "device": device_name(device),
        "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "smd-cli": __version__,
        **{name: version(name) for name in ("torch", "diffusers")},
    }
