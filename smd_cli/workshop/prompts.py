"""The 24 prompts of the contact sheet and the benchmark, each with the answers expected of the judge."""

from typing import Any

from smd_cli.workshop.judge.labels import NOTHING, Answers

SIZE = 256
"""Side of their pictures, px."""

PROMPTS: dict[str, Answers] = {
    "1girl, pink hair, leather jacket, looking at viewer, white background": {
        "kind": "girl",
        "hair": "pink",
        "clothes": "leather jacket",
        "background": "white",
    },
    "1boy, brown hair, casual shirt, smile": {"kind": "boy", "hair": "brown", "clothes": "casual shirt"},
    "a Greek goddess, lifts arm, Mount Olympus": {"kind": "goddess", "clothes": "robe", "background": "alps"},
    "1girl, blue hair, red shirt, on a beach": {
        "kind": "girl",
        "hair": "blue",
        "clothes": "red shirt",
        "background": "sand",
    },
    "1boy, blonde hair, green shirt, snow": {
        "kind": "boy",
        "hair": "blonde",
        "clothes": "green shirt",
        "background": "snow",
    },
    "1girl, white hair, times square": {"kind": "girl", "hair": "white", "background": "times square"},
    "a small, sitting owl": {"kind": "owl"},
    "a cat on grass": {"kind": "cat", "background": "grass"},
    "a large tree, summer mountains": {"kind": "tree", "background": "summer mountains"},
    "a giant waterfall": {"kind": "waterfall"},
    "the sun, clear deep blue sky": {"kind": "sun", "background": "blue sky"},
    "the moon, starry night sky": {"kind": "moon", "background": "night sky"},
    "a red house, snow": {"kind": "house", "color": "red", "background": "snow"},
    "a yellow flower, grass": {"kind": "flower", "color": "yellow", "background": "grass"},
    "a boat on a clean deep blue lake": {"kind": "boat", "background": "lake"},
    "a cloud, clear deep blue sky": {"kind": "cloud", "background": "blue sky"},
    "a red circle, white background": {"kind": "circle", "color": "red", "background": "white"},
    "a purple star on a sunset": {"kind": "star", "color": "purple", "background": "sunset"},
    "a blue square": {"kind": "square", "color": "blue"},
    "a green triangle on sand": {"kind": "triangle", "color": "green", "background": "sand"},
    "Alps": {"kind": NOTHING, "background": "alps"},
    "times square": {"kind": NOTHING, "background": "times square"},
    "sunset": {"kind": NOTHING, "background": "sunset"},
    "clean deep blue lake": {"kind": NOTHING, "background": "lake"},
}


def scene_of(prompt: str) -> dict[str, Any]:
    """Return a scene, in the scene language, with nothing but a prompt."""
    return {"smd": 1, "canvas": {"width": SIZE, "height": SIZE}, "background": {"prompt": prompt}}
