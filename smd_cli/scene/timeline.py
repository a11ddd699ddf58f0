"""The state of a scene at each frame of a stream: what its timeline has made of it by then.

A show depends on the plan and the frame alone, and equal ones compare equal: what has been prepared for one
serves the other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from smd_cli.scene.masks import MaskSpec, can_ease
from smd_cli.scene.resolve import Plan, RegionPlan
from smd_cli.scene.stream import Ease
from smd_cli.scene.stream_plan import BackgroundKeyframe, KeyframePlan, RegionKeyframe, frame_of

T = TypeVar("T")


@dataclass(frozen=True)
class Blend(Generic[T]):
    """A value on its way: `before` at share 0, `after` at share 1.

    Where it rests, both are the same and the share is 1.
    """

    before: T
    after: T
    share: float


@dataclass(frozen=True)
class RegionState:
    """A region at a frame; `shift` is x, y in shares of the canvas, `mask_std` in px."""

    name: str
    prompt: Blend[str]
    negative_prompt: Blend[str]
    prompt_strength: float
    mask: MaskSpec
    shift: tuple[float, float]
    mask_strength: float
    mask_std: float


@dataclass(frozen=True)
class BackgroundState:
    """What is behind the regions at a frame; no picture is the word `none`."""

    prompt: Blend[str]
    negative_prompt: Blend[str]
    image: Path | Literal["none"]


@dataclass(frozen=True)
class Show:
    """A scene at a frame."""

    background: BackgroundState
    regions: tuple[RegionState, ...]


def show_at(plan: Plan, frame: int, *, fps: float) -> Show:
    """The scene at a frame of its stream, which has so many frames a second."""
    behind, regions = _tracks(plan, fps)
    return Show(
        background=BackgroundState(
            prompt=behind.prompt.at(frame),
            negative_prompt=behind.negative_prompt.at(frame),
            image=behind.image.at(frame).before,
        ),
        regions=tuple(_region_at(region, frame) for region in regions),
    )


def opening(plan: Plan) -> Show:
    """The scene as it stands, whatever its timeline makes of it."""
    return show_at(replace(plan, stream=replace(plan.stream, timeline=())), 0, fps=1.0)


def plan_at(plan: Plan, show: Show) -> Plan:
    """A plan with a show for its scene. Of a prompt on its way, which a plan cannot hold, it has the end."""
    behind = show.background
    background = replace(
        plan.background,
        prompt=behind.prompt.after,
        negative_prompt=behind.negative_prompt.after,
        image=behind.image,
    )
    texts = ("prompt", "negative_prompt")
    regions = tuple(
        RegionPlan(**{**vars(state), **{text: getattr(state, text).after for text in texts}})
        for state in show.regions
    )
    return replace(plan, background=background, regions=regions)


@dataclass(frozen=True)
class _Track(Generic[T]):
    """A value over time: `values[i]` from the rising `frames[i]` on, got to as `eases[i]` says."""

    frames: tuple[int, ...]
    values: tuple[T, ...]
    eases: tuple[Ease, ...]

    def at(self, frame: int) -> Blend[T]:
        """The value at a frame, or what it is between."""
        later = bisect_right(self.frames, frame)
        before = self.values[later - 1]
        if later == len(self.frames) or self.eases[later] == "none" or self.values[later] == before:
            return Blend(before, before, 1.0)
        share = (frame - self.frames[later - 1]) / (self.frames[later] - self.frames[later - 1])
        if self.eases[later] == "smooth":
            share = share * share * (3 - 2 * share)
        return Blend(before, self.values[later], share) if share else Blend(before, before, 1.0)


@dataclass(frozen=True)
class _RegionTracks:
    name: str
    prompt: _Track[str]
    negative_prompt: _Track[str]
    prompt_strength: _Track[float]
    mask: _Track[MaskSpec]
    shift: _Track[tuple[float, float]]
    mask_strength: _Track[float]
    mask_std: _Track[float]


@dataclass(frozen=True)
class _BackgroundTracks:
    prompt: _Track[str]
    negative_prompt: _Track[str]
    image: _Track[Path | Literal["none"]]


@lru_cache(maxsize=4)
def _tracks(plan: Plan, fps: float) -> tuple[_BackgroundTracks, tuple[_RegionTracks, ...]]:
    timed = [(frame_of(keyframe.at, fps), keyframe) for keyframe in plan.stream.timeline]
    timed.sort(key=lambda pair: pair[0])
    behind, of_background = (
        plan.background,
        [pair for pair in timed if isinstance(pair[1], BackgroundKeyframe)],
    )
    return _BackgroundTracks(
        prompt=_track(of_background, "prompt", behind.prompt),
        negative_prompt=_track(of_background, "negative_prompt", behind.negative_prompt),
        image=_track(of_background, "image", behind.image),
    ), tuple(_region_tracks(region, timed) for region in plan.regions)


def _region_tracks(region: RegionPlan, timed: Iterable[tuple[int, KeyframePlan]]) -> _RegionTracks:
    own = [pair for pair in timed if isinstance(pair[1], RegionKeyframe) and pair[1].region == region.name]
    return _RegionTracks(
        name=region.name,
        prompt=_track(own, "prompt", region.prompt),
        negative_prompt=_track(own, "negative_prompt", region.negative_prompt),
        prompt_strength=_track(own, "prompt_strength", region.prompt_strength),
        mask=_track(own, "mask", region.mask),
        shift=_track(own, "shift", region.shift),
        mask_strength=_track(own, "mask_strength", region.mask_strength),
        mask_std=_track(own, "mask_std", region.mask_std),
    )


def _track(timed: Sequence[tuple[int, KeyframePlan]], key: str, start: T) -> _Track[T]:
    """What the keyframes, in order, make of a value that is `start` at frame 0."""
    points = [(0, start, "none")]
    points += [
        (frame, value, keyframe.ease)
        for frame, keyframe in timed
        if (value := getattr(keyframe, key)) is not None
    ]
    frames, values, eases = zip(*points, strict=True)
    return _Track(frames, values, eases)


def _region_at(tracks: _RegionTracks, frame: int) -> RegionState:
    return RegionState(
        name=tracks.name,
        prompt=tracks.prompt.at(frame),
        negative_prompt=tracks.negative_prompt.at(frame),
        prompt_strength=_eased(tracks.prompt_strength.at(frame)),
        mask=_eased_mask(tracks.mask.at(frame)),
        shift=_eased(tracks.shift.at(frame)),
        mask_strength=_eased(tracks.mask_strength.at(frame)),
        mask_std=_eased(tracks.mask_std.at(frame)),
    )


def _eased(blend: Blend[T]) -> T:
    """A number, or every number of nested tuples, between its two ends."""
    between: T = _between(blend.before, blend.after, blend.share)
    return between


def _between(before: Any, after: Any, share: float) -> Any:  # noqa: ANN401 - numbers in tuples of any shape
    if before == after:
        return after
    if isinstance(before, tuple):
        return tuple(_between(*ends, share) for ends in zip(before, after, strict=True))
    return before + (after - before) * share


def _eased_mask(blend: Blend[MaskSpec]) -> MaskSpec:
    """The shape between two; the one before where there are none."""
    before, after = blend.before, blend.after
    if before == after or not can_ease(before, after):
        return before
    shape = next(iter(type(before).model_fields))
    numbers = _between(getattr(before, shape), getattr(after, shape), blend.share)
    return before.model_copy(update={shape: numbers})
