"""The plan of a stream: its section with every default filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from smd_cli.scene.background import BACKGROUND_KEYS, BackgroundChange, Fit
from smd_cli.scene.frame_times import EvenTimes, FrameTimes
from smd_cli.scene.paths import Reference
from smd_cli.scene.plan_values import Context, plan_values, scene_value
from smd_cli.scene.region import REGION_KEYS
from smd_cli.scene.stream_section import (
    DEFAULT_FPS,
    DEFAULT_FRAMES,
    DEFAULT_STRENGTH,
    Ease,
    Keyframe,
    Similarity,
    Stream,
)


@dataclass(frozen=True)
class Seconds:
    """A time, which becomes a frame once the times of the frames are known."""

    value: float

    def __str__(self) -> str:
        return f"{self.value}s"


@dataclass(frozen=True)
class KeyframePlan:
    """A change of a region or of the background.

    Attributes:
        at: the first frame that shows it; a time, where only the input knows the times of the frames.
        ease: how values change between the previous keyframe that set them and this one.
        region: the region's name; None: the background.
        changes: the changed keys and their new values, as in the plan of the region or background.
    """

    at: int | Seconds
    ease: Ease
    region: str | None
    changes: tuple[tuple[str, Any], ...]

    def get(self, key: str) -> Any:  # noqa: ANN401 - a value of any key
        """Return the new value of a key, or None where the keyframe does not change it."""
        return dict(self.changes).get(key)

    def to_dict(self) -> dict[str, Any]:
        """Return the keyframe as a scene's, with what it changes alone."""
        when = {"at": self.at if isinstance(self.at, int) else str(self.at), "ease": self.ease}
        changes = {key: scene_value(value) for key, value in self.changes}
        if self.region is None:
            return {**when, "background": changes}
        return {**when, "region": self.region, **changes}


@dataclass(frozen=True)
class StreamPlan:
    """Frames over time.

    Attributes:
        frames: how many; a time, where the scene gives seconds and only the input knows the times of the
            frames; None: as many as the input has.
        fps: frames per second; None: the input's frames and times.
        input: the file, folder or pattern of the input frames; None: there are none.
        strength: how strongly input frames are repainted, above 0, at most 1; None: the sampler's steps are
            taken unchanged.
        similarity: the filter that skips input frames; None: none is skipped.
        timeline: the keyframes in the order of the scene.
    """

    frames: int | Seconds | None
    fps: float | None
    loop: int
    buffer: int
    mode: Literal["batch", "sequential"]
    autoflush: bool
    variation: float
    input: Reference | None
    fit: Fit
    strength: float | None
    similarity: Similarity | None
    timeline: tuple[KeyframePlan, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a scene's section."""
        frames = self.frames
        return {
            **vars(self),
            "frames": frames if isinstance(frames, int) else None,
            "seconds": frames.value if isinstance(frames, Seconds) else None,
            "input": scene_value(self.input),
            "similarity": scene_value(self.similarity),
            "timeline": [keyframe.to_dict() for keyframe in self.timeline],
        }


def resolve_stream(stream: Stream, context: Context, *, has_indices: bool) -> StreamPlan:
    """Fill in every default; `has_indices` tells whether the scene gives the sampler's."""
    fps = stream.fps or (None if stream.input else DEFAULT_FPS)
    times = None if fps is None else EvenTimes.of(fps)
    follows_schedule = has_indices or not stream.input
    return StreamPlan(
        frames=_frames(stream, times),
        fps=fps,
        loop=stream.loop,
        buffer=stream.buffer,
        mode=stream.mode,
        autoflush=stream.autoflush,
        variation=stream.variation,
        input=stream.input.at(context.base_dir) if stream.input else None,
        fit=stream.fit,
        strength=stream.strength or (None if follows_schedule else DEFAULT_STRENGTH),
        similarity=stream.similarity,
        timeline=tuple(_keyframe(keyframe, times, context) for keyframe in stream.timeline),
    )


def parse_moment(at: int | str) -> int | Seconds:
    """Read a keyframe's `at` as a scene writes it: a frame, or a time such as `1.5s`."""
    return at if isinstance(at, int) else Seconds(float(at.removesuffix("s")))


def frame_of(at: int | Seconds, times: FrameTimes) -> int:
    """Return the frame of a moment."""
    return at if isinstance(at, int) else times.nearest(at.value)


def frames_in(seconds: Seconds, times: FrameTimes) -> int:
    """Return how many frames a stream of that length has: one at least."""
    return max(1, times.nearest(seconds.value))


def _frames(stream: Stream, times: FrameTimes | None) -> int | Seconds | None:
    if stream.frames:
        return stream.frames
    if stream.seconds:
        length = Seconds(stream.seconds)
        return length if times is None else frames_in(length, times)
    return None if stream.input else DEFAULT_FRAMES


def _keyframe(keyframe: Keyframe, times: FrameTimes | None, context: Context) -> KeyframePlan:
    at = parse_moment(keyframe.at)
    if keyframe.region is None:
        background = keyframe.background or BackgroundChange()  # which a scene's rules ask for
        changes = plan_values(background, BACKGROUND_KEYS, context)
    else:
        changes = plan_values(keyframe, REGION_KEYS, context)
    return KeyframePlan(
        at=at if times is None else frame_of(at, times),
        ease=keyframe.ease,
        region=keyframe.region,
        changes=tuple((key, value) for key, value in changes.items() if value is not None),
    )
