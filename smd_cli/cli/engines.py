"""Options for what runs the jobs of a batch: this process, several, or Ray."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.errors import UsageError
from smd_cli.messages import Place

if TYPE_CHECKING:
    from smd_cli.app.batch.request import Request
    from smd_cli.app.batch.run import Engine
    from smd_cli.cli.batches import MakeEngine
    from smd_cli.engine.events import Listener


class EngineName(StrEnum):
    """What runs jobs."""

    LOCAL = "local"
    RAY = "ray"


ADDRESS = "RAY_ADDRESS"
EngineOption = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        help="What runs the jobs: local, processes of this machine; ray, workers of Ray, also on a cluster.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help=f"The head of a Ray cluster; auto: of the one that this machine is a node of. By default "
        f"{ADDRESS}, else Ray is started on this machine for the batch, as by local.",
        show_default=False,
    ),
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker",
        metavar="N",
        help="GPUs of each of Ray's workers: a number, or a part of one, such as 0.5; 0: they compute on "
        "CPUs.",
        show_default="1, where there are any",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        max=256,
        help="Render in so many processes at once on the device, each with its own copy of the model. Ray is "
        "asked for so many at most, by default for as many as there is room for.",
        show_default="1, this one",
    ),
]
Devices = Annotated[
    str | None,
    typer.Option(
        "--devices",
        metavar="DEVICES",
        help="Render on several devices at once, a process each, such as cuda:0,cuda:1. Instead of --device.",
    ),
]


@dataclass(frozen=True)
class Engines:
    """Options for what runs the jobs."""

    workers: Workers = None
    devices: Devices = None
    engine: EngineOption = EngineName.LOCAL
    address: Address = None
    gpus_per_worker: GpusPerWorker = None

    def make(self, device: str) -> MakeEngine | None:
        """Return what makes the engine; None: that of this process.

        Raises UsageError: options contradict each other; AssetError: Ray is not installed.
        """
        return self._ray(device) if self.engine is EngineName.RAY else self._local(device)

    def _local(self, device: str) -> MakeEngine | None:
        given = {"--address": self.address, "--gpus-per-worker": self.gpus_per_worker}
        for option, value in given.items():
            if value is not None:
                raise UsageError(Place.of_option(f"{option} {value}").says("is for --engine ray"))
        devices = self._processes(device)

        def make(request: Request, listener: Listener) -> Engine:
            from smd_cli.app.batch.workers import WorkerEngine

            return WorkerEngine(request, devices, listener)

        return make if devices else None

    def _processes(self, device: str) -> list[str]:
        """Return the device of each process; none where all is rendered in this one. Raises UsageError."""
        if self.devices is None:
            return [device] * self.workers if self.workers and self.workers > 1 else []
        place = Place.of_option(f"--devices {self.devices}")
        if device not in ("auto", os.environ.get("SMD_DEVICE")):
            raise UsageError(place.says(f"names devices as --device {device} does; give only one of them"))
        if self.workers is not None:
            raise UsageError(place.says("gives each device a process; leave --workers out"))
        names = [name.strip() for name in self.devices.split(",")]
        if not all(names):
            raise UsageError(place.says("write it as names with commas in between, such as cuda:0,cuda:1"))
        return names

    def _ray(self, device: str) -> MakeEngine:
        if self.devices is not None:
            said = "names this machine's devices; Ray chooses those of workers, so leave it out"
            raise UsageError(Place.of_option(f"--devices {self.devices}").says(said))
        from smd_cli.app.batch.ray_engine import RayEngine
        from smd_cli.app.batch.ray_options import RayOptions

        address = self.address or os.environ.get(ADDRESS)
        ray = RayOptions(address, self.gpus_per_worker, self.workers)
        ray.check(device)

        def make(request: Request, listener: Listener) -> Engine:
            return RayEngine(request, ray, listener)

        return make
