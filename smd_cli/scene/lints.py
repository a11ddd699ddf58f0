"""Warnings about values of a scene that have no effect, because of other values."""

from __future__ import annotations

from collections.abc import Iterator

from smd_cli.messages import Locate, Message
from smd_cli.scene.edits import past_the_end
from smd_cli.scene.frame_times import EvenTimes
from smd_cli.scene.mask_specs import RestMask, can_ease
from smd_cli.scene.resolve import Plan, usual_bootstrap
from smd_cli.scene.schema import Bootstrap
from smd_cli.scene.stream_plan import KeyframePlan, frame_of
from smd_cli.scene.stream_section import DEFAULT_FPS


def lint(plan: Plan, locate: Locate) -> list[Message]:
    """Return a warning for every value without effect; `locate` says where a value stands."""
    found = [
        *_unused_guidance(plan, locate),
        *_unused_bootstrap(plan, locate),
        *_unused_coupling(plan, locate),
    ]
    if plan.background.image is None and plan.background.fit != "cover":
        found.append(locate("background", "fit").says("has no effect without a background picture"))
    found += _unpainted_loras(plan, locate)
    found += [*_missing_input(plan, locate), *_unreached(plan, locate)]
    found += [*_unused_easing(plan, locate), *_shifted_rest(plan, locate)]
    return found


def _unused_guidance(plan: Plan, locate: Locate) -> Iterator[Message]:
    sampler = plan.sampler
    guidance, scale = sampler.guidance, sampler.guidance_scale
    off = "guidance: none" if guidance == "none" else "guidance_scale: 1" if scale == 1 else None
    if guidance == "none" and scale != 1:
        yield locate("sampler", "guidance_scale").says(f"{scale:g} has no effect with {off}")
    if guidance != "none" and scale == 1:
        yield locate("sampler", "guidance").says(f"{guidance} has no effect with {off}")
    without_delta = off or ("guidance: full" if guidance == "full" else None)
    if sampler.delta != 1 and without_delta:
        yield locate("sampler", "delta").says(f"has no effect with {without_delta}")
    if sampler.guidance_rescale and off:
        yield locate("sampler", "guidance_rescale").says(f"has no effect with {off}")


def _unused_bootstrap(plan: Plan, locate: Locate) -> Iterator[Message]:
    bootstrap = plan.bootstrap
    usual = usual_bootstrap(len(plan.sampler.indices), shows_through=bootstrap.show_through)
    changed = [key for key in Bootstrap.model_fields if getattr(bootstrap, key) != getattr(usual, key)]
    for key in changed:
        if bootstrap.steps == 0 and key != "steps":
            yield locate("bootstrap", key).says("has no effect without bootstrapped steps")
    if bootstrap.steps and bootstrap.show_through and "mix_steps" in changed:
        yield locate("bootstrap", "mix_steps").says("has no effect with show_through")
    if bootstrap.steps and bootstrap.own_tiles and not plan.regions:
        yield locate("bootstrap", "own_tiles").says("has no effect without regions")


def _unused_coupling(plan: Plan, locate: Locate) -> Iterator[Message]:
    if plan.sampler.late != "coupled":
        return
    place, keyframes = locate("sampler", "late"), plan.stream.timeline
    behind = [plan.background.prompt, *(each.get("prompt") for each in keyframes if each.region is None)]
    behind = behind if _paints_background(plan) else []
    if plan.coupled_from is None:
        yield place.says("coupled has no effect where all steps are bootstrapped")
    elif len(plan.regions) + any(map(bool, behind)) < 2:
        yield place.says("coupled has no effect on a scene of one prompt")


def _paints_background(plan: Plan) -> bool:
    """Tell whether a background's prompt can be painted: not under a picture that covers the canvas."""
    background = plan.background
    covers = background.place is None and background.fit != "contain"
    return background.image is None or background.strength is not None or not covers


def _unpainted_loras(plan: Plan, locate: Locate) -> Iterator[Message]:
    prompts = [keyframe.get("prompt") for keyframe in plan.stream.timeline if keyframe.region is None]
    if plan.background.loras and not plan.background.prompt and not any(prompts):
        yield locate("background", "loras").says("has no effect without a prompt of the background")


def _missing_input(plan: Plan, locate: Locate) -> Iterator[Message]:
    if plan.stream.input is not None:
        return
    if plan.stream.similarity is not None:
        yield locate("stream", "similarity").says("has no effect without stream.input")
    if plan.stream.fit != "cover":
        yield locate("stream", "fit").says("has no effect without stream.input")


def _unreached(plan: Plan, locate: Locate) -> Iterator[Message]:
    stream = plan.stream
    if stream.input is not None or stream.fps is None or not isinstance(stream.frames, int):
        return  # only the input knows
    if late := past_the_end(plan, EvenTimes.of(stream.fps), stream.frames):
        yield locate(*late.loc).says(late.text)


def _in_order(plan: Plan) -> list[tuple[int, int, KeyframePlan]]:
    """Return frame, index and keyframe by frame, at the default rate where only the input knows it."""
    times = EvenTimes.of(plan.stream.fps or DEFAULT_FPS)
    timed = [
        (frame_of(keyframe.at, times), index, keyframe) for index, keyframe in enumerate(plan.stream.timeline)
    ]
    return sorted(timed, key=lambda entry: entry[:2])


def _unused_easing(plan: Plan, locate: Locate) -> Iterator[Message]:
    masks = {region.name: region.mask for region in plan.regions}
    for frame, index, keyframe in _in_order(plan):
        place, is_eased = ("stream", "timeline", index), keyframe.ease != "none"
        if is_eased and frame == 0:
            yield locate(*place, "ease").says("has no effect at frame 0, which nothing precedes")
        elif is_eased and keyframe.get("image"):
            yield locate(*place, "background", "image").says("jumps; pictures cannot be eased")
        if keyframe.region is not None and (mask := keyframe.get("mask")):
            if is_eased and frame and not can_ease(masks[keyframe.region], mask):
                yield locate(*place, "mask").says(
                    "jumps; only boxes, ellipses, and polygons with as many corners can be eased into each "
                    "other (shift eases any mask)"
                )
            masks[keyframe.region] = mask


def _shifted_rest(plan: Plan, locate: Locate) -> Iterator[Message]:
    masks = {region.name: region.mask for region in plan.regions}
    no_effect = "has no effect on the mask rest, which lies where the others do not"
    for index, region in enumerate(plan.regions):
        if any(region.shift) and isinstance(region.mask, RestMask):
            yield locate("regions", index, "shift").says(no_effect)
    for _, index, keyframe in _in_order(plan):
        if keyframe.region is None:
            continue
        masks[keyframe.region] = keyframe.get("mask") or masks[keyframe.region]
        if keyframe.get("shift") and isinstance(masks[keyframe.region], RestMask):
            yield locate("stream", "timeline", index, "shift").says(no_effect)
