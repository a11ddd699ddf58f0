"""The rules of a scene's section `stream` that span several keys."""

from __future__ import annotations

from collections.abc import Iterator

from smd_cli.scene.edits import BACKGROUND_KEYS, REGION_KEYS, Edit, misfits
from smd_cli.scene.explain import Problem, did_you_mean, short
from smd_cli.scene.given import WRONG, Data, background_of, given, regions_of
from smd_cli.scene.stream import DEFAULT_FPS, DEFAULT_FRAMES, MAX_FRAMES
from smd_cli.scene.stream_plan import Rate, Seconds, frames_in, moment


def stream_rules(data: Data) -> Iterator[Problem]:
    """Every broken rule of the section."""
    yield from _one_length(data)
    yield from _repaints_one_thing(data)
    for index, keyframe in enumerate(given(data, "stream", "timeline", default=())):
        if keyframe is not WRONG:
            yield from _one_target(keyframe, index)
            yield from _a_known_region(keyframe, index, data)
    resting = [name for _, region in regions_of(data) if (name := given(region, "name")) and _rests(region)]
    yield from misfits(list(_edits(data)), resting, _fps(data), _frames(data))


def _fps(data: Data) -> Rate:
    """The frames a second, as far as the scene says them."""
    stream = given(data, "stream", default={})
    says = stream.get("fps")
    if says is None and not stream.get("input"):
        return DEFAULT_FPS
    return "input" if says is None or says is WRONG else float(says)


def _frames(data: Data) -> int | None:
    """How many frames there are, as far as the scene says it."""
    stream, fps = given(data, "stream", default={}), _fps(data)
    frames, seconds = stream.get("frames"), stream.get("seconds")
    if frames is WRONG or seconds is WRONG:
        return None
    if frames:
        return int(frames)
    if seconds:
        return None if fps == "input" else frames_in(Seconds(seconds), fps)
    return None if stream.get("input") else DEFAULT_FRAMES


def _one_length(data: Data) -> Iterator[Problem]:
    frames, seconds, fps = given(data, "stream", "frames"), given(data, "stream", "seconds"), _fps(data)
    if frames and seconds:
        yield Problem(("stream", "seconds"), "does not go with frames: give one of them")
    elif seconds and fps != "input" and (most := frames_in(Seconds(seconds), fps)) > MAX_FRAMES:
        yield Problem(
            ("stream", "seconds"),
            f"{seconds:g} at {fps:g} frames a second are {most:,} frames; "
            f"at most {MAX_FRAMES:,} are possible",
        )


def _repaints_one_thing(data: Data) -> Iterator[Problem]:
    stream, behind = given(data, "stream", default={}), background_of(data)
    if stream.get("strength") and not stream.get("input"):
        yield Problem(("stream", "strength"), "is about input frames: give stream.input")
    repaints_picture = behind is not WRONG and behind.get("strength")
    if given(data, "task") == "stream" and stream.get("input") and repaints_picture:
        yield Problem(
            ("background", "strength"),
            "does not go with stream.input, whose frames are what is repainted: give stream.strength",
        )


def _one_target(keyframe: Data, index: int) -> Iterator[Problem]:
    place, behind = ("stream", "timeline", index), keyframe.get("background")
    of_region = [key for key in REGION_KEYS if keyframe.get(key) is not None]
    if WRONG in keyframe.values():
        return  # a typo may hide what seems to be missing
    if keyframe.get("region") is None and behind is None:
        yield Problem(place, "names neither a region nor the background; a keyframe is about one of them")
    elif behind is None and not of_region:
        yield Problem(place, f"changes nothing: give {', '.join(REGION_KEYS[:-1])} or {REGION_KEYS[-1]}")
    elif behind is not None and keyframe.get("region") is not None:
        yield Problem((*place, "background"), "does not go with region: a keyframe is about one of them")
    elif behind is not None:
        for key in of_region:
            way_out = f"; write background: {{{key}: …}}" if key in BACKGROUND_KEYS else ""
            yield Problem((*place, key), f"is about a region, not the background{way_out}")
        if not any(behind.get(key) is not None for key in behind):
            yield Problem((*place, "background"), "changes nothing: give prompt, negative_prompt or image")


def _a_known_region(keyframe: Data, index: int, data: Data) -> Iterator[Problem]:
    names = [given(region, "name") for _, region in regions_of(data)]
    all_named = data.get("regions") is not WRONG and None not in names
    region = given(keyframe, "region")
    if all_named and region is not None and region not in names:
        known = did_you_mean(region, names)
        yield Problem(("stream", "timeline", index, "region"), f"no region is named {short(region)}; {known}")


def _edits(data: Data) -> Iterator[Edit]:
    """The keyframes of which time and target are right."""
    for index, keyframe in enumerate(given(data, "stream", "timeline", default=())):
        at, region, behind = (given(keyframe, key) for key in ("at", "region", "background"))
        if at is None or (region is None) == (behind is None):
            continue
        where, keys = (keyframe, REGION_KEYS) if region is not None else (behind, BACKGROUND_KEYS)
        named = tuple(key for key in keys if given(where, key) is not None)
        rests = _rests(keyframe) if "mask" in named else None
        yield Edit(index, moment(at), region, named, rests)


def _rests(where: Data) -> bool:
    """Tell whether a region or keyframe makes its mask the rest."""
    return bool(given(where, "mask") == "rest")
