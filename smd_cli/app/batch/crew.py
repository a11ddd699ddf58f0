"""One worker as the process that started it sees it: what it was given, what it tells, how it ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, cast

from smd_cli.app.batch.jobs import Job, ModelKey
from smd_cli.app.batch.worker import Order, Report, Setup, work
from smd_cli.errors import DeviceError
from smd_cli.interrupts import finishing
from smd_cli.media.files import Existing

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_CHUNK = 2**16  # bytes of what is printed, read at once; a line that is longer is cut


@dataclass
class Worker:
    """A worker.

    Attributes:
        setup: what it was started for.
        process: the process.
        connection: orders go there, reports come from there; its end is the worker's.
        output: what it prints; None where its standard streams are this process's (on Windows).
        is_ready: it takes jobs.
        job: what it is at.
        last: the job that it was given last, whose model and scene it holds.
        is_over: its end has been seen.
    """

    setup: Setup
    process: SpawnProcess
    connection: Connection
    output: Connection | None
    is_ready: bool = False
    job: Job | None = None
    last: Job | None = None
    is_over: bool = False
    _begun_line: bytes = b""

    @classmethod
    def start(cls, setup: Setup) -> Worker:
        """Start a worker. Raises DeviceError: the system has no room for a process."""
        context = get_context("spawn")  # torch's threads and a GPU's state do not survive a fork
        number = setup.number
        try:
            ours, theirs = context.Pipe()
            output, printed = context.Pipe(duplex=False) if os.name == "posix" else (None, None)
            name = f"worker {number}"
            process = context.Process(target=work, args=(setup, theirs, printed), name=name, daemon=True)
            with finishing(), _deaf_to_interrupts():  # it would say at length that it was left half told
                process.start()
        except OSError as error:
            problem = f"worker {number} of {setup.workers} cannot be started: {error.strerror or error}"
            raise DeviceError(f"{problem}; try fewer workers") from error
        theirs.close()
        if output and printed:
            printed.close()
            os.set_blocking(output.fileno(), False)
        return cls(setup, process, ours, output)

    @property
    def number(self) -> int:
        """Its number among the workers, from 1."""
        return self.setup.number

    @property
    def is_free(self) -> bool:
        """Tell whether it waits for a job."""
        return self.is_ready and self.job is None and not self.is_over

    @property
    def holding(self) -> ModelKey | None:
        """The model that it has loaded, or is about to."""
        return self.last.model_key if self.last else None

    @property
    def sources(self) -> list[Connection]:
        """What can be waited for."""
        return [self.connection, *([self.output] if self.output else [])]

    def give(self, job: Job, existing: Existing) -> None:
        """Give it a job. Raises whatever its scene raises where it cannot be pickled."""
        is_new = self.last is None or self.last.scene is not job.scene
        order = ForkingPickler.dumps(Order.of(job, existing, with_scene=is_new))
        self.job = self.last = job
        with suppress(OSError):  # it has died, as will be heard
            self.connection.send_bytes(order)

    def hear(self) -> Report:
        """Return what it tells next. Raises EOFError or OSError: it has ended."""
        return cast(Report, self.connection.recv())

    def printed(self) -> list[str]:
        """Return the lines that it has printed since, whole ones; at its end what is left of them."""
        if self.output is None:
            return []
        data = self._begun_line + self._read(self.output.fileno())
        whole, _, begun = data.rpartition(b"\n")
        if self.is_over or len(begun) > _CHUNK:
            whole, begun = data, b""
        self._begun_line = begun
        return whole.decode(errors="replace").splitlines()

    def bury(self, patience: float) -> str:
        """Wait for the end of a worker that ends, and make it so after some seconds; say how it ended."""
        self.process.join(patience)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.is_over = True
        code = self.process.exitcode or 0
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"{name}, as the system sends where memory ends" if name == "SIGKILL" else name

    def close(self) -> None:
        """Close the connections."""
        for source in self.sources:
            source.close()

    def _read(self, file: int) -> bytes:
        """Read what there is, at most a chunk while it lives."""
        parts = []
        with suppress(BlockingIOError):
            while part := os.read(file, _CHUNK):
                parts.append(part)
                if not self.is_over:
                    break
        return b"".join(parts)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let a process that is started within hear nothing of Ctrl-C, from its first instruction."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it would be started with the process, and change the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
