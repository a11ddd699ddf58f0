"""Conflicts in a timeline: keyframes that set the same value at the same frame, a second `rest`.

Some show in the scene alone, the others only once the times of the input's frames are known; so do keyframes
that a stream is too short for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from smd_cli.scene.explain import Problem
from smd_cli.scene.frame_times import FrameTimes
from smd_cli.scene.mask_specs import RestMask
from smd_cli.scene.resolve import Plan
from smd_cli.scene.stream_plan import Seconds, frame_of
from smd_cli.scene.tree import Loc


@dataclass(frozen=True)
class Edit:
    """What the conflicts of a keyframe follow from.

    Attributes:
        index: its place in the timeline.
        at: its frame or time.
        region: the region that it changes; None: the background.
        keys: the keys that it sets.
        sets_rest: whether its mask is `rest`; None: it sets no mask.
    """

    index: int
    at: int | Seconds
    region: str | None
    keys: tuple[str, ...]
    sets_rest: bool | None

    def loc(self, *keys: str) -> Loc:
        """Return the place of one of its values in a scene."""
        return "stream", "timeline", self.index, *keys


def conflicts(edits: Sequence[Edit], resting: Collection[str], times: FrameTimes | None) -> list[Problem]:
    """Find every conflict; those that depend on the times of the frames are left out where these are None.

    `resting` names the regions whose mask is `rest` at first.
    """
    moments = [(edit.at if times is None else frame_of(edit.at, times), edit) for edit in edits]
    timed = [(at, edit) for at, edit in moments if isinstance(at, int)]
    found = [*_set_twice(moments)]
    if len(timed) == len(edits):
        found += _second_rests(timed, set(resting))
    return found


def conflicts_with_input(plan: Plan, times: FrameTimes) -> list[Problem]:
    """Find the conflicts in a plan's timeline once the times of its frames are known."""
    edits = []
    for index, keyframe in enumerate(plan.stream.timeline):
        mask = keyframe.get("mask")
        edits.append(
            Edit(
                index=index,
                at=keyframe.at,
                region=keyframe.region,
                keys=tuple(key for key, _ in keyframe.changes),
                sets_rest=None if mask is None else isinstance(mask, RestMask),
            )
        )
    resting = [region.name for region in plan.regions if isinstance(region.mask, RestMask)]
    return conflicts(edits, resting, times)


def past_the_end(plan: Plan, times: FrameTimes, frames: int) -> Problem | None:
    """Tell that a stream of so many frames is too short for some of its keyframes, naming the first one.

    That is no mistake where the stream is a preview; values that are eased towards one of them still are.
    """
    timed = [(frame_of(keyframe.at, times), index) for index, keyframe in enumerate(plan.stream.timeline)]
    late = [(frame, index) for frame, index in timed if frame >= frames]
    if not late:
        return None
    frame, index = min(late)
    others = {1: "", 2: "; nor is another keyframe"}.get(len(late), f"; nor are {len(late) - 1} others")
    text = f"frame {frame} is past the last frame, {frames - 1}, and not reached{others}"
    return Problem(("stream", "timeline", index, "at"), text)


def _set_twice(moments: Sequence[tuple[int | Seconds, Edit]]) -> Iterator[Problem]:
    first: dict[tuple[int | Seconds, str | None, str], int] = {}
    for at, edit in moments:
        for key in edit.keys:
            other = first.setdefault((at, edit.region, key), edit.index)
            if other != edit.index:
                when = f"frame {at}" if isinstance(at, int) else str(at)
                yield Problem(
                    edit.loc(*([] if edit.region else ["background"]), key),
                    f"fights with timeline[{other}], which sets it at {when} too",
                )


def _second_rests(timed: Sequence[tuple[int, Edit]], resting: set[str]) -> Iterator[Problem]:
    # at the same frame, a region that gives up `rest` goes first
    in_order = sorted(timed, key=lambda pair: (pair[0], pair[1].sets_rest is True))
    for frame, edit in in_order:
        if edit.region is None or edit.sets_rest is None:
            continue
        if not edit.sets_rest:
            resting.discard(edit.region)
        elif others := resting - {edit.region}:
            yield Problem(
                edit.loc("mask"), f"only one region can be the rest; at frame {frame}, {min(others)!r} is"
            )
        else:
            resting.add(edit.region)
