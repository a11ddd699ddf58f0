"""A connection to Ray: a cluster that is there already, or one on this machine for as long as a run takes."""

from __future__ import annotations

import logging
import math
import os
import secrets
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from shutil import rmtree
from types import ModuleType
from typing import Any

from smd_cli.errors import AssetError, DeviceError
from smd_cli.interrupts import WORDS, last_words
from smd_cli.messages import Place

_ANSWERS_WITHIN = 3.0  # seconds in which the head of a cluster that is there takes a connection
_DEFAULT_PORT = 6379
_LONGEST_FOLDER = 20  # bytes; a socket's name has 103, and Ray's folders need the others
_IMPATIENT = {"RAY_NUM_REDIS_GET_RETRIES": "2"}  # how often it asks what answers, of 20 times
_PRIVATE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}


@dataclass(frozen=True)
class Share:
    """What one worker takes of a node."""

    cpus: float
    gpus: float

    def times_in(self, node: dict[str, Any]) -> int:
        """Return how many such workers a node can have at once."""
        resources = node["Resources"]
        counts = [
            math.floor(resources.get(kind, 0) / asked + 1e-6)
            for kind, asked in (("CPU", self.cpus), ("GPU", self.gpus))
            if asked
        ]
        return min(counts, default=0)

    def __str__(self) -> str:
        parts = {"CPU": self.cpus, "GPU": self.gpus}
        return " and ".join(_amount(amount, kind) for kind, amount in parts.items() if amount)


@dataclass(frozen=True)
class Cluster:
    """Ray, and whether it is ours alone."""

    ray: ModuleType
    is_ours: bool

    def nodes(self) -> list[dict[str, Any]]:
        """Return what Ray knows of the nodes that are alive."""
        return [node for node in self.ray.nodes() if node["Alive"]]

    def has_gpus(self) -> bool:
        """Tell whether any node has a GPU."""
        return any(node["Resources"].get("GPU", 0) > 0 for node in self.nodes())

    def why_none(self, share: Share) -> str:
        """Say why no worker can begin yet."""
        nodes = self.nodes()
        if any(share.times_in(node) for node in nodes):
            return f"it is being started, or others use what it needs, {share}"
        total = {kind: sum(node["Resources"].get(kind, 0) for node in nodes) for kind in ("CPU", "GPU")}
        there = " and ".join(_amount(amount, kind) for kind, amount in total.items())
        whole = "this machine has" if self.is_ours else f"all {len(nodes)} together have"
        return f"no node has {share} for a worker; {whole} {there}"


@contextmanager
def connected(address: str | None, cpus: int | None = None) -> Iterator[Cluster]:
    """Connect to the cluster at an address, or start one for this run; `cpus` is what that one has.

    A connection that the process has already is used, and stays.

    Raises AssetError: Ray is not installed; DeviceError: there is no cluster, or it takes no connection.
    """
    if address:
        _check_answers(address)
    with _environment(_IMPATIENT if address else {**_PRIVATE, "RAY_AUTH_TOKEN": _token()}):
        ray = _import_ray()
        if ray.is_initialized():
            yield Cluster(ray, is_ours=False)
        elif address:
            with _ended(ray):
                _init(ray, f"--address {address}", address=address)
                yield Cluster(ray, is_ours=False)
        else:
            with _started(ray, cpus):
                yield Cluster(ray, is_ours=True)


@contextmanager
def _started(ray: ModuleType, cpus: int | None) -> Iterator[None]:
    """Start Ray on this machine for a block; nothing of it is left, whatever ends that."""
    with tempfile.TemporaryDirectory(prefix="smd-ray-", dir=_short(), ignore_cleanup_errors=True) as folder:

        def end_now(_: str) -> None:
            _kill_children()
            rmtree(folder, ignore_errors=True)

        with last_words(end_now), _environment({"TMPDIR": folder}), _ended(ray):
            _init(ray, "Ray", address="local", num_cpus=cpus, include_dashboard=False, _temp_dir=folder)
            yield


def check_installed() -> None:
    """Raise AssetError where Ray is not installed."""
    if find_spec("ray") is None:
        raise AssetError("--engine ray needs Ray: pip install 'smd-cli[ray]'")


def _import_ray() -> ModuleType:
    """Import Ray, which reads the environment as it is imported. Raises AssetError: it is not installed."""
    check_installed()
    import ray
    import ray._private.worker

    logging.getLogger("ray").setLevel(logging.ERROR)  # it tells at length what it starts
    # Of a worker that dies it tells on standard output, and has no option for that.
    ray._private.worker._worker_logs_enabled = False
    return ray  # type: ignore[no-any-return]


def _short() -> str:
    """Return a folder for temporary ones: the user's, unless names of Ray's sockets are too long in it."""
    given = tempfile.gettempdir()
    return given if len(os.fsencode(given)) <= _LONGEST_FOLDER or os.name == "nt" else "/tmp"  # noqa: S108


@cache
def _token() -> str:
    """Return what workers of this process' own Ray prove themselves by: it listens to the whole network."""
    return secrets.token_hex(32)


def _check_answers(address: str) -> None:
    """Raise DeviceError where nothing answers at an address: Ray itself would try for a minute."""
    place = Place.of_option(f"--address {address}")
    if address == "auto":
        return
    if "://" in address:
        raise DeviceError(place.says("give the host and port of the cluster's head, such as head:6379"))
    host, _, port = address.rpartition(":") if ":" in address else (address, "", str(_DEFAULT_PORT))
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS_WITHIN).close()
    except ValueError:
        raise DeviceError(place.says("is no host and port, such as head:6379")) from None
    except OSError as error:
        raise DeviceError(place.says(f"no cluster answers there: {error.strerror or error}")) from None


def _init(ray: ModuleType, what: str, **given: Any) -> None:  # noqa: ANN401 - Ray's own options
    """Connect; what Ray does to this process beside that is undone. Raises DeviceError."""
    handlers = {number: signal.getsignal(number) for name in WORDS if (number := getattr(signal, name, None))}
    try:
        ray.init(log_to_driver=False, configure_logging=False, logging_level=logging.ERROR, **given)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DeviceError(Place.of_option(what).says(f"cannot be used: {reason}")) from error
    finally:
        for number, handler in handlers.items():
            with suppress(ValueError):  # of another thread than the main one, which Ray leaves alone too
                signal.signal(number, handler)


@contextmanager
def _ended(ray: ModuleType) -> Iterator[None]:
    """End the connection, and what was started for it, after a block."""
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for what is started in a block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _kill_children() -> None:
    """Kill what this process has started, at once: it is about to end itself."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()


def _amount(amount: float, kind: str) -> str:
    return f"{amount:g} {kind}{'s' * (amount != 1)}"
