"""The rules of a scene's section `stream` that span several keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smd_cli.scene.background import BACKGROUND_KEYS
from smd_cli.scene.edits import Edit, conflicts
from smd_cli.scene.explain import Problem, did_you_mean, quoted
from smd_cli.scene.frame_times import EvenTimes
from smd_cli.scene.mask_specs import REST
from smd_cli.scene.region import REGION_KEYS
from smd_cli.scene.seeds import parse_seeds
from smd_cli.scene.stream_plan import Seconds, frames_in, parse_moment
from smd_cli.scene.stream_section import DEFAULT_FPS, MAX_FRAMES
from smd_cli.scene.valid import INVALID, Data, background_of, items_of, regions_of, valid_value


def stream_rules(data: Data) -> Iterator[Problem]:
    """Yield a problem for every broken rule of the section."""
    yield from _has_one_seed(data)
    yield from _has_one_length(data)
    yield from _repaints_one_thing(data)
    for index, keyframe in items_of(data, "stream", "timeline"):
        if keyframe is not INVALID:
            yield from _has_one_target(keyframe, index)
            yield from _names_a_region(keyframe, index, data)
    named = [(valid_value(region, "name"), region) for _, region in regions_of(data)]
    resting = [name for name, region in named if name and _sets_rest(region)]
    fps = _fps(data)
    yield from conflicts(list(_edits(data)), resting, None if fps is None else EvenTimes.of(fps))


def _fps(data: Data) -> float | None:
    """Return the frames per second, or None where the scene does not tell them."""
    stream = valid_value(data, "stream", default={})
    fps = stream.get("fps")
    if fps is None and not stream.get("input"):
        return DEFAULT_FPS
    return None if fps is None or fps is INVALID else float(fps)


def _has_one_seed(data: Data) -> Iterator[Problem]:
    seeds = valid_value(data, "seed")
    if valid_value(data, "task") == "stream" and seeds is not None and (count := len(parse_seeds(seeds))) > 1:
        yield Problem(("seed",), f"a stream has one seed, and these are {count:,}")


def _has_one_length(data: Data) -> Iterator[Problem]:
    frames, seconds = valid_value(data, "stream", "frames"), valid_value(data, "stream", "seconds")
    fps = _fps(data)
    if frames and seconds:
        yield Problem(("stream", "seconds"), "does not go with frames: give one of them")
    elif seconds and fps and (count := frames_in(Seconds(seconds), EvenTimes.of(fps))) > MAX_FRAMES:
        yield Problem(
            ("stream", "seconds"),
            f"{seconds:g} at {fps:g} frames a second are {count:,} frames; "
            f"at most {MAX_FRAMES:,} are possible",
        )


def _repaints_one_thing(data: Data) -> Iterator[Problem]:
    stream, background = valid_value(data, "stream", default={}), background_of(data)
    if stream.get("strength") and not stream.get("input"):
        yield Problem(("stream", "strength"), "is about input frames: give stream.input")
    repaints_picture = background is not INVALID and background.get("strength")
    if valid_value(data, "task") == "stream" and stream.get("input") and repaints_picture:
        yield Problem(
            ("background", "strength"),
            "does not go with stream.input, whose frames are what is repainted: give stream.strength",
        )


def _has_one_target(keyframe: Data, index: int) -> Iterator[Problem]:
    place, background = ("stream", "timeline", index), keyframe.get("background")
    of_region = [key for key in REGION_KEYS if keyframe.get(key) is not None]
    if INVALID in keyframe.values():
        return  # a typo may hide what seems to be missing
    if keyframe.get("region") is None and background is None:
        yield Problem(place, "names neither a region nor the background; a keyframe is about one of them")
    elif background is None and not of_region:
        yield Problem(place, f"changes nothing: give {_one_of(REGION_KEYS)}")
    elif background is not None and keyframe.get("region") is not None:
        yield Problem((*place, "background"), "does not go with region: a keyframe is about one of them")
    elif background is not None:
        for key in of_region:
            way_out = f"; write background: {{{key}: …}}" if key in BACKGROUND_KEYS else ""
            yield Problem((*place, key), f"is about a region, not the background{way_out}")
        if not any(background.get(key) is not None for key in background):
            yield Problem((*place, "background"), f"changes nothing: give {_one_of(BACKGROUND_KEYS)}")


def _one_of(keys: Sequence[str]) -> str:
    return f"{', '.join(keys[:-1])} or {keys[-1]}"


def _names_a_region(keyframe: Data, index: int, data: Data) -> Iterator[Problem]:
    names = [valid_value(region, "name") for _, region in regions_of(data)]
    all_are_valid = data.get("regions") is not INVALID and None not in names
    region = valid_value(keyframe, "region")
    if all_are_valid and region is not None and region not in names:
        known = did_you_mean(region, names)
        yield Problem(
            ("stream", "timeline", index, "region"), f"no region is named {quoted(region)}; {known}"
        )


def _edits(data: Data) -> Iterator[Edit]:
    """Yield the keyframes whose time and target are valid."""
    for index, keyframe in items_of(data, "stream", "timeline"):
        at, region, background = (valid_value(keyframe, key) for key in ("at", "region", "background"))
        if at is None or (region is None) == (background is None):
            continue
        changes, keys = (keyframe, REGION_KEYS) if region is not None else (background, BACKGROUND_KEYS)
        given = tuple(key for key in keys if valid_value(changes, key) is not None)
        sets_rest = _sets_rest(keyframe) if "mask" in given else None
        yield Edit(index, parse_moment(at), region, given, sets_rest)


def _sets_rest(data: Data) -> bool:
    """Tell whether the mask of a region or keyframe is `rest`."""
    return bool(valid_value(data, "mask") == REST)
