"""What a batch is made of, and what becomes of it. Knows no torch; all of it goes to other processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from smd_cli.app.model_spec import model_spec, needs_few_step
from smd_cli.app.reports import WrittenFile
from smd_cli.app.scenes import OpenedScene
from smd_cli.messages import Message
from smd_cli.models.spec import ModelSpec
from smd_cli.scene.resolve import Size

Status = Literal["written", "skipped", "failed"]
ModelKey = tuple[ModelSpec, bool]
"""A model, and whether it has to be made a few-step one."""


@dataclass(frozen=True)
class Job:
    """A picture or stream to make.

    Attributes:
        number: in the order in which jobs were asked for, from 1.
        scene: one point of a scene's matrix; jobs that differ in their seed alone share it.
        seed: of its noise.
        target: its file; for a stream also a folder, ending in /.
        point: what the matrix sets, such as `bootstrap.steps=2`; empty where there is none.
        digests: SHA-256 of the pictures and films that the scene names, when the batch was planned.
        values: what the matrix sets, by its key.
    """

    number: int
    scene: OpenedScene = field(repr=False)
    seed: int
    target: str
    point: str = ""
    digests: dict[str, str] = field(default_factory=dict, repr=False)
    values: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What people call it: `valley, seed 3, bootstrap.steps=2`."""
        return ", ".join(filter(None, (self.scene.plan.name, f"seed {self.seed}", self.point)))

    @property
    def size(self) -> Size:
        """Width and height of its picture, px."""
        return self.scene.plan.size

    @property
    def model_key(self) -> ModelKey:
        """The model that it needs: jobs of equal keys can share a loaded one."""
        return model_spec(self.scene.plan), needs_few_step(self.scene.plan)


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: its number.
        status: whether its file was written, was there already, or could not be made.
        output: the file, where there is one.
        recipe: the digest of what shapes the picture (`Recipe.sha256`); None where metadata is left out.
        timing: seconds by what took them, `total_s` among them.
        work: model evaluations, as `Work` names them.
        device: name, dtype and peak memory.
        steps: of a picture's schedule.
        problems: why it failed.
        exit_code: of the kind of error that ended it; 0 where none did.
        attempts: how often it was begun.
    """

    job: int
    status: Status
    output: WrittenFile | None = None
    recipe: str | None = None
    timing: dict[str, float] = field(default_factory=dict)
    work: dict[str, int] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    problems: tuple[Message, ...] = ()
    exit_code: int = 0
    attempts: int = 1
