"""The content of a recipe: all that shapes the picture, and nothing else, in a form that means one thing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from typing import Any

CONFIG = "model.config"
"""The place of what is read of a model beside weights. Recipes of before have no digest of it."""

_MOST_EXACT = 2**53  # up to there, floats hold every whole number


def content_digest(*parts: Any) -> str:  # noqa: ANN401 - plain data
    """Return the SHA-256 of plain data: equal data give equal digests, and other data other ones."""
    text = json.dumps([_canonical(part) for part in parts], sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def shaping_scene(scene: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return what of a recipe's scene shapes the picture.

    The names of files at the `known` places are left out: their digests tell what they are, wherever they
    lie. So is what only streams read, of a picture.
    """
    shaping: dict[str, Any] = json.loads(json.dumps(scene))  # a copy
    if shaping["task"] != "stream":
        shaping.pop("stream", None)
    for place, holder, key in _named_files(shaping):
        if place in known:
            holder[key] = None
    return shaping


def _named_files(scene: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the places of files in a scene, as digests have them, each with what holds its name."""
    model = scene["model"]
    yield from ((f"model.{key}", model, key) for key in ("base", "vae", "config", "lcm_lora") if key in model)
    yield from _listed("model", model, "loras", "textual_inversions")
    yield from _listed("background", scene["background"], "loras")
    yield "background.image", scene["background"], "image"
    for region in scene["regions"]:
        yield from _mask(f"regions[{region.get('name')}].mask", region)
        yield from _listed(f"regions[{region.get('name')}]", region, "loras")
    if stream := scene.get("stream"):
        yield "stream.input", stream, "input"
        for index, keyframe in enumerate(stream.get("timeline") or ()):
            place = f"stream.timeline[{index}]"
            yield from _mask(f"{place}.mask", keyframe)
            yield from _listed(place, keyframe, "loras")
            if "background" in keyframe:
                yield f"{place}.background.image", keyframe["background"], "image"
                yield from _listed(f"{place}.background", keyframe["background"], "loras")


def _listed(place: str, holder: dict[str, Any], *keys: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    for key in keys:
        for index, each in enumerate(holder.get(key) or ()):
            yield f"{place}.{key}[{index}]", each, "path"


def _mask(place: str, holder: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    mask = holder.get("mask")
    if isinstance(mask, dict) and "image" in mask:
        yield place, mask, "image"
    elif isinstance(mask, str):
        yield place, holder, "mask"


def _canonical(value: Any) -> Any:  # noqa: ANN401 - plain data
    """Return plain data in which equal numbers are written alike: 1.0 as 1, -0.0 as 0."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MOST_EXACT:
        return int(value)
    return value
