"""What the keyframes of a timeline may not do: come too late, or get in each other's way.

Some of it shows in the scene, the rest only when the input has told its frames a second and its length.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from smd_cli.scene.explain import Problem
from smd_cli.scene.masks import RestMask
from smd_cli.scene.resolve import Plan
from smd_cli.scene.stream_plan import Rate, RegionKeyframe, Seconds, frame_of
from smd_cli.scene.tree import Loc

REGION_KEYS = (
    "prompt",
    "negative_prompt",
    "prompt_strength",
    "mask",
    "mask_strength",
    "mask_std",
    "shift",
)
BACKGROUND_KEYS = ("prompt", "negative_prompt", "image")


@dataclass(frozen=True)
class Edit:
    """One keyframe: its index in the timeline, the region it is about (None: the background), what it sets.

    `rests` tells whether its mask is `rest`; None where it sets no mask.
    """

    index: int
    at: int | Seconds
    region: str | None
    keys: tuple[str, ...]
    rests: bool | None

    def loc(self, *keys: str) -> Loc:
        """The place of one of its values in a scene."""
        return "stream", "timeline", self.index, *keys


def misfits(edits: Sequence[Edit], resting: Collection[str], fps: Rate, frames: int | None) -> list[Problem]:
    """Every edit that does not fit; what depends on numbers that are not known yet is left out.

    `resting` names the regions that are the rest at first, `frames` is the stream's length where it is known.
    """
    moments = [(edit.at if fps == "input" else frame_of(edit.at, fps), edit) for edit in edits]
    timed = [(at, edit) for at, edit in moments if isinstance(at, int)]
    found = [*_fights(moments)]
    if frames is not None:
        found += _late(timed, frames)
    if len(timed) == len(edits):
        found += _two_rests(timed, set(resting))
    return found


def misfits_with_input(plan: Plan, *, fps: float, frames: int) -> list[Problem]:
    """What of a plan's timeline does not fit now that the frames a second and the length are known."""
    edits = []
    for index, keyframe in enumerate(plan.stream.timeline):
        about_region = isinstance(keyframe, RegionKeyframe)
        keys = REGION_KEYS if about_region else BACKGROUND_KEYS
        edits.append(
            Edit(
                index=index,
                at=keyframe.at,
                region=keyframe.region if isinstance(keyframe, RegionKeyframe) else None,
                keys=tuple(key for key in keys if getattr(keyframe, key) is not None),
                rests=isinstance(mask, RestMask) if (mask := getattr(keyframe, "mask", None)) else None,
            )
        )
    resting = [region.name for region in plan.regions if isinstance(region.mask, RestMask)]
    return misfits(edits, resting, fps, frames)


def _late(timed: Sequence[tuple[int, Edit]], frames: int) -> Iterator[Problem]:
    for frame, edit in timed:
        if frame >= frames:
            said = f"{edit.at}, frame {frame}," if isinstance(edit.at, Seconds) else str(frame)
            yield Problem(edit.loc("at"), f"{said} is past the last frame, {frames - 1}")


def _fights(edits: Sequence[tuple[int | Seconds, Edit]]) -> Iterator[Problem]:
    first: dict[tuple[int | Seconds, str | None, str], int] = {}
    for at, edit in edits:
        for key in edit.keys:
            other = first.setdefault((at, edit.region, key), edit.index)
            if other != edit.index:
                when = f"frame {at}" if isinstance(at, int) else str(at)
                yield Problem(
                    edit.loc(*([] if edit.region else ["background"]), key),
                    f"fights with timeline[{other}], which sets it at {when} too",
                )


def _two_rests(timed: Sequence[tuple[int, Edit]], resting: set[str]) -> Iterator[Problem]:
    in_order = sorted(
        timed, key=lambda pair: (pair[0], pair[1].rests is True)
    )  # who stops resting goes first
    for frame, edit in in_order:
        if edit.region is None or edit.rests is None:
            continue
        if not edit.rests:
            resting.discard(edit.region)
        elif others := resting - {edit.region}:
            yield Problem(
                edit.loc("mask"), f"only one region can be the rest; at frame {frame}, {min(others)!r} is"
            )
        else:
            resting.add(edit.region)
