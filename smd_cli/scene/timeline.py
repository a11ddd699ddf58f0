"""The scene at each frame of a stream: what its keyframes have made of it by then."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from smd_cli.scene.background import BackgroundPlan
from smd_cli.scene.frame_times import FrameTimes
from smd_cli.scene.loras import Lora, eased_loras
from smd_cli.scene.mask_specs import MaskSpec, can_ease
from smd_cli.scene.prompts import PromptMix
from smd_cli.scene.region import RegionPlan
from smd_cli.scene.resolve import Plan
from smd_cli.scene.stream_plan import frame_of
from smd_cli.scene.stream_section import Ease
from smd_cli.scene.tree import Loc


def plan_at(plan: Plan, frame: int, times: FrameTimes) -> Plan:
    """Return the plan of the scene at a frame of its stream, whose frames have these times.

    Values are eased evenly over time, however long each frame lasts. The plan's prompts are
    mixes meanwhile. It has no timeline: where nothing changes between two frames, their plans are equal, and
    what has been prepared for one serves the other.
    """
    changes: dict[str | None, dict[str, Any]] = {}
    for (region, key), points in _tracks(plan, times).items():
        changes.setdefault(region, {})[key] = _value_at(points, frame, times)
    return replace(
        plan,
        background=replace(plan.background, **changes.pop(None, {})),
        regions=tuple(replace(region, **changes.get(region.name, {})) for region in plan.regions),
        stream=replace(plan.stream, timeline=()),
    )


def written_at(plan: Plan, loc: Loc, frame: int, times: FrameTimes) -> Loc:
    """Return where what a key has at a frame is written: the last keyframe that changed it, or `loc`.

    `loc` is a key of a region or of the background, such as ("regions", 1, "mask").
    """
    match loc:
        case ("regions", int(index), str(key)):
            region: str | None = plan.regions[index].name
        case ("background", str(key)):
            region = None
        case _:
            return loc
    changed = [
        (frame_of(keyframe.at, times), number)
        for number, keyframe in enumerate(plan.stream.timeline)
        if keyframe.region == region and keyframe.get(key) is not None
    ]
    earlier = [change for change in changed if change[0] <= frame]
    return ("stream", "timeline", max(earlier)[1]) if earlier else loc


@dataclass(frozen=True)
class _Point:
    """A value that a key has from `frame` on, reached from the point before as `ease` says."""

    frame: int
    value: Any
    ease: Ease


_Key = tuple[str | None, str]  # the name of a region, or None for the background; a key of it


@lru_cache(maxsize=4)
def _tracks(plan: Plan, times: FrameTimes) -> dict[_Key, tuple[_Point, ...]]:
    """Return the points of each key that a keyframe changes, by frame, the first at frame 0."""
    parts: dict[str | None, BackgroundPlan | RegionPlan] = {None: plan.background}
    parts |= {region.name: region for region in plan.regions}
    tracks: dict[_Key, tuple[_Point, ...]] = {}
    timed = [(frame_of(keyframe.at, times), keyframe) for keyframe in plan.stream.timeline]
    for frame, keyframe in sorted(timed, key=lambda pair: pair[0]):
        for key, value in keyframe.changes:
            start = _Point(0, getattr(parts[keyframe.region], key), "none")
            before = tracks.get((keyframe.region, key), (start,))
            tracks[keyframe.region, key] = (*before, _Point(frame, value, keyframe.ease))
    return tracks


def _value_at(points: Sequence[_Point], frame: int, times: FrameTimes) -> Any:  # noqa: ANN401 - a value of any key
    """Return the value at a frame."""
    later = bisect_right(points, frame, key=lambda point: point.frame)
    before = points[later - 1]
    if later == len(points) or points[later].ease == "none" or points[later].value == before.value:
        return before.value
    after = points[later]
    start = times.start(before.frame)
    share = (times.start(frame) - start) / (times.start(after.frame) - start)
    if after.ease == "smooth":
        share = share * share * (3 - 2 * share)
    return _eased(before.value, after.value, share) if share else before.value


def _eased(before: Any, after: Any, share: float) -> Any:  # noqa: ANN401 - a value of any key
    """Return the value between two, or the first where there is none between them: of pictures, say."""
    if isinstance(before, PromptMix):
        return before.lerp(after, share)
    if isinstance(before, tuple) and any(isinstance(each, Lora) for each in (*before, *after)):
        return eased_loras(before, after, share)
    if type(before) in (int, float, tuple):  # not bool
        return _between(before, after, share)
    if isinstance(before, MaskSpec) and can_ease(before, after):
        shape = next(iter(type(before).model_fields))
        return before.model_copy(
            update={shape: _between(getattr(before, shape), getattr(after, shape), share)}
        )
    return before


def _between(before: Any, after: Any, share: float) -> Any:  # noqa: ANN401 - numbers in tuples of any shape
    """Interpolate numbers, or every number of nested tuples."""
    if before == after:
        return after
    if isinstance(before, tuple):
        return tuple(_between(*ends, share) for ends in zip(before, after, strict=True))
    return before + (after - before) * share
