"""Times programs side by side: the same weights, noise and scene, in turns, in one run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import groupby
from statistics import median
from typing import Literal

import torch
from PIL import Image, ImageChops

from smd_cli import __version__
from smd_cli.app.captions import captioned
from smd_cli.app.model_spec import at_model, find_model
from smd_cli.app.models import choose_place
from smd_cli.app.rendering import canvas_images
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import RenderSettings
from smd_cli.bench.programs import Program, coupled, plain_loop, this_program
from smd_cli.bench.report import Row, Speed
from smd_cli.engine.batching import Batch
from smd_cli.engine.device import device_name, enough_memory
from smd_cli.engine.events import ignore_events
from smd_cli.engine.layers import CanvasImages, scene_layers
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.errors import UsageError
from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone, dtype_name
from smd_cli.models.loading import load
from smd_cli.scene.resolve import Plan

Rival = Literal["plain loop", "diffusers"]


@dataclass(frozen=True)
class Case:
    """A scene, its images, the files of its model, and what this program is measured against."""

    plan: Plan
    images: CanvasImages
    assets: Assets
    rival: Rival = "plain loop"

    @property
    def exact(self) -> Plan:
        """The plan by a view of each region in each tile, which is what all programs are measured against."""
        bootstrap = self.plan.bootstrap.model_copy(update={"own_tiles": False})
        return replace(self._late("views"), bootstrap=bootstrap)

    @property
    def coupled(self) -> Plan | None:
        """The plan with late steps coupled; None where they would change nothing, or cannot be."""
        plan = self._late("coupled")
        has_several = len(scene_layers(plan, self.images)) > 1 and plan.coupled_from is not None
        return plan if has_several and not self.assets.local_loras else None

    def _late(self, late: Literal["views", "coupled"]) -> Plan:
        return replace(self.plan, sampler=replace(self.plan.sampler, late=late))


def make_case(
    scene: OpenedScene, settings: RenderSettings, *, rival: Rival = "plain loop", vae: str | None = None
) -> Case:
    """Make a case of a scene; `vae` is another autoencoder for its model. Raises AssetError."""
    scene = captioned(scene, settings, ignore_events)
    with at_model(scene):
        assets = find_model(scene.plan, offline=settings.offline, vae=vae)
    return Case(scene.plan, canvas_images(scene.images), assets, rival)


@dataclass(frozen=True)
class Rounds:
    """How to measure.

    Attributes:
        count: timed pictures of a scene, of each program.
        device: where.
        dtype: what the weights are computed in.
        batch: views that this program evaluates at once, and diffusers' pipeline with it.
        on_picture: called after every picture.
    """

    count: int
    device: torch.device
    dtype: torch.dtype
    batch: Batch
    on_picture: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, count: int, settings: RenderSettings, case: Case) -> "Rounds":
        """Make rounds for a case as the settings say. Raises DeviceError: that is not there."""
        device, dtype = choose_place(settings, case.assets.family.dtypes)
        return cls(count, device, dtype, settings.batch)


def pictures(cases: Sequence[Case], rounds: int) -> int:
    """Return how many pictures are painted: by two or three programs a case, each once to warm up."""
    return (rounds + 1) * sum(2 + (case.coupled is not None) for case in cases)


def measure(cases: Sequence[Case], rounds: Rounds) -> Speed:
    """Measure this program against its rival, and with late steps coupled, on every scene.

    Neighbours of one model share its weights.

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
    scene = prepare(case.exact, case.images, backbone, batch=rounds.batch)
    programs = [this_program(scene), _rival(case, scene)]
    if case.coupled:
        programs.append(coupled(prepare(case.coupled, case.images, backbone, batch=rounds.batch)))
    return race(case.plan, programs, rounds)


def _rival(case: Case, scene: PreparedScene) -> Program:
    if case.rival == "plain loop":
        return plain_loop(scene)
    from smd_cli.bench.panorama import diffusers_panorama

    return diffusers_panorama(scene)


def race(plan: Plan, programs: Sequence[Program], rounds: Rounds) -> list[Row]:
    """Paint by all programs in turns, so that what else the machine does falls on all of them alike.

    The first one is the baseline.
    """
    painted: list[Image.Image] = []
    for program in programs:  # untimed: first calls also reserve memory and choose kernels
        painted.append(program.paint(plan.seed))
        rounds.on_picture()
    seconds: list[list[float]] = [[] for _ in programs]
    for _ in range(rounds.count):
        for program, spent in zip(programs, seconds, strict=True):
            spent.append(_time(program, plan.seed))
            rounds.on_picture()
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
    """Return what was measured on."""
    return {
        "device": device_name(device),
        "dtype": dtype_name(dtype),
        "threads": torch.get_num_threads(),
        "smd-cli": __version__,
        **{name: version(name) for name in ("torch", "diffusers")},
    }
