"""What became of a batch, as tables on stderr: scene by scene, and what failed and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table

from smd_cli.cli.console import rich_console
from smd_cli.cli.progress import minutes
from smd_cli.messages import Message

if TYPE_CHECKING:
    from smd_cli.app.batch.jobs import Job, Outcome
    from smd_cli.cli.batches import BatchRun

_STATUSES = ("written", "skipped", "failed")
_SHOWN_JOBS = 3
_SHOWN_FAILURES = 30


@dataclass
class _Scene:
    """The jobs of a scene, or of all of them."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    evaluations: int = 0
    devices: dict[str, None] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.statuses[outcome.status] += 1
        if outcome.status == "written":
            self.seconds += outcome.timing.get("total_s", 0.0) - outcome.timing.get("load_s", 0.0)
            self.evaluations += outcome.work.get("model_evaluations", 0)
            if name := outcome.device.get("name"):
                self.devices[name] = None

    def cells(self, columns: Sequence[str]) -> list[str]:
        counts = [str(self.statuses[status] or "") for status in columns]
        written = self.statuses["written"]
        took = [f"{self.seconds / written:.2f}", str(self.evaluations)] if written else ["", ""]
        return [*counts, *took, ", ".join(self.devices)]


def print_batch(run: BatchRun) -> None:
    """Print how many jobs of each scene were written, were there already and failed, and what they took.

    Loading a model is not counted to the job for which that is done.
    """
    scenes, whole = _by_scene(run)
    columns = [status for status in (*_STATUSES, "not made") if whole.statuses[status]]
    table = Table(box=None, pad_edge=False)
    table.add_column("scene")
    made = ("mean s", "evaluations", "device") if whole.statuses["written"] else ()
    for name in (*columns, *made[:2]):
        table.add_column(name, justify="right")
    for name in made[2:]:
        table.add_column(name, style="dim", overflow="ellipsis", no_wrap=True)
    rows = [*scenes.items(), *([(f"{len(scenes)} scenes", whole)] if len(scenes) > 1 else ())]
    for name, scene in rows:
        table.add_row(name, *scene.cells(columns)[: len(columns) + len(made)])
    console = rich_console()
    console.print(table)
    console.print(f"{minutes(run.seconds)} in all", style="dim")


def print_failures(run: BatchRun) -> None:
    """Print which jobs failed and why: those that failed alike in one row."""
    alike: dict[tuple[Message, ...], list[Job]] = {}
    for outcome in run.failed:
        alike.setdefault(outcome.problems, []).append(run.job(outcome))
    if not alike:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("failed", ratio=2)
    table.add_column("why", ratio=3)
    for problems, jobs in list(alike.items())[:_SHOWN_FAILURES]:
        names = [job.name for job in jobs[:_SHOWN_JOBS]]
        more = [f"and {len(jobs) - _SHOWN_JOBS} more"] * (len(jobs) > _SHOWN_JOBS)
        table.add_row("\n".join([*names, *more]), "\n".join(problems))
    if (left := len(alike) - _SHOWN_FAILURES) > 0:
        table.add_row(f"and {left} more", "")
    rich_console().print(table)


def _by_scene(run: BatchRun) -> tuple[dict[str, _Scene], _Scene]:
    jobs = {job.number: job for job in (*run.batch.jobs, *run.batch.left)}
    outcomes = {outcome.job: outcome for outcome in (*run.batch.skipped, *run.outcomes)}
    scenes: dict[str, _Scene] = {}
    whole = _Scene()
    for number in sorted(jobs):
        scene = scenes.setdefault(jobs[number].scene.plan.name, _Scene())
        for each in (scene, whole):
            if number in outcomes:
                each.add(outcomes[number])
            else:
                each.statuses["not made"] += 1
    return scenes, whole
