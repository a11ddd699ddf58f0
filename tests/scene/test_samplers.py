"""The table of samplers, and what rules make of it."""

import json
from typing import get_args

import pytest

from smd_cli.errors import SceneError
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import SamplerPlan, resolve
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
    assert samplers_with("full") == ["lcm", "tcd", "ddim", "euler", "dpmpp"]
    assert samplers_with("self") == ["lcm", "tcd"]


def sampler_of(settings: str) -> SamplerPlan:
    loaded = load_text(f"{SCENE}sampler: {{{settings}}}", "s.yaml")
    return resolve(loaded.scene, "s", loaded.base_dir).sampler


def problems(settings: str, more: str = "") -> list[str]:
    with pytest.raises(SceneError) as caught:
        load_text(f"{SCENE}sampler: {{{settings}}}\n{more}", "s.yaml")
    return [problem.removeprefix("s.yaml:") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("kind", "taken", "spacing", "gamma"),
    [
        ("lcm", 5, None, None),
        ("tcd", 4, None, 0.3),
        ("ddim", 50, "leading", None),
        ("euler", 4, "trailing", None),
        ("dpmpp", 25, "linspace", None),
    ],
)
def test_what_a_scene_leaves_out_depends_on_its_sampler(
    kind: str, taken: int, spacing: str | None, gamma: float | None
) -> None:
    """Samplers for distilled weights take few steps, those for ordinary ones many."""
    plan = sampler_of(f"kind: {kind}")
    assert (len(plan.indices), plan.spacing, plan.gamma) == (taken, spacing, gamma)
    again = load_text(f"{SCENE}sampler: {scene_value_of(plan)}", "s.yaml")
    assert resolve(again.scene, "s", again.base_dir).sampler == plan


def scene_value_of(plan: SamplerPlan) -> str:
    """A recipe's section, as YAML."""
    return json.dumps({**vars(plan), "indices": list(plan.indices)})


def test_steps_of_euler_and_tcd_can_be_picked() -> None:
    assert sampler_of("kind: euler, steps: 8, indices: [0, 2, 4, 6]").indices == (0, 2, 4, 6)
    assert sampler_of("kind: tcd, steps: 50, indices: [10]").indices == (10,)
    assert problems("kind: dpmpp, steps: 8, indices: [0, 2]") == [
        "4:43: sampler.indices: dpmpp takes every step of its grid: leave indices out and set steps"
    ]
    assert problems("kind: euler, indices: [4]") == [
        "4:34: sampler.indices[0]: 4 is outside the grid of 4 steps"
    ]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("kind: ddim, spacing: linspace", "ddim goes with leading and trailing, not with linspace"),
        (
            "kind: euler, spacing: karras",
            "euler goes with trailing and leading and linspace, not with karras",
        ),
        ("kind: lcm, spacing: trailing", "lcm has a grid of its own: leave spacing out"),
        ("kind: tcd, spacing: trailing", "tcd has a grid of its own: leave spacing out"),
    ],
)
def test_spacings_that_a_sampler_has_not_are_refused(settings: str, told: str) -> None:
    (problem,) = problems(settings)
    assert problem.endswith(f"sampler.spacing: {told}")


def test_gamma_is_of_one_sampler() -> None:
    assert sampler_of("kind: tcd, gamma: 0").gamma == 0
    assert problems("kind: ddim, gamma: 0.5") == [
        "4:30: sampler.gamma: needs the tcd sampler: leave it out for ddim"
    ]


@pytest.mark.parametrize("kind", ["ddim", "tcd", "dpmpp"])
def test_samplers_of_diffusion_models_do_not_go_with_flow_matching(kind: str) -> None:
    for family in ("auto", "sd15"):
        load_text(f"{SCENE}model: {{family: {family}}}\nsampler: {{kind: {kind}}}", "s.yaml")
    assert problems(f"kind: {kind}", "model: {family: sd3}") == [
        f"4:17: sampler.kind: {kind} does not go with sd3 models; lcm and euler do"
    ]


@pytest.mark.parametrize(
    ("model", "sampler", "kind", "steps"),
    [
        ("flatland", "{}", "lcm", 50),
        ("{base: ./x, family: zimage}", "{}", "euler", 8),
        ("{base: ./x, family: zimage}", "{kind: euler}", "euler", 8),
        ("{base: ./x, family: zimage}", "{kind: lcm}", "lcm", 50),
        ("{base: ./x, family: zimage}", "{steps: 4}", "euler", 4),
        ("{base: ./x, family: sd15}", "{kind: euler}", "euler", 4),
    ],
)
def test_the_usual_sampler_follows_the_family_where_a_scene_names_it(model, sampler, kind, steps):
    loaded = load_text(f"{SCENE}model: {model}\nsampler: {sampler}", "s.yaml")
    found = resolve(loaded.scene, "s", loaded.base_dir).sampler
    assert (found.kind, found.steps) == (kind, steps)


def test_rules_know_the_usual_sampler_of_a_family():
    """Of lcm, 60 steps would be too many and residual guidance right."""
    model = "model: {base: ./x, family: zimage}"
    assert load_text(f"{SCENE}sampler: {{steps: 60}}\n{model}", "s.yaml")
    assert problems("guidance_scale: 2, guidance: self", model) == [
        "4:40: sampler.guidance: self needs the lcm or tcd sampler; euler goes with none and full"
    ]
