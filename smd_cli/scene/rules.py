"""The rules of a scene that span several keys.

They read plain data in which every value that is wrong by itself has been replaced by WRONG, so that a file's
mistakes of both kinds are reported together and none twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from smd_cli.scene.explain import Problem, short
from smd_cli.scene.given import WRONG, Data, background_of, given, regions_of
from smd_cli.scene.rules_stream import stream_rules
from smd_cli.scene.schema import LCM_GRID, Sampler, default_indices
from smd_cli.scene.values import MAX_PIXELS

DDIM_GRID = 999  # training timesteps, less the one that stands for a clean picture


def broken(data: Data) -> list[Problem]:
    """Every broken rule of a scene."""
    return [problem for rule in _RULES for problem in rule(data)]


def _fits(data: Data) -> Iterator[Problem]:
    width, height = given(data, "canvas", "width"), given(data, "canvas", "height")
    if width and height and width * height > MAX_PIXELS:
        yield Problem(
            ("canvas",),
            f"{width} x {height} is {width * height:,} pixels; at most {MAX_PIXELS:,} are possible",
        )


def _has_prompt(background: Data) -> bool:
    prompt = background.get("prompt")
    return bool(prompt.strip() if isinstance(prompt, str) else prompt)


def _size_is_known(data: Data) -> Iterator[Problem]:
    background = background_of(data)
    if data.get("canvas") is None and background is not WRONG and not background.get("image"):
        yield Problem((), "canvas is missing (only a background picture can stand in for its size)")


def _closes_on_itself(data: Data) -> Iterator[Problem]:
    width, tile = given(data, "canvas", "width"), given(data, "sampler", "tile")
    if given(data, "canvas", "wrap") == "x" and width and isinstance(tile, int) and tile > width:
        yield Problem(
            ("canvas", "wrap"),
            f"a canvas {width} px wide cannot wrap around tiles of {tile} px; make it wider, or "
            "sampler.tile smaller",
        )


def _paints_something(data: Data) -> Iterator[Problem]:
    background = background_of(data)
    if background is WRONG or data.get("regions"):
        return
    image, prompted = background.get("image"), _has_prompt(background)
    leaves_room = background.get("place") or background.get("fit") in ("contain", WRONG)
    if image and image is not WRONG and not background.get("strength") and not (leaves_room and prompted):
        yield Problem(
            (),
            "there is nothing to paint on the background picture: give a region, background.strength, or "
            "new area around it (background.place or fit: contain) and a background prompt",
        )
    elif not image and not prompted:
        yield Problem((), "there is nothing to paint: give a background prompt or a region")


def _has_its_picture(data: Data) -> Iterator[Problem]:
    background = background_of(data)
    if background is WRONG or background.get("image"):
        return
    if given(data, "task") == "inpaint":
        yield Problem(("background",), "image is missing (the picture that the task inpaint paints on)")
    for key in ("place", "strength"):
        if background.get(key) is not None:
            yield Problem(("background", key), "is about a background picture: give background.image")


def _lies_one_way(data: Data) -> Iterator[Problem]:
    background = background_of(data)
    if background is WRONG or background.get("place") is None:
        return
    if background.get("fit") is not None:
        yield Problem(("background", "fit"), "does not go with place, which leaves the picture unscaled")
    if data.get("canvas") is None and background.get("image"):
        yield Problem(
            ("background", "place"), "is a place on the canvas: give canvas.width and canvas.height"
        )


def _strength_has_a_prompt(data: Data) -> Iterator[Problem]:
    background = background_of(data)
    if background is not WRONG and background.get("strength") and not _has_prompt(background):
        yield Problem(("background", "strength"), "repaints the picture from background.prompt: give one")


def _names_are_unique(data: Data) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, region in regions_of(data):
        name = given(region, "name")
        if name in first:
            yield Problem(
                ("regions", index, "name"), f"{short(name)} is already the name of regions[{first[name]}]"
            )
        elif name is not None:
            first[name] = index


def _one_rest(data: Data) -> Iterator[Problem]:
    resting = [index for index, region in regions_of(data) if given(region, "mask") == "rest"]
    for index in resting[1:]:
        yield Problem(
            ("regions", index, "mask"), f"only one region can be the rest; regions[{resting[0]}] is"
        )


def _indices_rise(data: Data) -> Iterator[Problem]:
    steps = given(data, "sampler", "steps", default=Sampler().steps)
    before = None
    for place, index in enumerate(given(data, "sampler", "indices", default=())):
        if index is WRONG:
            continue
        if index >= steps:
            yield Problem(("sampler", "indices", place), f"{index} is outside the grid of {steps} steps")
        if before is not None and index <= before:
            yield Problem(
                ("sampler", "indices", place), f"{index} does not rise above {before}, which precedes it"
            )
        before = index


def _grid_suits_the_sampler(data: Data) -> Iterator[Problem]:
    kind = given(data, "sampler", "kind", default=Sampler().kind)
    steps = given(data, "sampler", "steps", default=Sampler().steps)
    if kind == "lcm" and steps > LCM_GRID:
        yield Problem(
            ("sampler", "steps"), f"{steps} is above {LCM_GRID}, the grid that lcm models are distilled on"
        )
    if kind == "ddim" and steps > DDIM_GRID:
        yield Problem(("sampler", "steps"), f"{steps} is above {DDIM_GRID}")
    indices = given(data, "sampler", "indices")
    if (
        kind == "ddim"
        and indices is not None
        and WRONG not in indices
        and list(indices) != list(range(steps))
    ):
        yield Problem(
            ("sampler", "indices"), "ddim takes every step of its grid: leave indices out and set steps"
        )


def _residual_needs_lcm(data: Data) -> Iterator[Problem]:
    guidance = given(data, "sampler", "guidance")
    if given(data, "sampler", "kind") == "ddim" and guidance in ("self", "initialize"):
        yield Problem(
            ("sampler", "guidance"), f"{guidance} needs the lcm sampler; ddim goes with none and full"
        )


def _bootstrap_ends(data: Data) -> Iterator[Problem]:
    kind = given(data, "sampler", "kind", default=Sampler().kind)
    grid = given(data, "sampler", "steps", default=Sampler().steps)
    task = given(data, "task", default="generate")
    taken = len(given(data, "sampler", "indices", default=default_indices(kind, grid, task)))
    steps = given(data, "bootstrap", "steps", default=0)  # the default gives way to a short schedule
    if steps > taken:
        yield Problem(("bootstrap", "steps"), f"{steps} is more than the sampler's {taken} steps")


def _something_shows_through(data: Data) -> Iterator[Problem]:
    if given(data, "bootstrap", "show_through") is not True:
        return
    background = background_of(data)
    if background is not WRONG and not _has_prompt(background):
        yield Problem(
            ("bootstrap", "show_through"), "only a background's prompt can show through; give it one"
        )
    if given(data, "bootstrap", "leak_sensitivity") == 0:
        yield Problem(("bootstrap", "show_through"), "nothing shows through where leak_sensitivity is 0")


_RULES = (
    _size_is_known,
    _fits,
    _closes_on_itself,
    _paints_something,
    _has_its_picture,
    _lies_one_way,
    _strength_has_a_prompt,
    _names_are_unique,
    _one_rest,
    _indices_rise,
    _grid_suits_the_sampler,
    _residual_needs_lcm,
    _bootstrap_ends,
    _something_shows_through,
    stream_rules,
)
