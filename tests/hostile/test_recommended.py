"""Any scene of the language beside any settings that a model could recommend to it."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smd_cli.errors import SceneError
from smd_cli.scene.loader import Asked, load_text
from smd_cli.scene.recommended import Advice, read_recommended
from smd_cli.scene.resolve import resolve
from tests.hostile.scene_language import scenes

SIZE = (64, 64)


def sections(drawn: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: drawn[name] for name in names if name in drawn}


@settings(max_examples=150)
@given(scene=scenes(), general=scenes(), special=scenes(), family=st.sampled_from(("auto", "sd15", "klein")))
def test_a_scene_keeps_what_it_says_and_its_plan_holds_the_rest(scene, general, special, family):
    file = {
        "smd": 1,
        **sections(general, "sampler", "masks"),
        "bootstrapped": sections(special, "sampler", "bootstrap", "masks"),
    }
    scene.pop("matrix", None)
    try:
        advice = Advice(family, read_recommended(json.dumps(file), "m", family))
        found = load_text(json.dumps(scene), "s", asked=Asked(adviser=lambda *_: advice))
    except SceneError:  # which is all that may end it
        return
    own = found.tree.plain()
    for section, key in found.filled.keys:
        assert own.get(section, {}).get(key) is None
    plan = resolve(found.scene, "s", Path(), SIZE, found.family)
    again = load_text(json.dumps(plan.to_dict()), "s", asked=Asked(adviser=lambda *_: advice))
    assert again.filled.values() == {}
    assert resolve(again.scene, "s", Path(), SIZE, again.family).to_dict() == plan.to_dict()
