"""What a scene may say and yet hardly means."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smd_cli.scene.masks import RestMask, can_ease
from smd_cli.scene.resolve import Plan
from smd_cli.scene.schema import Bootstrap
from smd_cli.scene.stream import DEFAULT_FPS
from smd_cli.scene.stream_plan import BackgroundKeyframe, KeyframePlan, RegionKeyframe, frame_of

Locate = Callable[..., str]


def remarks(plan: Plan, locate: Locate) -> list[str]:
    """One line for every value that another makes idle; `locate` turns a place into what it begins with."""
    found = [*_about_guidance(plan, locate), *_about_showing_through(plan, locate)]
    if plan.background.image == "none" and plan.background.fit != "cover":
        found.append(f"{locate('background', 'fit')}: has no effect without a background picture")
    return [*found, *_about_input(plan, locate), *_about_easing(plan, locate), *_about_rest(plan, locate)]


def _about_guidance(plan: Plan, locate: Locate) -> Iterator[str]:
    sampler, place = plan.sampler, locate("sampler", "guidance_scale")
    if sampler.guidance == "none" and sampler.guidance_scale != 1:
        yield f"{place}: {sampler.guidance_scale:g} has no effect with guidance: none"
    if sampler.guidance != "none" and sampler.guidance_scale == 1:
        yield f"{place}: 1 makes guidance: {sampler.guidance} the same as none"
    if sampler.guidance in ("none", "full") and sampler.delta != 1:
        yield f"{locate('sampler', 'delta')}: has no effect with guidance: {sampler.guidance}"


def _about_showing_through(plan: Plan, locate: Locate) -> Iterator[str]:
    bootstrap = plan.bootstrap
    if bootstrap.show_through and bootstrap.steps == 0:
        yield f"{locate('bootstrap', 'show_through')}: has no effect without bootstrapped steps"
    elif bootstrap.show_through and bootstrap.mix_steps != Bootstrap().mix_steps:
        yield f"{locate('bootstrap', 'mix_steps')}: has no effect with show_through"


def _about_input(plan: Plan, locate: Locate) -> Iterator[str]:
    if plan.stream.input != "none":
        return
    if plan.stream.similarity != "none":
        yield f"{locate('stream', 'similarity')}: has no effect without stream.input"
    if plan.stream.fit != "cover":
        yield f"{locate('stream', 'fit')}: has no effect without stream.input"


def _in_order(plan: Plan) -> list[tuple[int, int, KeyframePlan]]:
    """Frame, index and keyframe, by frame; where only the input tells the frames a second, nearly so."""
    fps = DEFAULT_FPS if plan.stream.fps == "input" else plan.stream.fps
    timed = [
        (frame_of(keyframe.at, fps), index, keyframe) for index, keyframe in enumerate(plan.stream.timeline)
    ]
    return sorted(timed, key=lambda entry: entry[:2])


def _about_easing(plan: Plan, locate: Locate) -> Iterator[str]:
    """What jumps although it is to be eased."""
    masks = {region.name: region.mask for region in plan.regions}
    for frame, index, keyframe in _in_order(plan):
        place, eased = ("stream", "timeline", index), keyframe.ease != "none"
        if eased and frame == 0:
            yield f"{locate(*place, 'ease')}: has no effect at frame 0, which nothing precedes"
        elif eased and isinstance(keyframe, BackgroundKeyframe) and keyframe.image:
            yield f"{locate(*place, 'background', 'image')}: jumps; pictures cannot be eased"
        if isinstance(keyframe, RegionKeyframe) and keyframe.mask:
            if eased and frame and not can_ease(masks[keyframe.region], keyframe.mask):
                yield (
                    f"{locate(*place, 'mask')}: jumps; only boxes, ellipses, and polygons with as many "
                    "corners can be eased into each other (shift eases any mask)"
                )
            masks[keyframe.region] = keyframe.mask


def _about_rest(plan: Plan, locate: Locate) -> Iterator[str]:
    masks = {region.name: region.mask for region in plan.regions}
    useless = "has no effect on the mask rest, which lies where the others do not"
    for index, region in enumerate(plan.regions):
        if any(region.shift) and isinstance(region.mask, RestMask):
            yield f"{locate('regions', index, 'shift')}: {useless}"
    for _, index, keyframe in _in_order(plan):
        if not isinstance(keyframe, RegionKeyframe):
            continue
        masks[keyframe.region] = keyframe.mask or masks[keyframe.region]
        if keyframe.shift and isinstance(masks[keyframe.region], RestMask):
            yield f"{locate('stream', 'timeline', index, 'shift')}: {useless}"
