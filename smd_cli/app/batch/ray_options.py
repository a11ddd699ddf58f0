"""Where a batch runs on Ray, what each worker takes of a node, and which variables it is given."""

from __future__ import annotations

import os
from dataclasses import dataclass

from smd_cli.app.batch.ray_cluster import Cluster, Share, check_installed
from smd_cli.errors import UsageError
from smd_cli.messages import Place

THREADS = "OMP_NUM_THREADS"
_FORWARDED = ("HF_", "HUGGING_FACE_", THREADS)  # how variables begin that workers are given


@dataclass(frozen=True)
class RayOptions:
    """Where a batch runs.

    Attributes:
        address: of a cluster: host and port of its head, or `auto`, the one of this machine; None or `local`:
            Ray is started on this machine for the batch.
        gpus_per_worker: a whole number, or a part of one GPU; 0: workers compute on CPUs; None: one, where
            the cluster has any.
        workers: how many at most; None: as many as the nodes that are there have room for.
    """

    address: str | None = None
    gpus_per_worker: float | None = None
    workers: int | None = None

    def check(self, device: str) -> None:
        """Raise UsageError: they contradict themselves or the device; AssetError: Ray is not installed."""
        gpus = self.gpus_per_worker
        place = Place.of_option(f"--gpus-per-worker {gpus}")
        if gpus is not None and (not 0 <= gpus < 1000 or (gpus > 1 and gpus % 1)):
            raise UsageError(place.says("give a whole number, or a part of one GPU, such as 0.5"))
        if self.workers is not None and self.workers < 1:
            raise UsageError(Place.of_option(f"--workers {self.workers}").says("give at least 1"))
        if ":" in device:
            said = "names a GPU of one machine; Ray chooses those of workers, so give cuda or auto"
            raise UsageError(Place.of_option(f"--device {device}").says(said))
        if gpus is not None and (gpus > 0) == (device in ("cpu", "mps")) and device != "auto":
            raise UsageError(place.says(f"does not go with --device {device}"))
        check_installed()

    def share(self, device: str, cluster: Cluster) -> Share:
        """Return what a worker takes of a node."""
        gpus = self.gpus_per_worker
        if gpus is None:
            gpus = 1 if device == "cuda" or (device == "auto" and cluster.has_gpus()) else 0
        return Share(cpus=threads() or 1, gpus=gpus)

    @property
    def head(self) -> str | None:
        """The address of a cluster that is there; None: there is none."""
        return None if self.address == "local" else self.address

    @property
    def cpus(self) -> int | None:
        """How many CPUs Ray is told that this machine has; None: it looks itself. All workers are to fit."""
        return max(os.cpu_count() or 1, self.workers * (threads() or 1)) if self.workers else None


def threads() -> int | None:
    """Return how many threads the user gives each worker; None: as many as a run by itself would have."""
    given = os.environ.get(THREADS, "")
    return int(given) if given.isdecimal() and int(given) else None


def variables() -> dict[str, str]:
    """Return the variables that workers are given: what they ask the hub with, and their threads."""
    return {name: value for name, value in os.environ.items() if name.startswith(_FORWARDED)}
