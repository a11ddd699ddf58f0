"""A scene's stream: its frames one by one, or written to a file. Imports torch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from PIL import Image

from smd_cli.app.apart import check_apart
from smd_cli.app.existing import GIVE_ANOTHER, admission, again, check_stream
from smd_cli.app.models import computation, computing, device_facts
from smd_cli.app.recipes import build_recipe
from smd_cli.app.rendering import canvas_images
from smd_cli.app.reports import StreamReport, WrittenFile
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import RenderSettings
from smd_cli.app.stream_input import StreamInput, check_room
from smd_cli.core.regions import Work
from smd_cli.engine.events import Clock, Noted, StreamProgress, Warned, WarningRoute
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.scene_preparer import InputFrame, ScenePreparer
from smd_cli.engine.stream_pipeline import QUEUES, WORK, OutputFrame, StreamRun, stream_pipeline
from smd_cli.errors import AssetError, UsageError
from smd_cli.media.files import Existing
from smd_cli.media.folder_lock import FolderLock
from smd_cli.media.gif import SHORTEST
from smd_cli.media.paint import ScenePainter
from smd_cli.media.pixel_digest import PixelDigest
from smd_cli.media.recipe import Recipe
from smd_cli.media.sinks import AdmitAt, Sink, Target, open_sink, reserved, sink_kind
from smd_cli.media.sources import count_frames
from smd_cli.messages import Place
from smd_cli.models.backbone import Backbone
from smd_cli.scene.resolve import Plan
from smd_cli.scene.timeline import plan_at, written_at


@dataclass(frozen=True)
class StreamFrame:
    """A frame of a stream: its number, its picture (RGB), and whether that is the one before again.

    `image` is None for frames that were skipped before any was rendered.
    """

    number: int
    image: Image.Image | None
    is_repeat: bool


class SceneStream:
    """A stream that is set up: iterate it once for its frames, or write them to a file.

    Attributes:
        scene: what it shows.
        input: what comes in, how many frames and when each is shown.
        seed: of its noise.
        progress: how far it is.
        recipe: what makes it; None where the renderer leaves metadata out.
        report: what `write` did, all of it or what was kept of it; None: nothing yet.
    """

    def __init__(
        self,
        scene: OpenedScene,
        source: StreamInput,
        seed: int,
        backbone: Backbone,
        settings: RenderSettings,
        clock: Clock,
    ) -> None:
        """Set up a stream; `clock` has timed what came before, and has the listener."""
        self.scene = scene
        self.input = source
        self.seed = seed
        self.progress = StreamProgress(total=source.frames)
        self.report: StreamReport | None = None
        self._backbone = backbone
        self._settings = settings
        self._clock = clock
        self._run: StreamRun | None = None
        self._has_begun = self._is_closed = False

    @cached_property
    def recipe(self) -> Recipe | None:
        """Return what makes the stream."""
        if not self._settings.metadata:
            return None
        recipe = build_recipe(self.scene, self.seed, self._backbone.assets)
        return replace(recipe, computation=computation(self._backbone, self._settings, self._settings.batch))

    @property
    def work(self) -> Work:
        """Return what has been evaluated so far."""
        return Work(0, 0) if self._run is None else self._run.sampler.work

    def __iter__(self) -> Iterator[StreamFrame]:
        """Render the frames; leaving the loop early ends the work on those to come.

        Raises UsageError: they have been asked for before; DeviceError: the memory of the device is not
        enough; AssetError: an input frame cannot be read.
        """
        self._begin()
        return self._render()

    def _render(self) -> Iterator[StreamFrame]:
        with self._running() as frames:
            yield from frames

    def close(self) -> None:
        """End the work on frames to come. May be called from anywhere, a handler of signals for example."""
        self._is_closed = True
        if self._run is not None:
            self._run.close()

    def write(self, target: Target, *, overwrite: bool = False) -> StreamReport:
        """Write the stream to a file, a folder or standard output (see `media.sinks`).

        Whatever ends it, what was written before plays; a note and `report` tell what that is. Only then are
        the threads waited for that work on frames to come.

        Raises as iterating, and UsageError: the suffix is unknown, the input comes from there or, without
        `overwrite`, a file is there that is not this stream; SmdError: a frame cannot be written.
        """
        return self.write_as(target, Existing.OVERWRITE if overwrite else Existing.REPLACE_OWN)

    def write_as(
        self,
        target: Target,
        existing: Existing,
        *,
        hint: str = GIVE_ANOTHER,
        lock: FolderLock | None = None,
    ) -> StreamReport:
        """Write the stream as `write` does; `hint` is what the user can do about a file that must stay.

        `lock` is that of a folder that is `reserved` already. What lies there is looked at again when a file
        takes its place: it may have appeared meanwhile.
        """
        check_apart(self.scene, target)
        check_room(self.input, target)
        check_stream(target, again(existing), lambda: self.recipe, hint=hint)
        admit = admission(target, existing, lambda: self.recipe, hint=hint)
        self._begin()
        began, written = time.perf_counter(), _Written()
        with reserved(target, lock) as held, self._running() as frames:
            try:
                with self._sink(target, written, admit, held) as sink:
                    for frame in frames:
                        written.add(sink, frame)
            finally:
                if kept := self._kept(target, written):
                    self.report = self._report(target, kept, written, time.perf_counter() - began)
        if self.report is None:
            raise RuntimeError("the stream left no frames")
        return self.report

    def _kept(self, target: Target, written: _Written) -> int:
        """Return how many frames lie at a target now; tell where those are not all."""
        total, kind = self.input.frames, sink_kind(target)
        if target is None or kind == "raw" or not written.frames:
            return written.frames
        if written.is_closed and written.frames == total:
            return total
        if not written.is_closed and kind != "folder":
            return 0
        kept = 0
        with suppress(AssetError):  # nothing is left of it, as what ended the stream tells
            kept = min(count_frames(Path(target)), written.frames)
            plays = "" if kind == "folder" else ", and play"
            self._clock.listen(Noted(f"{target}: {kept} of {total} frames are written{plays}"))
        return kept

    def _report(self, target: Target, kept: int, written: _Written, seconds: float) -> StreamReport:
        """Describe what was kept; of frames that are not those that were handed over, no digest is known."""
        loading, run = self._clock.seconds["load"], self._run
        busy = zip(WORK, run.pipeline.busy(), strict=True) if run else ()
        timing = {"load_s": loading, **{f"{name}_s": spent for name, spent in busy}}
        pixels = written.pixels.hexdigest() if kept == written.frames else None
        return StreamReport(
            outputs=(WrittenFile.at(str(target or "-"), self.seed, pixels, self.scene.plan.size),),
            progress=replace(self.progress, frames=kept),
            timing={**timing, "save_s": written.seconds, "total_s": loading + seconds},
            work=dict(self.work._asdict()),
            device=device_facts(self._backbone, self._settings),
        )

    def _begin(self) -> None:
        """Raise UsageError where the stream has been rendered before."""
        if self._has_begun:
            raise UsageError("a stream is rendered once; ask the renderer for another")
        self._has_begun = True

    @contextmanager
    def _running(self) -> Iterator[Iterator[StreamFrame]]:
        """Run the pipeline during a block, and give its frames; at the end, wait for its threads."""
        asked: dict[int, float] = {}
        painter, warnings = ScenePainter(), WarningRoute(self._clock.listen)

        def paint(plan: Plan, frame: int) -> CanvasImages:
            def locate(*loc: str | int) -> Place:
                return self.scene.locate(*written_at(self.scene.plan, loc, frame, self.input.times))

            return canvas_images(painter.paint(plan, locate, may_leave=True))

        preparer = ScenePreparer(self._backbone, paint, batch=self._settings.batch)
        self._run = stream_pipeline(self.scene.plan, preparer, self._inputs(asked), self.seed, warnings)
        if self._is_closed:
            self._run.close()
        warnings.attach()
        try:
            with computing(self.scene, self._backbone), self._run.pipeline as outputs:
                yield self._frames(outputs, asked)
        finally:
            warnings.detach()

    def _frames(self, outputs: Iterable[OutputFrame], asked: dict[int, float]) -> Iterator[StreamFrame]:
        began, last = time.perf_counter(), None
        for output in outputs:
            is_repeat = output.image is None
            last = last if is_repeat else output.image
            yield StreamFrame(output.frame, last, is_repeat)
            self._advance(began, asked.pop(output.frame), is_repeat=is_repeat)

    def _inputs(self, asked: dict[int, float]) -> Iterator[InputFrame]:
        """Read the frames to come; `asked` notes when each was asked for."""
        for frame, image in enumerate(islice(self.input.images(self.scene), self.input.frames)):
            asked[frame] = time.perf_counter()
            yield InputFrame(frame, plan_at(self.scene.plan, frame, self.input.times), image)

    def _advance(self, began: float, asked: float, *, is_repeat: bool) -> None:
        """Count a frame that has been handed on, and emit how far the stream is."""
        now, before = time.perf_counter(), self.progress
        frames = before.frames + 1
        depths = self._run.pipeline.depths() if self._run else ()
        self.progress = replace(
            before,
            frames=frames,
            skipped=before.skipped + is_repeat,
            seconds=now - began,
            latency=before.latency + (now - asked - before.latency) / frames,
            queues=dict(zip(QUEUES, depths, strict=True)),
        )
        self._clock.listen(self.progress)

    @contextmanager
    def _sink(
        self, target: Target, written: _Written, admit: AdmitAt, lock: FolderLock | None
    ) -> Iterator[Sink]:
        """Give a sink; whatever ends the block, what was written is brought into its place."""
        plan, recipe = self.scene.plan, self.recipe
        texts = recipe.texts() if recipe else None
        sound, notes = self.input.sound_for(kind := sink_kind(target))
        for note in notes:
            self._clock.listen(Noted(note))
        if kind == "gif" and self.input.shortest < SHORTEST:
            asked = f"programs show frames of a GIF for 0.1 s that should be gone in less than {SHORTEST:g} s"
            self._clock.listen(Warned(f"{target}: {asked}; give --fps 50 at most, or another format"))
        sink = open_sink(
            target,
            size=plan.size,
            times=self.input.times,
            loop=plan.stream.loop,
            texts=texts,
            sound=sound,
            admit=admit,
            lock=lock,
        )
        try:
            yield sink
        finally:
            sink.close()
            written.is_closed = True


@dataclass
class _Written:
    """What a sink has been given: frames, what they show, the seconds that took; whether it closed well."""

    frames: int = 0
    is_closed: bool = False
    seconds: float = 0.0
    pixels: PixelDigest = field(default_factory=PixelDigest)

    def add(self, sink: Sink, frame: StreamFrame) -> None:
        """Write a frame, the last one again where it repeats that."""
        began = time.perf_counter()
        if frame.is_repeat or frame.image is None:
            sink.repeat()
        else:
            sink.add(frame.image)
        if frame.image is not None:
            self.pixels.add(frame.image)
        self.frames += 1
        self.seconds += time.perf_counter() - began
