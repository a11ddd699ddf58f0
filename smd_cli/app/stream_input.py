"""The input of a stream: which frames come in, how many and how fast; and a check of its timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from glob import has_magic
from itertools import chain, repeat
from pathlib import Path
from typing import TypeVar

from PIL import Image

from smd_cli.app.scenes import OpenedScene
from smd_cli.errors import SceneError, SmdError, UsageError
from smd_cli.media.canvas import fit_frame
from smd_cli.media.paint import ScenePainter
from smd_cli.media.sources import FrameSource, open_frame_source
from smd_cli.scene.edits import conflicts_with_input
from smd_cli.scene.resolve import Plan
from smd_cli.scene.stream_plan import Seconds, frame_of, frames_in
from smd_cli.scene.stream_section import DEFAULT_FPS, DEFAULT_FRAMES
from smd_cli.scene.timeline import plan_at

T = TypeVar("T")


@dataclass(frozen=True)
class StreamInput:
    """The input of a stream, and its length.

    Attributes:
        source: where frames come from; None: the stream starts from noise.
        frames: how many there will be; None: as many as the input has.
        fps: frames a second.
    """

    source: FrameSource | None
    frames: int | None
    fps: float

    def images(self, opened: OpenedScene) -> Iterator[Image.Image | None]:
        """Read what comes in, frame by frame, brought to the canvas; None for ever, where nothing does.

        Raises AssetError: a frame cannot be read; begins with the place that names the input.
        """
        if self.source is None:
            return repeat(None)
        plan, source = opened.plan, iter(self.source)
        canvas = (plan.canvas.width, plan.canvas.height)
        frames = iter(lambda: _at(opened, "input", lambda: next(source, None)), None)
        fitted = (fit_frame(image, canvas, plan.stream.fit) for image in frames)
        return chain.from_iterable(repeat(image) for image in fitted) if self.source.still else fitted


def find_stream_input(opened: OpenedScene) -> StreamInput:
    """Open a stream's input, and paint its scene once at each keyframe to see that it can be.

    Raises:
        AssetError: the input cannot be read, or is empty.
        SceneError: a keyframe lies beyond the end, or a mask or picture of it cannot be painted.
    """
    plan = opened.plan
    source = None
    if (frames := plan.stream.input) is not None:
        source = _at(opened, "input", lambda: open_frame_source(frames.path))
    fps = plan.stream.fps or (source and source.fps) or DEFAULT_FPS
    found = StreamInput(source, _frames(plan, source, fps), fps)
    _check_timeline(opened, found)
    return found


def check_apart(opened: OpenedScene, target: str, option: str = "") -> None:
    """Raise UsageError where a stream would write over, or among, the frames that it reads.

    The message begins with the option that names the target, if any.
    """
    if opened.plan.stream.input is None or target == "-":
        return
    source = opened.plan.stream.input.path
    place = source.parent if has_magic(source.name) else source
    if Path(target).resolve() == place.resolve():
        where = f"{option} {target}".strip()
        raise UsageError(f"{where}: the input comes from there; give another name")


def _frames(plan: Plan, source: FrameSource | None, fps: float) -> int | None:
    frames = plan.stream.frames
    if isinstance(frames, Seconds):
        return frames_in(frames, fps)
    if frames is None:
        return DEFAULT_FRAMES if source is None or source.still else None
    return frames


def _at(opened: OpenedScene, key: str, look: Callable[[], T]) -> T:
    """Read something; an error begins with the place that names it."""
    try:
        return look()
    except SmdError as error:
        raise error.at(opened.locate("stream", key)) from error


def _check_timeline(opened: OpenedScene, stream: StreamInput) -> None:
    """Check the timeline against the stream's length and rate, and paint the scene at each keyframe."""
    plan, frames = opened.plan, stream.frames
    if not plan.stream.timeline:
        return
    if frames is None and (source := stream.source) is not None:
        frames = _at(opened, "input", lambda: source.frames)
    if frames is not None and (problems := conflicts_with_input(plan, fps=stream.fps, frames=frames)):
        raise SceneError(*(opened.locate(*problem.loc).says(problem.text) for problem in problems))
    timed = [(frame_of(keyframe.at, stream.fps), at) for at, keyframe in enumerate(plan.stream.timeline)]
    painter = ScenePainter()
    for frame, index in sorted(timed):  # so that the first one that something is wrong with is named
        place = opened.locate("stream", "timeline", index)
        painter.paint(plan_at(plan, frame, fps=stream.fps), lambda *_, place=place: place, may_leave=True)
