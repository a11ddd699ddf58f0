"""The stream: frames at successive steps of the schedule share one batch; each tick admits and emits some.

Kodaira et al., arXiv 2312.12491, section 3.1 (stream batch), with the views of regions and tiles of Lee et
al., arXiv 2403.09055. It is the one-shot sampler with time along the batch: frame by frame the same pictures.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from smd_cli.core.noise import NoiseSource, Purpose
from smd_cli.core.regions import Work
from smd_cli.core.rows import Rows
from smd_cli.core.sample import sample
from smd_cli.core.step import denoise_step
from smd_cli.engine.batching import Evaluator
from smd_cli.engine.stage import Stage


@dataclass(frozen=True)
class Cue:
    """A frame to paint on its stage, from the latent (1, C, h, w) of an input frame if it has one."""

    frame: int
    stage: Stage
    source: Tensor | None = None


@dataclass(frozen=True)
class Skip:
    """A frame that shows what the one before shows."""

    frame: int


@dataclass(frozen=True)
class Done:
    """A painted frame: its clean latent (1, C, h, w)."""

    frame: int
    stage: Stage
    latent: Tensor


@dataclass(frozen=True)
class Pace:
    """How frames follow on one another.

    Attributes:
        buffer: how many enter and leave at a tick.
        autoflush: frames wait outside until those of another stage have left, instead of being bent by it.
        variation: how much of the noise that a frame starts from is its own, 0 to 1.
    """

    buffer: int = 1
    autoflush: bool = False
    variation: float = 0.0


class StreamSampler:
    """Paints frames as they come; all stages have one schedule and one canvas.

    A tick paints by the stage of the oldest frame in flight: an edit shows first in the frame it is for, in
    its last step, and more in each frame that follows. `work` counts what has been evaluated.
    """

    def __init__(self, noise: NoiseSource, pace: Pace) -> None:
        self.pace = pace
        self.work = Work(0, 0)
        self._noise = _Kept(noise)
        self._flight: Rows | None = None
        self._cues: deque[Cue] = deque()  # those in flight, the oldest first
        self._evaluator: Evaluator | None = None

    @torch.inference_mode()
    def frames(self, cues: Iterable[Cue | Skip]) -> Iterator[Done | Skip]:
        """Paint all frames; they leave in the order in which they came."""
        waiting: deque[Cue | Skip] = deque()  # seen and not admitted
        order: deque[Cue | Skip] = deque()  # admitted and not emitted
        coming = iter(cues)
        finished: dict[int, Done] = {}
        while True:
            self._admit(waiting, coming, order)
            if not self._cues and not order:
                return
            for done in self._tick() if self._cues else ():
                finished[done.frame] = done
            while order and (isinstance(order[0], Skip) or order[0].frame in finished):
                first = order.popleft()
                yield first if isinstance(first, Skip) else finished.pop(first.frame)

    @torch.inference_mode()
    def one_by_one(self, cues: Iterable[Cue | Skip]) -> Iterator[Done | Skip]:
        """Paint one frame after the other, each wholly on its own stage."""
        for cue in cues:
            if isinstance(cue, Skip):
                yield cue
                continue
            self._count(cue.stage, range(len(cue.stage.method.schedule)))
            predict = self._predict(cue.stage)
            latent = sample(self._start(cue), cue.stage.regions, cue.stage.method, predict, self._noise)
            yield Done(cue.frame, cue.stage, latent)

    def _admit(
        self, waiting: deque[Cue | Skip], coming: Iterator[Cue | Skip], order: deque[Cue | Skip]
    ) -> None:
        """Take in as many frames as enter at a tick, and what is skipped before and between them."""
        admitted = 0
        while admitted < self.pace.buffer:
            waiting.extend(islice(coming, 0 if waiting else 1))
            if not waiting or (isinstance(cue := waiting[0], Cue) and self._must_wait(cue)):
                return
            order.append(waiting.popleft())
            if isinstance(cue, Cue):
                rows = self._start(cue)
                self._flight = rows if self._flight is None else rows.behind(self._flight)
                self._cues.append(cue)
                admitted += 1

    def _must_wait(self, cue: Cue) -> bool:
        return self.pace.autoflush and bool(self._cues) and self._cues[0].stage is not cue.stage

    def _start(self, cue: Cue) -> Rows:
        """Return the row of a frame before its first step."""
        stage, own = cue.stage, self.pace.variation
        device = stage.backbone.device
        began = self._noise("init", 0, stage.shape)
        if own:
            began = (1 - own**2) ** 0.5 * began + own * self._noise.fresh("frame", cue.frame, stage.shape)
        began = began.to(device)
        source = stage.source if cue.source is None else cue.source
        x = began if source is None else stage.method.schedule.noised(source, began, [0])
        return Rows(x, (0,), began)

    def _tick(self) -> list[Done]:
        """Take every frame in flight one step on; return those that have taken their last."""
        if self._flight is None:
            raise RuntimeError("nothing is in flight")
        rows, stage = self._flight, self._cues[0].stage
        schedule = stage.method.schedule
        self._count(stage, rows.steps)
        behind = self._of_steps("bootstrap", rows.steps, stage)
        estimates = denoise_step(rows, behind, stage.regions, stage.method, self._predict(stage))
        leaving = sum(step == len(schedule) - 1 for step in rows.steps)
        done = [
            Done(cue.frame, cue.stage, estimates.x[[place]])
            for place, cue in enumerate(self._cues.popleft() for _ in range(leaving))
        ]
        self._flight = None
        if self._cues:
            staying = estimates.at(range(leaving, len(rows)))
            noise = self._of_steps("renoise", [step + 1 for step in staying.steps], stage)
            self._flight = staying.renoised(schedule, noise)
        return done

    def _of_steps(self, purpose: Purpose, steps: Iterable[int], stage: Stage) -> Tensor:
        """Return the noise for rows at steps, (N, C, H, W); rows at one step share it."""
        noise = torch.cat([self._noise(purpose, step, stage.shape) for step in steps])
        return noise.to(stage.backbone.device)

    def _predict(self, stage: Stage) -> Evaluator:
        """Return the model under the prompts of a stage; how many rows its memory holds is remembered."""
        if self._evaluator is None:
            self._evaluator = Evaluator(stage.backbone, stage.table)
        self._evaluator.table = stage.table
        return self._evaluator

    def _count(self, stage: Stage, steps: Iterable[int]) -> None:
        regions, guidance = stage.regions, stage.method.guidance
        rows = [len(regions.views[step]) * guidance.rows_per_view(step) for step in steps]
        everything = 2 * len(regions) * len(regions.tiling.boxes) * len(rows)
        self.work = Work(self.work.model_evaluations + sum(rows), self.work.without_savings + everything)


class _Kept:
    """A source of noise that keeps what every frame needs again."""

    def __init__(self, noise: NoiseSource) -> None:
        self.fresh = noise
        self._drawn: dict[tuple[str, int, tuple[int, ...]], Tensor] = {}

    def __call__(self, purpose: Purpose, step: int, shape: Sequence[int]) -> Tensor:
        """Return the noise of a purpose and step, drawn once."""
        key = (purpose, step, tuple(shape))
        if key not in self._drawn:
            self._drawn[key] = self.fresh(purpose, step, shape)
        return self._drawn[key]
