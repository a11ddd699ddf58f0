"""The table of samplers, and what rules make of it."""

from dataclasses import replace
from typing import get_args

import pytest

from smd_cli.errors import SceneError
from smd_cli.scene import samplers
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from smd_cli.scene.samplers import SAMPLERS, SamplerName, samplers_with

SCENE = "smd: 1\ncanvas: {width: 64, height: 64}\nbackground: {prompt: x}\n"


def test_every_name_has_its_facts() -> None:
    assert tuple(SAMPLERS) == get_args(SamplerName)
    assert [name for name, facts in SAMPLERS.items() if facts.name != name] == []


@pytest.mark.parametrize(("kind", "few_step", "whole"), [("lcm", True, False), ("ddim", False, True)])
def test_a_plan_knows_the_facts_of_its_sampler(kind: str, few_step: bool, whole: bool) -> None:
    loaded = load_text(f"{SCENE}sampler: {{kind: {kind}}}", "s.yaml")
    facts = resolve(loaded.scene, "s", loaded.base_dir).sampler.facts
    assert (facts.name, facts.few_step, facts.takes_whole_grid) == (kind, few_step, whole)


def test_the_steps_taken_are_in_proportion_to_the_grid() -> None:
    lcm, ddim = SAMPLERS["lcm"], SAMPLERS["ddim"]
    assert lcm.default_indices(50, "generate") == (0, 4, 12, 25, 37)
    assert lcm.default_indices(25, "panorama") == (0, 6, 12, 18)
    assert lcm.default_indices(5, "stream") == (0, 1, 2, 3, 4)
    assert ddim.default_indices(3, "panorama") == (0, 1, 2)


def test_which_samplers_support_a_kind_of_guidance() -> None:
    assert samplers_with("full") == ["lcm", "ddim"]
    assert samplers_with("self") == ["lcm"]


def test_a_sampler_may_be_for_some_families_only(monkeypatch: pytest.MonkeyPatch) -> None:
    picky = {**SAMPLERS, "lcm": replace(SAMPLERS["lcm"], families=("sd15",))}
    monkeypatch.setattr("smd_cli.scene.rules.SAMPLERS", picky)
    assert samplers.SAMPLERS["lcm"].supports("sdxl")
    for family in ("auto", "sd15"):
        load_text(f"{SCENE}model: {{family: {family}}}", "s.yaml")
    with pytest.raises(SceneError) as caught:
        load_text(f"{SCENE}model: {{family: sdxl}}\nsampler: {{kind: lcm}}", "s.yaml")
    assert caught.value.problems == (
        "s.yaml:5:17: sampler.kind: lcm does not go with models of the family sdxl",
    )
