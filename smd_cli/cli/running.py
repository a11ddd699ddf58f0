"""How a stream runs: what comes in, how many frames and how fast; and whether its timeline can be painted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from glob import has_magic
from itertools import chain, repeat
from pathlib import Path
from typing import TypeVar

from PIL import Image

from smd_cli.cli.scenes import OpenScene
from smd_cli.errors import SceneError, SmdError, UsageError
from smd_cli.media.canvas import fit_frame
from smd_cli.media.paint import ScenePainter
from smd_cli.media.sources import FrameSource, open_frame_source
from smd_cli.scene.edits import misfits_with_input
from smd_cli.scene.resolve import Plan
from smd_cli.scene.stream import DEFAULT_FPS, DEFAULT_FRAMES
from smd_cli.scene.stream_plan import Seconds, frame_of, frames_in
from smd_cli.scene.timeline import plan_at, show_at

T = TypeVar("T")


@dataclass(frozen=True)
class Running:
    """A stream's length, once its input is known; `frames` None: as long as the input lasts."""

    footage: FrameSource | None
    frames: int | None
    fps: float

    def images(self, opened: OpenScene) -> Iterator[Image.Image | None]:
        """Read what comes in, frame by frame, brought to the canvas; None for ever, where nothing does.

        Raises AssetError: a frame cannot be read; begins with the place that names the input.
        """
        if self.footage is None:
            return repeat(None)
        plan, footage = opened.plan, iter(self.footage)
        canvas = (plan.canvas.width, plan.canvas.height)
        frames = iter(lambda: _at(opened, "input", lambda: next(footage, None)), None)
        fitted = (fit_frame(image, canvas, plan.stream.fit) for image in frames)
        return chain.from_iterable(repeat(image) for image in fitted) if self.footage.still else fitted


def find_running(opened: OpenScene) -> Running:
    """Look at a stream's input, and paint its timeline once to see that it can be.

    Raises:
        AssetError: the input cannot be read, or is empty.
        SceneError: a keyframe lies beyond the end, or a mask or picture of it cannot be painted.
    """
    plan = opened.plan
    footage = None
    if plan.stream.input != "none":
        footage = _at(opened, "input", lambda: open_frame_source(plan.stream.input))
    fps = plan.stream.fps if plan.stream.fps != "input" else (footage and footage.fps) or DEFAULT_FPS
    running = Running(footage, _frames(plan, footage, fps), fps)
    _check_timeline(opened, running)
    return running


def check_apart(opened: OpenScene, target: str) -> None:
    """Raise UsageError where a stream would write over, or among, the frames that it reads."""
    source = Path(opened.plan.stream.input)
    place = source.parent if has_magic(source.name) else source
    if opened.plan.stream.input != "none" and target != "-" and Path(target).resolve() == place.resolve():
        raise UsageError(f"--output {target}: the input comes from there; give another name")


def _frames(plan: Plan, footage: FrameSource | None, fps: float) -> int | None:
    frames = plan.stream.frames
    if isinstance(frames, Seconds):
        return frames_in(frames, fps)
    if frames == "input":
        return DEFAULT_FRAMES if footage is None or footage.still else None
    return frames


def _at(opened: OpenScene, key: str, look: Callable[[], T]) -> T:
    """Look at something; what is wrong with it begins with the place that names it."""
    try:
        return look()
    except SmdError as error:
        raise type(error)(f"{opened.locate('stream', key)}: {error}") from error


def _check_timeline(opened: OpenScene, running: Running) -> None:
    """Hold the timeline to the stream's length and rate, and paint the scene at each keyframe."""
    plan, frames = opened.plan, running.frames
    if not plan.stream.timeline:
        return
    if frames is None and (footage := running.footage) is not None:
        frames = _at(opened, "input", lambda: footage.frames)
    if frames is not None and (problems := misfits_with_input(plan, fps=running.fps, frames=frames)):
        raise SceneError(*(f"{opened.locate(*problem.loc)}: {problem.text}" for problem in problems))
    painter = ScenePainter()
    timed = [(frame_of(keyframe.at, running.fps), at) for at, keyframe in enumerate(plan.stream.timeline)]
    for frame, index in sorted(timed):  # so that the first one that something is wrong with is named
        place = opened.locate("stream", "timeline", index)
        shown = plan_at(plan, show_at(plan, frame, fps=running.fps))
        painter.paint(shown, lambda *_, place=place: place, may_leave=True)
