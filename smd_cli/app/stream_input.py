"""The input of a stream: which frames come in, how many and how fast; and a check of its timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, pairwise, repeat
from typing import Any, TypeVar

from PIL import Image

from smd_cli.app.scenes import OpenedScene
from smd_cli.engine.events import Listener, Noted, Warned, ignore_events
from smd_cli.errors import SceneError, SmdError, UsageError
from smd_cli.media.canvas import fit_frame
from smd_cli.media.paint import ScenePainter
from smd_cli.media.sinks import LONGEST_FRAME, SinkKind, Target, sink_kind
from smd_cli.media.sources import FrameSource, open_frame_source
from smd_cli.media.video import Sound
from smd_cli.messages import Place
from smd_cli.scene.edits import conflicts_with_input, past_the_end
from smd_cli.scene.frame_times import EvenTimes, FrameTimes, RecordedTimes, hold, resample, seconds_of
from smd_cli.scene.stream_plan import Seconds, StreamPlan, frame_of, frames_in
from smd_cli.scene.stream_section import DEFAULT_FPS, DEFAULT_FRAMES, MAX_FRAMES
from smd_cli.scene.timeline import plan_at

T = TypeVar("T")
_UNHEARD = 0.5  # seconds of sound that may be left out after the last frame without a word


@dataclass(frozen=True)
class StreamInput:
    """The input of a stream, and the frames that it makes of it.

    Attributes:
        source: where frames come from; None: the stream starts from noise.
        frames: how many go out.
        times: when each of those is shown.
        numbers: which frame of the source each of them repaints; None: every one in turn.
    """

    source: FrameSource | None
    frames: int
    times: FrameTimes
    numbers: tuple[int, ...] | None = None

    @property
    def is_endless(self) -> bool:
        """Tell whether there is no film or folder that ends."""
        return self.source is None or self.source.still

    @property
    def seconds(self) -> float:
        """Return how long the stream is."""
        return seconds_of(self.times, self.frames)

    def images(self, opened: OpenedScene) -> Iterator[Image.Image | None]:
        """Read what comes in, frame by frame, brought to the canvas; None for ever, where nothing does.

        Raises AssetError: a frame cannot be read; begins with the place that names the input.
        """
        if self.source is None:
            return repeat(None)
        plan, source = opened.plan, iter(self.source)
        canvas = (plan.canvas.width, plan.canvas.height)
        frames = iter(lambda: _at(opened, "input", lambda: next(source, None)), None)
        chosen = frames if self.numbers is None else hold(self.numbers, enumerate(frames))
        fitted = (fit_frame(image, canvas, plan.stream.fit) for image in chosen)
        return chain.from_iterable(map(repeat, fitted)) if self.source.still else fitted

    @property
    def shortest(self) -> float:
        """Return how long the shortest frame is shown, in seconds."""
        return min(self._lasts()) / self.times.clock

    @property
    def longest(self) -> float:
        """Return how long the longest frame is shown, in seconds."""
        return max(self._lasts()) / self.times.clock

    def _lasts(self) -> Iterator[int]:
        """Yield how many ticks each frame lasts; of an even rate, the first one alone."""
        counted = self.frames if isinstance(self.times, RecordedTimes) else 1
        return (end - start for start, end in pairwise(map(self.times.start, range(counted + 1))))

    def sound_for(self, kind: SinkKind) -> tuple[Sound | None, tuple[str, ...]]:
        """Return the sound that goes into a kind of target, and notes on what is left out."""
        sound = self.source.sound if self.source else None
        if sound is None:
            return None, ()
        if kind != "mp4":
            return None, (f"{sound.path}: its sound is left out; only mp4 holds sound",)
        if not sound.fits_mp4:
            return None, (f"{sound.path}: its sound is left out; mp4 does not hold {sound.codec}",)
        if sound.seconds > self.seconds + _UNHEARD:
            return sound, (f"{sound.path}: its sound ends with the frames, after {self.seconds:.4g} s",)
        return sound, ()

    def cut(self, frames: int, length: int | Seconds | None) -> StreamInput:
        """Return the first frames; a length in seconds also cuts the last one."""
        times = self.times
        if isinstance(times, RecordedTimes):
            times = times.cut(frames, length.value if isinstance(length, Seconds) else None)
        return replace(self, frames=frames, times=times)

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints about a stream."""
        return {
            "input": self.source and self.source.to_dict(),
            "frames": self.frames,
            "seconds": round(self.seconds, 4),
            "fps": round(float(self.times.rate), 4),
        }


def find_stream_input(opened: OpenedScene, listener: Listener = ignore_events) -> StreamInput:
    """Open a stream's input, emit notes and warnings about it, and check the timeline against it.

    The scene is painted once at each keyframe, to see that it can be.

    Raises:
        AssetError: the input cannot be read, or is empty.
        SceneError: keyframes contradict each other, or a mask or picture of one cannot be painted.
    """
    stream, source = opened.plan.stream, None
    if (frames := stream.input) is not None:
        source = _at(opened, "input", lambda: open_frame_source(frames.path, opened.plan.size))
        for note in source.notes:
            listener(Noted(note))
    possible = _all_frames(source, stream.fps)
    asked = _frames_asked_for(stream, possible)
    if asked > possible.frames:
        ends = f"ends after {possible.frames} of {asked} frames"
        listener(Warned(opened.locate("stream", "input").says(ends)))
    found = possible.cut(min(asked, possible.frames), stream.frames)
    if source is not None:
        _at(opened, "input", lambda: source.look(found.frames))
    _check_timeline(opened, found, listener)
    return found


def _all_frames(source: FrameSource | None, fps: float | None) -> StreamInput:
    """Return all frames that can be made of an input: as they are, or at a rate that the scene asks for."""
    even = EvenTimes.of(fps or DEFAULT_FPS)
    if source is None or source.still:
        return StreamInput(source, MAX_FRAMES, even)
    if source.times is None or fps is None:
        return StreamInput(source, source.frames, source.times or even)
    numbers = resample(source.times, even)
    return StreamInput(source, len(numbers), even, numbers)


def _frames_asked_for(stream: StreamPlan, possible: StreamInput) -> int:
    """Return how many frames a scene asks for, which can be more than its input has."""
    if isinstance(stream.frames, Seconds):
        return frames_in(stream.frames, possible.times)
    if stream.frames is not None:
        return stream.frames
    return DEFAULT_FRAMES if possible.is_endless else possible.frames


def check_room(stream: StreamInput, target: Target, option: str = "") -> None:
    """Raise UsageError where a target cannot show a frame for as long as one of a stream's lasts.

    The message begins with the option that names the target, if any.
    """
    most = LONGEST_FRAME.get(kind := sink_kind(target))
    if most is not None and stream.longest > most:
        place = Place.of_file(target, option)
        lasts = f"{kind} shows a frame for at most {most:,.0f} s, and one lasts {stream.longest:,.0f} s"
        raise UsageError(place.says(f"{lasts}; give --fps, or an .mp4"))


def _at(opened: OpenedScene, key: str, look: Callable[[], T]) -> T:
    """Read something; an error begins with the place that names it."""
    try:
        return look()
    except SmdError as error:
        raise error.at(opened.locate("stream", key)) from error


def _check_timeline(opened: OpenedScene, stream: StreamInput, listener: Listener) -> None:
    """Check the timeline against the stream's frames, and paint the scene at each keyframe."""
    plan, times = opened.plan, stream.times
    if problems := conflicts_with_input(plan, times):
        raise SceneError(*(opened.locate(*problem.loc).says(problem.text) for problem in problems))
    if stream.source is not None and (late := past_the_end(plan, times, stream.frames)):
        listener(Warned(opened.locate(*late.loc).says(late.text)))  # without an input, the scene tells it
    timed = [(frame_of(keyframe.at, times), at) for at, keyframe in enumerate(plan.stream.timeline)]
    painter = ScenePainter()
    for frame, index in sorted(timed):  # so that the first one that something is wrong with is named
        place = opened.locate("stream", "timeline", index)
        painter.paint(plan_at(plan, frame, times), lambda *_, place=place: place, may_leave=True)
