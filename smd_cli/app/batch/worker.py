"""One of several processes of a batch: it has a renderer, which keeps its model, and is sent job after job.

It hears nothing of Ctrl-C, which ends the batch as a whole: the process that started it ends it, or it ends
when that one is gone, at once or as soon as a file that is being written is whole (see `interrupts`).
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass, field, fields
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from smd_cli.app.batch.jobs import Job, Outcome
from smd_cli.app.batch.perform import perform
from smd_cli.app.renderer import Renderer
from smd_cli.app.settings import RenderSettings
from smd_cli.engine.events import Event
from smd_cli.errors import DeviceError, SmdError
from smd_cli.interrupts import handle_signals
from smd_cli.media.files import Existing
from smd_cli.standard_streams import close_standard_streams
from smd_cli.thread_waits import sleep_at_once

if TYPE_CHECKING:
    from typing import NoReturn

    from smd_cli.app.scenes import OpenedScene


@dataclass(frozen=True)
class Setup:
    """What a worker is started for.

    Attributes:
        number: among the workers, from 1.
        settings: of its renderer.
        hint: what the user can do about a file that must stay.
        workers: how many there are, this one among them.
    """

    number: int
    settings: RenderSettings
    hint: str
    workers: int


@dataclass(frozen=True)
class Order:
    """A job to make. A scene is sent once: without one, it is that of the order before."""

    scene: OpenedScene | None
    existing: Existing
    rest: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job, existing: Existing, *, with_scene: bool) -> Order:
        """Return the order for a job."""
        rest = {each.name: getattr(job, each.name) for each in fields(job) if each.name != "scene"}
        return cls(job.scene if with_scene else None, existing, rest)

    def job(self, scene: OpenedScene) -> Job:
        """Return the job, of a scene."""
        return Job(scene=scene, **self.rest)


class Ready:
    """A worker takes jobs from now on."""


class WorkerError(Exception):
    """Something went wrong in a worker that is no user's mistake; its traceback is a note."""

    @classmethod
    def of(cls, error: Exception) -> WorkerError:
        """Tell of an error what can be told in a process that lacks the libraries it comes from."""
        told = cls(f"{type(error).__name__}: {error}")
        told.add_note("".join(traceback.format_exception(error)))
        return told


Report = Ready | Event | Outcome | SmdError | WorkerError
"""What a worker tells; an error ends it, and the batch."""


def work(setup: Setup, parent: Connection, output: Connection | None) -> NoReturn:
    """Do what the parent sends until it closes the connection; nothing else happens in this process.

    What is printed here, by whatever library, goes to `output`, if there is one.
    """
    _begin_process(output)
    tell = _Teller(parent)
    try:
        _work(setup, parent, tell)
    except EOFError:
        pass
    except SmdError as error:
        tell(error)
    except MemoryError:
        tell(DeviceError("this machine's memory is not enough for another worker"))
    except Exception as error:
        tell(WorkerError.of(error))
    close_standard_streams()
    os._exit(0)  # an interpreter that shuts down under torch takes a while, and may fail


def _work(setup: Setup, parent: Connection, tell: _Teller) -> None:
    """Make what is ordered. Raises SmdError: what ends the whole batch; EOFError: the parent is done."""
    if setup.workers > 1:
        sleep_at_once()
    from smd_cli.app.models import choose_place  # imports torch, which reads that

    device, _ = choose_place(setup.settings)
    if device.type == "cpu" and setup.settings.deterministic:
        _share_cores(setup.workers)
    with Renderer.of(setup.settings, tell) as renderer:
        tell(Ready())
        scene: OpenedScene | None = None
        while True:
            order: Order = parent.recv()
            scene = order.scene or scene
            if scene is None:
                raise RuntimeError("a job without its scene")
            tell(perform(order.job(scene), renderer, order.existing, hint=setup.hint))


def _share_cores(workers: int) -> None:
    """Take a share of the cores, where that changes no pixel and the user has not said how many threads."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // workers))


@dataclass
class _Teller:
    """Tells the parent, from any thread. Where it is gone, nobody hears, and this process is about to end."""

    parent: Connection
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, report: Report) -> None:
        with self.lock, suppress(OSError):
            self.parent.send(report)


def _begin_process(output: Connection | None) -> None:
    if output is not None:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        output.close()
    faulthandler.enable(all_threads=False)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a parent that ignores it would hand that on
    handle_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process, as a signal does, when its parent ends, whatever ends that one."""
    if parent := parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
