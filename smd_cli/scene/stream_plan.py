"""The plan of a stream: its section with every default filled in and every path absolute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smd_cli.scene.masks import MaskSpec, mask_data
from smd_cli.scene.paths import absolute, absolute_mask
from smd_cli.scene.stream import (
    DEFAULT_FPS,
    DEFAULT_FRAMES,
    DEFAULT_STRENGTH,
    BackgroundChange,
    Ease,
    Keyframe,
    Similarity,
    Stream,
)
from smd_cli.scene.values import join_prompts

Rate = float | Literal["input"]  # frames a second, or as fast as what comes in


@dataclass(frozen=True)
class Seconds:
    """A time that becomes a frame once the frames a second are known."""

    value: float

    def __str__(self) -> str:
        return f"{self.value}s"

    def frame(self, fps: float) -> int:
        """The frame at this time."""
        return round(self.value * fps)


@dataclass(frozen=True)
class RegionKeyframe:
    """What a region has from `at` on; None: what it had before. `shift` is x, y in shares of the canvas."""

    at: int | Seconds
    ease: Ease
    region: str
    prompt: str | None
    negative_prompt: str | None
    prompt_strength: float | None
    mask: MaskSpec | None
    mask_strength: float | None
    mask_std: float | None
    shift: tuple[float, float] | None


@dataclass(frozen=True)
class BackgroundKeyframe:
    """What the background has from `at` on; None: what it had before."""

    at: int | Seconds
    ease: Ease
    prompt: str | None
    negative_prompt: str | None
    image: Path | None


KeyframePlan = RegionKeyframe | BackgroundKeyframe


@dataclass(frozen=True)
class StreamPlan:
    """Frames over time. `input` is an absolute path or pattern, or the word `none`.

    `frames` and `fps` can be the word `input`: as many, as fast as what comes in. `frames` is a time where
    the scene gives seconds and the input its frames a second; so is a keyframe's `at`, in the order of the
    scene. `strength` is how far input frames are repainted, or the word `none`: the schedule as it is.
    """

    frames: int | Seconds | Literal["input"]
    fps: Rate
    loop: int
    buffer: int
    mode: Literal["batch", "sequential"]
    autoflush: bool
    variation: float
    input: str
    fit: Literal["cover", "contain", "stretch"]
    strength: float | Literal["none"]
    similarity: Similarity | Literal["none"]
    timeline: tuple[KeyframePlan, ...]

    def to_dict(self) -> dict[str, Any]:
        """The plan as a scene's section."""
        frames, similarity = self.frames, self.similarity
        return {
            **vars(self),
            "frames": frames if isinstance(frames, int) else None,
            "seconds": frames.value if isinstance(frames, Seconds) else None,
            "fps": None if self.fps == "input" else self.fps,
            "input": None if self.input == "none" else self.input,
            "strength": None if self.strength == "none" else self.strength,
            "similarity": None if similarity == "none" else similarity.model_dump(),
            "timeline": [_keyframe_data(keyframe) for keyframe in self.timeline],
        }


def resolve_stream(stream: Stream, base_dir: Path, negative_prefix: str, *, has_indices: bool) -> StreamPlan:
    """Fill in every default; `has_indices` tells whether the scene gives the sampler's."""
    fps: Rate = stream.fps or ("input" if stream.input else DEFAULT_FPS)
    strength: float | Literal["none"] = stream.strength or (
        "none" if has_indices or not stream.input else DEFAULT_STRENGTH
    )
    return StreamPlan(
        frames=_frames(stream, fps),
        fps=fps,
        loop=stream.loop,
        buffer=stream.buffer,
        mode=stream.mode,
        autoflush=stream.autoflush,
        variation=stream.variation,
        input=str(absolute(stream.input, base_dir)) if stream.input else "none",
        fit=stream.fit,
        strength=strength,
        similarity=stream.similarity or "none",
        timeline=tuple(_keyframe(keyframe, fps, base_dir, negative_prefix) for keyframe in stream.timeline),
    )


def moment(at: int | str) -> int | Seconds:
    """A keyframe's `at` as a scene writes it: a frame, or a time such as `1.5s`."""
    return at if isinstance(at, int) else Seconds(float(at.removesuffix("s")))


def frame_of(at: int | Seconds, fps: float) -> int:
    """The frame of a moment."""
    return at if isinstance(at, int) else at.frame(fps)


def frames_in(seconds: Seconds, fps: float) -> int:
    """How many frames a stream of that length has: one at least."""
    return max(1, seconds.frame(fps))


def _frames(stream: Stream, fps: Rate) -> int | Seconds | Literal["input"]:
    if stream.frames:
        return stream.frames
    if stream.seconds:
        length = Seconds(stream.seconds)
        return length if fps == "input" else frames_in(length, fps)
    return "input" if stream.input else DEFAULT_FRAMES


def _keyframe(keyframe: Keyframe, fps: Rate, base_dir: Path, negative_prefix: str) -> KeyframePlan:
    at = moment(keyframe.at) if fps == "input" else frame_of(moment(keyframe.at), fps)
    if keyframe.region is None:
        change = keyframe.background or BackgroundChange()  # which a scene's rules ask for
        return BackgroundKeyframe(
            at=at,
            ease=keyframe.ease,
            prompt=_stripped(change.prompt),
            negative_prompt=_joined(negative_prefix, change.negative_prompt),
            image=absolute(change.image, base_dir) if change.image else None,
        )
    return RegionKeyframe(
        at=at,
        ease=keyframe.ease,
        region=keyframe.region,
        prompt=_stripped(keyframe.prompt),
        negative_prompt=_joined(negative_prefix, keyframe.negative_prompt),
        prompt_strength=keyframe.prompt_strength,
        mask=absolute_mask(keyframe.mask, base_dir) if keyframe.mask else None,
        mask_strength=keyframe.mask_strength,
        mask_std=keyframe.mask_std,
        shift=(shift[0], shift[1]) if (shift := keyframe.shift) else None,
    )


def _stripped(prompt: str | None) -> str | None:
    return None if prompt is None else prompt.strip()


def _joined(prefix: str, prompt: str | None) -> str | None:
    return None if prompt is None else join_prompts(prefix, prompt)


def _keyframe_data(keyframe: KeyframePlan) -> dict[str, Any]:
    """A keyframe as a scene's, with what it changes alone."""
    at = keyframe.at if isinstance(keyframe.at, int) else str(keyframe.at)
    changes = {key: value for key, value in vars(keyframe).items() if value is not None}
    if isinstance(keyframe, RegionKeyframe):
        mask = {"mask": mask_data(keyframe.mask)} if keyframe.mask else {}
        shift = {"shift": list(keyframe.shift)} if keyframe.shift else {}
        return {**changes, "at": at, **mask, **shift}
    image = {"image": str(keyframe.image)} if keyframe.image else {}
    background = {key: changes[key] for key in ("prompt", "negative_prompt") if key in changes}
    return {"at": at, "ease": keyframe.ease, "background": {**background, **image}}
