"""The rules of a scene that span several keys.

They read plain data in which every value that is invalid by itself has been replaced by INVALID, so that
mistakes of both kinds are reported together, and none twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from smd_cli.scene.background import AUTO
from smd_cli.scene.explain import Problem, quoted
from smd_cli.scene.mask_specs import REST
from smd_cli.scene.rules_sampler import sampler_rules
from smd_cli.scene.rules_stream import stream_rules
from smd_cli.scene.tree import Loc
from smd_cli.scene.valid import INVALID, Data, background_of, items_of, regions_of, valid_value
from smd_cli.scene.values import MAX_PIXELS


def broken_rules(data: Data) -> list[Problem]:
    """Return a problem for every broken rule of a scene."""
    return [problem for rule in _RULES for problem in rule(data)]


def _canvas_is_not_too_large(data: Data) -> Iterator[Problem]:
    width, height = valid_value(data, "canvas", "width"), valid_value(data, "canvas", "height")
    if width and height and width * height > MAX_PIXELS:
        yield Problem(
            ("canvas",),
            f"{width} x {height} is {width * height:,} pixels; at most {MAX_PIXELS:,} are possible",
        )


def _has_prompt(background: Data) -> bool:
    prompt = background.get("prompt")
    return bool(prompt.strip() if isinstance(prompt, str) else prompt)


def _canvas_is_known(data: Data) -> Iterator[Problem]:
    background = background_of(data)
    if data.get("canvas") is None and background is not INVALID and not background.get("image"):
        yield Problem((), "canvas is missing (only a background picture can stand in for its size)")


def _canvas_wraps_around_tiles(data: Data) -> Iterator[Problem]:
    width, tile = valid_value(data, "canvas", "width"), valid_value(data, "sampler", "tile")
    if valid_value(data, "canvas", "wrap") == "x" and width and isinstance(tile, int) and tile > width:
        yield Problem(
            ("canvas", "wrap"),
            f"a canvas {width} px wide cannot wrap around tiles of {tile} px; make it wider, or "
            "sampler.tile smaller",
        )


def _something_is_painted(data: Data) -> Iterator[Problem]:
    background = background_of(data)
    if background is INVALID or data.get("regions"):
        return
    image, prompted = background.get("image"), _has_prompt(background)
    leaves_room = background.get("place") or background.get("fit") in ("contain", INVALID)
    if image and image is not INVALID and not background.get("strength") and not (leaves_room and prompted):
        yield Problem(
            (),
            "there is nothing to paint on the background picture: give a region, background.strength, or "
            "new area around it (background.place or fit: contain) and a background prompt",
        )
    elif not image and not prompted:
        yield Problem((), "there is nothing to paint: give a background prompt or a region")


def _background_picture_is_given(data: Data) -> Iterator[Problem]:
    background = background_of(data)
    if background is INVALID or background.get("image"):
        return
    if valid_value(data, "task") == "inpaint":
        yield Problem(("background",), "image is missing (the picture that the task inpaint paints on)")
    for key in ("place", "strength"):
        if background.get(key) is not None:
            yield Problem(("background", key), "is about a background picture: give background.image")


def _background_has_one_place(data: Data) -> Iterator[Problem]:
    background = background_of(data)
    if background is INVALID or background.get("place") is None:
        return
    if background.get("fit") is not None:
        yield Problem(("background", "fit"), "does not go with place, which leaves the picture unscaled")
    if data.get("canvas") is None and background.get("image"):
        yield Problem(
            ("background", "place"), "is a place on the canvas: give canvas.width and canvas.height"
        )


def _repainting_has_a_prompt(data: Data) -> Iterator[Problem]:
    background = background_of(data)
    if background is not INVALID and background.get("strength") and not _has_prompt(background):
        yield Problem(("background", "strength"), "repaints the picture from background.prompt: give one")


def _captions_are_of_the_background(data: Data) -> Iterator[Problem]:
    background = background_of(data)
    if background is not INVALID and _is_auto(background) and not background.get("image"):
        text = f"{AUTO} is a caption of background.image: give a picture, or write a prompt"
        yield Problem(("background", "prompt"), text)
    for loc, section in _painted(data):
        if loc != ("background",) and isinstance(section, dict) and _is_auto(section):
            text = f"{AUTO} stands for a caption in the background's prompt alone: write a prompt here"
            yield Problem((*loc, "prompt"), text)


def _coupling_goes_without_own_loras(data: Data) -> Iterator[Problem]:
    if valid_value(data, "sampler", "late") != "coupled":
        return
    for loc in own_loras(data):
        text = (
            "does not go with sampler.late: coupled, which denoises all regions of a tile as one; leave that "
            "out, or give the LoRA to the whole model"
        )
        yield Problem(loc, text)


def own_loras(data: Data) -> Iterator[Loc]:
    """Yield where regions, or the background, have LoRAs of their own, at first and by keyframes."""
    return ((*loc, "loras") for loc, section in _painted(data) if valid_value(section, "loras"))


def _painted(data: Data) -> Iterator[tuple[Loc, Data]]:
    """Yield the regions, the background and the keyframes, which say what is painted."""
    yield ("background",), data.get("background")
    for index, region in regions_of(data):
        yield ("regions", index), region
    for index, keyframe in items_of(data, "stream", "timeline"):
        place = ("stream", "timeline", index)
        yield place, keyframe
        yield (*place, "background"), valid_value(keyframe, "background")


def _is_auto(section: Data) -> bool:
    prompt = valid_value(section, "prompt")
    return isinstance(prompt, str) and prompt.strip() == AUTO


def _names_are_unique(data: Data) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, region in regions_of(data):
        name = valid_value(region, "name")
        if name in first:
            yield Problem(
                ("regions", index, "name"), f"{quoted(name)} is already the name of regions[{first[name]}]"
            )
        elif name is not None:
            first[name] = index


def _learned_words_are_unique(data: Data) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, inversion in items_of(data, "model", "textual_inversions"):
        token = valid_value(inversion, "token") if isinstance(inversion, dict) else None
        if token is not None and first.setdefault(token, index) != index:
            yield Problem(
                ("model", "textual_inversions", index, "token"),
                f"{quoted(token)} is already the word of textual_inversions[{first[token]}]",
            )


def _at_most_one_rest(data: Data) -> Iterator[Problem]:
    resting = [index for index, region in regions_of(data) if valid_value(region, "mask") == REST]
    for index in resting[1:]:
        yield Problem(
            ("regions", index, "mask"), f"only one region can be the rest; regions[{resting[0]}] is"
        )


def _something_shows_through(data: Data) -> Iterator[Problem]:
    if valid_value(data, "bootstrap", "show_through") is not True:
        return
    background = background_of(data)
    if background is not INVALID and not _has_prompt(background) and not background.get("image"):
        yield Problem(
            ("bootstrap", "show_through"),
            "only a background can show through; give it a prompt or a picture",
        )


_RULES = (
    _canvas_is_known,
    _canvas_is_not_too_large,
    _canvas_wraps_around_tiles,
    _something_is_painted,
    _background_picture_is_given,
    _background_has_one_place,
    _repainting_has_a_prompt,
    _captions_are_of_the_background,
    _coupling_goes_without_own_loras,
    _names_are_unique,
    _learned_words_are_unique,
    _at_most_one_rest,
    sampler_rules,
    _something_shows_through,
    stream_rules,
)
