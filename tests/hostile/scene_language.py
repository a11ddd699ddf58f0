"""Scenes of the whole language, drawn from its schema, so that keys to come are tried too.

`HABITS` says what the schema cannot: which files there are, what keeps a render small, what has a meaning.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from smd_cli.scene.reference import json_schema
from smd_cli.scene.samplers import sampler_facts

SCHEMA = json_schema()
Draw = st.DrawFn
Data = dict[str, Any]

NAMES = ("boy", "girl", "the tree", "ünïque")
PROMPTS = (
    "a boy",
    "grass, blue sky",
    "(a red house:1.3), snow",
    "((cat))",
    "a BREAK b",
    "(a:0)",
    r"saber \(fate\)",
    "word " * 90,
    "(unclosed",
    "日本 🙂",
    "<cat>, a [b|c]",
    ",,,",
)
MASKS = ("mask.png", "soft.png", "cutout.png", "map.png", "rest", "rest")
PICTURES = ("photo.png", "wide.png", "cutout.png", "map.png", "clip.gif", "large.jpg")
INPUTS = ("photo.png", "clip.gif", "clip.apng", "clip.mp4", "frames", "frames/*.png", "wide.png")
NOT_GOOD = ("gone.png", "text.png", "empty.png", "short.png", "holes", "none/*.png", "frames", "photo.png")
SIDES = (64, 72, 96, 128, 160, 200)


def _files(*good: str) -> st.SearchStrategy[str]:
    return _mostly(st.sampled_from(good), st.sampled_from(NOT_GOOD), 19)


def _mostly(
    usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any], odds: int
) -> st.SearchStrategy[Any]:
    return st.integers(0, odds).flatmap(lambda chance: other if chance == 0 else usual)


_PROMPT = st.sampled_from(PROMPTS)
_OPTIONAL_PROMPT = _mostly(_PROMPT, st.just(""), 4)
_SIDE = _mostly(st.sampled_from(SIDES), st.sampled_from((65, 1000, 16384, 63)), 30)
_SHORT = st.integers(1, 6)
HABITS: dict[str, st.SearchStrategy[Any]] = {
    "Scene.task": st.sampled_from(("generate", "inpaint", "panorama", "stream", "stream")),
    "Scene.seed": _mostly(st.integers(0, 2**63 - 1), st.sampled_from(("1-2", [1, 5], "random")), 6),
    "Scene.negative_prefix": _OPTIONAL_PROMPT,
    # of one point at most: `smd stream` makes one film, and names of pictures here tell no points apart
    "Scene.matrix": _mostly(
        st.just({}),
        st.sampled_from(([{}], {"bootstrap.steps": [1]}, [{"masks.std": 2, "bootstrap.steps": 0}])),
        3,
    ),
    "Scene.digests": _mostly(st.just({}), st.just({"regions[boy].mask": "0" * 64}), 9),
    "Canvas.width": _SIDE,
    "Canvas.height": _SIDE,
    "Model.base": _mostly(st.just("./tiny"), st.sampled_from(("./tiny.safetensors", "flatland")), 20),
    "Model.family": _mostly(st.sampled_from(("auto", "sd15")), st.just("sdxl"), 20),
    "Model.vae": _mostly(st.sampled_from(("./tiny/vae", "./vae")), st.just("./lora.safetensors"), 9),
    "Model.config": st.just("./tiny"),
    "Model.captioner": st.just("./tiny"),  # which is none, as no prompt here asks for a caption
    "Model.lcm_lora": st.sampled_from(("none", "none", "./lora.safetensors")),
    "Model.t5": _mostly(st.just("auto"), st.just("none"), 20),
    "Model.t5_length": _mostly(st.just(256), st.integers(2, 512), 20),
    "Lora.path": _mostly(st.just("./lora.safetensors"), st.just("./misfit.safetensors"), 9),
    "TextualInversion.path": _mostly(st.just("./cat.safetensors"), st.just("./lora.safetensors"), 9),
    "TextualInversion.token": st.sampled_from(("<cat>", "boy", "日本")),
    "Sampler.steps": _mostly(_SHORT, st.sampled_from((50, 51, 999, 1000)), 9),
    "Sampler.indices": st.lists(st.integers(0, 7), min_size=1, max_size=4).map(sorted),
    "Sampler.tile": st.sampled_from((64, 64, 96, 128, 256, "native")),
    "Bootstrap.steps": st.integers(0, 4),
    "Background.prompt": _OPTIONAL_PROMPT,
    "Background.negative_prompt": _OPTIONAL_PROMPT,
    "Background.image": _files(*PICTURES),
    "Background.place": st.tuples(st.integers(-100, 200), st.integers(-100, 200)).map(list),
    "BackgroundChange.prompt": _OPTIONAL_PROMPT,
    "BackgroundChange.negative_prompt": _OPTIONAL_PROMPT,
    "BackgroundChange.image": _files(*PICTURES),
    "Region.name": st.sampled_from(NAMES),
    "Region.prompt": _PROMPT,
    "Region.negative_prompt": _OPTIONAL_PROMPT,
    "RegionChange.prompt": _PROMPT,
    "ImageMask.image": _files(*PICTURES, *MASKS[:-2]),
    "ColorMask.image": _files("map.png"),
    "ColorMask.color": st.sampled_from(("#ff0000", "#00ff00", "#0000ff", "#123456")),
    "Keyframe.at": _mostly(st.integers(0, 7), st.sampled_from(("0.1s", "0.25s", "3s", 900)), 3),
    "Keyframe.region": st.sampled_from(NAMES),
    "Keyframe.prompt": _PROMPT,
    "Keyframe.negative_prompt": _OPTIONAL_PROMPT,
    "Stream.frames": _SHORT,
    "Stream.seconds": st.sampled_from((0.001, 0.2, 0.5)),
    "Stream.fps": st.sampled_from((1, 8, 12.5, 30, 240)),
    "Stream.input": _files(*INPUTS),
}
_RARELY = {"Model.family", "Model.base", "Model.config", "Scene.digests", "Sampler.steps"}
_OFTEN = {
    "Scene.model",
    "Scene.task",
    "Scene.canvas",
    "Scene.background",
    "Scene.regions",
    "Background.prompt",
    "Stream.timeline",
    "Keyframe.mask",
}


@st.composite
def scenes(draw: Draw) -> Data:
    """A scene that obeys most rules; some that span several keys are seen to afterwards, mostly."""
    scene = _section(draw, SCHEMA, "Scene")
    model = scene.get("model")
    model = model if isinstance(model, dict) else {}
    scene["model"] = {"base": "./tiny", "lcm_lora": "none", **model}
    stream = scene.get("stream") or {}
    if "frames" not in stream and "seconds" not in stream:
        scene["stream"] = {**stream, "frames": draw(_SHORT)}
    if draw(st.integers(0, 9)):
        _mend(draw, scene)
    return scene


def _section(draw: Draw, schema: Data, title: str) -> Data:
    """A mapping with the keys that it needs, and some of the others."""
    required = schema.get("required", ())
    section = {}
    for key, described in schema["properties"].items():
        place = f"{title}.{key}"
        odds = 9 if key in required else 8 if place in _OFTEN else 1 if place in _RARELY else 3
        if key in required or draw(st.integers(0, 9)) < odds:
            section[key] = _value(draw, described, place)
    return section


def _value(draw: Draw, schema: Data, place: str) -> Any:
    """A value that the schema describes; at its place the habit, where there is one."""
    if place in HABITS:
        return draw(HABITS[place])
    if "$ref" in schema:
        title = schema["$ref"].rpartition("/")[2]
        return _section(draw, SCHEMA["$defs"][title], title)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        some = [choice for choice in choices if choice.get("type") != "null"]
        return _value(draw, draw(st.sampled_from(some)), place)
    if "const" in schema or "enum" in schema:
        return draw(st.sampled_from(schema.get("enum") or [schema["const"]]))
    return _OF_TYPE[schema["type"]](draw, schema, place)


def _array(draw: Draw, schema: Data, place: str) -> list[Any]:
    least = schema.get("minItems", 0)
    most = min(schema.get("maxItems", 4), least + 3)
    return [_value(draw, schema["items"], place) for _ in range(draw(st.integers(least, most)))]


def _number(draw: Draw, schema: Data, _: str) -> Any:
    """A number in its range, often an end of it or the default."""
    low = schema.get("minimum", schema.get("exclusiveMinimum", -100))
    high = schema.get("maximum", schema.get("exclusiveMaximum", 100))
    ends = [schema[key] for key in ("minimum", "maximum", "default") if schema.get(key) is not None]
    if schema["type"] == "integer":
        return draw(st.sampled_from(ends) | st.integers(low, high)) if ends else draw(st.integers(low, high))
    between = st.floats(
        low,
        high,
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
    )
    tidy = st.integers(1, 9).map(lambda tenth: low + (high - low) * tenth / 10)
    return draw(st.sampled_from(ends) | between | tidy if ends else between | tidy)


def _text(draw: Draw, schema: Data, place: str) -> str:
    return draw(st.sampled_from(MASKS if place.endswith(".mask") else PROMPTS))


_OF_TYPE = {
    "array": _array,
    "integer": _number,
    "number": _number,
    "string": _text,
    "boolean": lambda draw, *_: draw(st.booleans()),
    "object": lambda *_: {},
}


def _mend(draw: Draw, scene: Data) -> None:
    """See to the rules that span several keys, so that most scenes are good."""
    _mend_regions(scene)
    _mend_sampler(scene)
    _mend_background(draw, scene)
    stream = scene["stream"]
    if "frames" in stream:
        stream.pop("seconds", None)
    if "input" not in stream:
        stream.pop("strength", None)
    scene.setdefault("canvas", {"width": 64, "height": 96})
    if scene.get("task") == "stream" or "task" not in scene:
        scene["seed"] = 5
        if "input" in stream:
            scene["background"].pop("strength", None)
    stream["timeline"] = list(_mended_timeline(scene))


def _mend_regions(scene: Data) -> None:
    named = {region["name"]: region for region in scene.get("regions", ())}
    resting = False
    for region in named.values():
        if region["mask"] == "rest":
            region["mask"] = {"box": [0, 0, 0.5, 1]} if resting else "rest"
            resting = True
        region["mask"] = _mended_mask(region["mask"])
    scene["regions"] = list(named.values())


def _mended_mask(mask: Any) -> Any:
    if isinstance(mask, dict) and "box" in mask:
        x0, y0, x1, y1 = mask["box"]
        return {"box": [min(x0, x1), min(y0, y1), max(x0, x1, 0.25), max(y0, y1, 0.25)]}
    if isinstance(mask, dict) and "ellipse" in mask:
        x, y, *radii = mask["ellipse"]
        return {
            "ellipse": [min(max(x, 0), 1), min(max(y, 0), 1), *(max(abs(radius), 0.1) for radius in radii)]
        }
    return mask


def _mend_sampler(scene: Data) -> None:
    sampler = scene.setdefault("sampler", {})
    facts = sampler_facts(sampler.get("kind"), scene.get("model", {}).get("family", "auto"))
    sampler.setdefault("steps", 5)
    sampler["steps"] = min(sampler["steps"], 50 if facts.few_step else 6)
    if facts.takes_whole_grid:
        sampler.pop("indices", None)
    if sampler.get("guidance") not in facts.guidance:
        sampler.pop("guidance", None)
    if sampler.get("spacing") not in facts.spacings:
        sampler.pop("spacing", None)
    if facts.gamma is None:
        sampler.pop("gamma", None)
    if "indices" in sampler:
        inside = {index for index in sampler["indices"] if index < sampler["steps"]}
        sampler["indices"] = sorted(inside) or [0]
    taken = len(sampler.get("indices", range(min(sampler["steps"], 4))))
    bootstrap = scene.get("bootstrap", {})
    if "steps" in bootstrap:
        bootstrap["steps"] = min(bootstrap["steps"], taken)


def _mend_background(draw: Draw, scene: Data) -> None:
    background = scene.setdefault("background", {})
    if scene.get("task") == "inpaint":
        background.setdefault("image", "photo.png")
    if "image" not in background:
        background.pop("place", None)
        background.pop("strength", None)
    if "place" in background:
        background.pop("fit", None)
    if not scene["regions"] or "strength" in background or draw(st.booleans()):
        background["prompt"] = background.get("prompt") or "a field"
    shown = background.get("prompt") or background.get("image")
    if not shown or scene.get("bootstrap", {}).get("leak_sensitivity") == 0:
        scene.get("bootstrap", {}).pop("show_through", None)
    if not scene["regions"] and "image" in background:
        background.setdefault("strength", 0.5)


def _mended_timeline(scene: Data) -> Any:
    """The keyframes, each about one thing, at moments of their own."""
    names = [region["name"] for region in scene["regions"]]
    taken = set()
    for keyframe in scene["stream"].get("timeline", ()):
        when = {key: keyframe[key] for key in ("at", "ease") if key in keyframe}
        changes = {
            key: value for key, value in keyframe.items() if key not in ("at", "ease", "region", "background")
        }
        background = keyframe.get("background")
        if keyframe["at"] in taken or (isinstance(keyframe["at"], str) and taken):
            continue
        taken.add(keyframe["at"])
        if background:
            yield {**when, "background": background}
        elif changes and names:
            if "mask" in changes:
                changes["mask"] = _mended_mask(changes["mask"])
            yield {**when, "region": names[len(taken) % len(names)], **changes}
