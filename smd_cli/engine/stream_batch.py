"""The stream batch: frames at successive steps of the schedule share one batch.

Each tick takes all of them one step on, admits some and emits some (Kodaira et al., arXiv 2312.12491,
section 3.1), with the views of regions and tiles of Lee et al., arXiv 2403.09055. It is the one-shot sampler
with time along the batch: frame by frame the same pictures.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from smd_cli.core.guidance import ModelInput, Predict
from smd_cli.core.noise import NoiseSource, Purpose
from smd_cli.core.regions import Work
from smd_cli.core.rows import Rows
from smd_cli.core.sample import sample
from smd_cli.core.step import denoise_step
from smd_cli.engine.batching import Evaluator
from smd_cli.engine.pipeline import Closed
from smd_cli.engine.prepare import PreparedScene


@dataclass(frozen=True)
class FrameJob:
    """A frame to render of a prepared scene, from the latent (1, C, h, w) of an input frame if it has one."""

    frame: int
    scene: PreparedScene
    source: Tensor | None = None


@dataclass(frozen=True)
class SkippedFrame:
    """A frame that repeats the one before."""

    frame: int


@dataclass(frozen=True)
class RenderedFrame:
    """A rendered frame: its clean latent (1, C, h, w), and how many of its steps left finite numbers, ()."""

    frame: int
    scene: PreparedScene
    latent: Tensor
    finite_steps: Tensor


@dataclass(frozen=True)
class StreamOptions:
    """How frames follow on one another.

    Attributes:
        buffer: how many enter and leave at a tick.
        autoflush: whether frames of another scene wait until those in flight have left, instead of taking
            over the frames in flight.
        variation: how much of the noise that a frame starts from is its own, 0 to 1.
    """

    buffer: int = 1
    autoflush: bool = False
    variation: float = 0.0


class StreamSampler:
    """Renders frames as they come; all their scenes have one schedule and one canvas.

    A tick renders the scene of the oldest frame in flight: an edit shows first in the frame it is for, in its
    last step, and more in each frame that follows. `work` counts what has been evaluated.
    """

    def __init__(self, noise: NoiseSource, options: StreamOptions) -> None:
        self.options = options
        self.work = Work(0, 0)
        self._noise = _CachedNoise(noise)
        self._rows: Rows | None = None  # the frames in flight, the oldest first
        self._finite_steps = torch.zeros(
            0, dtype=torch.int
        )  # of each, on the device: reading them would wait
        self._jobs: deque[FrameJob] = deque()  # the same frames
        self._evaluator: Evaluator | None = None
        self._is_cancelled = False

    def cancel(self) -> None:
        """Evaluate no more views: whoever waits for frames meets Closed."""
        self._is_cancelled = True

    @torch.inference_mode()
    def batched(self, jobs: Iterable[FrameJob | SkippedFrame]) -> Iterator[RenderedFrame | SkippedFrame]:
        """Render all frames as a stream batch; they leave in the order in which they came."""
        waiting: deque[FrameJob | SkippedFrame] = deque()  # seen and not admitted
        order: deque[FrameJob | SkippedFrame] = deque()  # admitted and not emitted
        coming = iter(jobs)
        finished: dict[int, RenderedFrame] = {}
        while True:
            self._admit(waiting, coming, order)
            if not self._jobs and not order:
                return
            for rendered in self._tick() if self._jobs else ():
                finished[rendered.frame] = rendered
            while order and (isinstance(order[0], SkippedFrame) or order[0].frame in finished):
                first = order.popleft()
                yield first if isinstance(first, SkippedFrame) else finished.pop(first.frame)

    @torch.inference_mode()
    def sequential(self, jobs: Iterable[FrameJob | SkippedFrame]) -> Iterator[RenderedFrame | SkippedFrame]:
        """Render one frame after the other, each wholly by its own scene."""
        for job in jobs:
            if isinstance(job, SkippedFrame):
                yield job
                continue
            scene = job.scene
            self.work = self.work.plus(scene.work)
            yield self._render(job)

    def _render(self, job: FrameJob) -> RenderedFrame:
        """Render a frame through all its steps."""
        scene, finite = job.scene, []
        latent = sample(
            self._start(job),
            scene.regions,
            scene.method,
            self._predict(scene),
            self._noise,
            lambda _, estimate: finite.append(_finite_rows(estimate)),
        )
        return RenderedFrame(job.frame, scene, latent, torch.cat(finite).sum())

    def _admit(
        self,
        waiting: deque[FrameJob | SkippedFrame],
        coming: Iterator[FrameJob | SkippedFrame],
        order: deque[FrameJob | SkippedFrame],
    ) -> None:
        """Take in as many frames as enter at a tick, and the skipped ones before and between them."""
        admitted = 0
        while admitted < self.options.buffer:
            waiting.extend(islice(coming, 0 if waiting else 1))
            if not waiting or (isinstance(job := waiting[0], FrameJob) and self._must_wait(job)):
                return
            order.append(waiting.popleft())
            if isinstance(job, FrameJob):
                row = self._start(job)
                self._rows = row if self._rows is None else self._rows.append(row)
                self._finite_steps = F.pad(self._finite_steps.to(row.x.device), (0, 1))
                self._jobs.append(job)
                admitted += 1

    def _must_wait(self, job: FrameJob) -> bool:
        return self.options.autoflush and bool(self._jobs) and self._jobs[0].scene is not job.scene

    def _start(self, job: FrameJob) -> Rows:
        """Return the row of a frame before its first step."""
        scene, own = job.scene, self.options.variation
        noise = self._noise("init", 0, scene.shape)
        if own:
            noise = (1 - own**2) ** 0.5 * noise + own * self._noise.fresh("frame", job.frame, scene.shape)
        return scene.starting_rows(noise, job.source)

    def _tick(self) -> list[RenderedFrame]:
        """Take every frame in flight one step on; return those that have taken their last."""
        if self._rows is None:
            raise RuntimeError("nothing is in flight")
        rows, scene = self._rows, self._jobs[0].scene
        schedule = scene.method.schedule
        self.work = self.work.plus(scene.regions.work(scene.method.guidance, rows.steps))
        background_noise = self._of_steps("bootstrap", rows.steps, scene)
        estimates = denoise_step(rows, background_noise, scene.regions, scene.method, self._predict(scene))
        self._finite_steps = self._finite_steps + _finite_rows(estimates.x)
        leaving = sum(step == len(schedule) - 1 for step in rows.steps)
        rendered = [
            RenderedFrame(job.frame, job.scene, estimates.x[[place]], self._finite_steps[place])
            for place, job in enumerate(self._jobs.popleft() for _ in range(leaving))
        ]
        self._rows, self._finite_steps = None, self._finite_steps[leaving:]
        if self._jobs:
            staying = estimates.at(range(leaving, len(rows)))
            noise = self._of_steps("renoise", [step + 1 for step in staying.steps], scene)
            self._rows = staying.renoised(schedule, noise)
        return rendered

    def _of_steps(self, purpose: Purpose, steps: Iterable[int], scene: PreparedScene) -> Tensor:
        """Return the noise for rows at steps, (N, C, H, W); rows at one step share it."""
        noise = torch.cat([self._noise(purpose, step, scene.shape) for step in steps])
        return noise.to(scene.backbone.device)

    def _predict(self, scene: PreparedScene) -> Predict:
        """Return the model under the prompts of a scene; how many rows its memory holds is remembered."""
        evaluator = self._evaluator = self._evaluator or Evaluator(scene.backbone, scene.table)
        evaluator.table = scene.table

        def predict(asked: ModelInput) -> Tensor:
            if self._is_cancelled:
                raise Closed
            return evaluator(asked)

        return predict


def _finite_rows(x: Tensor) -> Tensor:
    """Tell which rows of x (N, C, h, w) are finite, (N,)."""
    return x.isfinite().flatten(1).all(1)


class _CachedNoise:
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
