"""What a scene's model is asked for, and what it asks of the scene."""

from dataclasses import replace

import pytest

import smd_cli as smd
from smd_cli.app.model_fit import check_fit
from smd_cli.app.model_spec import find_model, needs_few_step
from smd_cli.scene import samplers

SCENE = "smd: 1\ncanvas: {width: 72, height: 64}\nbackground: {prompt: grass}\n"


def plan(settings: str = ""):
    return smd.load_scene(f"{SCENE}{settings}\n").plan


def test_ordinary_weights_are_made_few_step_ones_where_sampler_and_scene_ask_for_it():
    assert needs_few_step(plan())
    assert not needs_few_step(plan("sampler: {kind: ddim}"))
    assert not needs_few_step(plan("model: {lcm_lora: none}"))
    assert len(find_model(plan(), offline=True).loras) == 1
    assert find_model(plan("model: {lcm_lora: none}"), offline=True).loras == ()


def test_sides_are_multiples_of_what_the_family_needs():
    scene = smd.load_scene(f"{SCENE}sampler: {{tile: 88}}\n")
    assets = find_model(scene.plan, offline=True)
    check_fit(scene, assets)
    family = replace(assets.family, name="sdxl", size_multiple=16)
    demanding = type("Assets", (), {"family": family, "facts": assets.facts})()
    with pytest.raises(smd.SceneError) as caught:
        check_fit(scene, demanding)
    assert caught.value.problems == (
        "scene:2:17: canvas.width: 72 is not a multiple of 16, as sdxl models need",
        "scene:4:17: sampler.tile: 88 is not a multiple of 16, as sdxl models need",
    )


def test_what_a_model_without_negative_prompts_is_not_given():
    settings = (
        "sampler: {guidance_scale: 4}\nnegative_prefix: blurry\nregions:\n"
        "- {name: cat, prompt: a cat, negative_prompt: a dog, mask: {box: [0, 0, 1, 1]}}\n"
    )
    scene = smd.load_scene(SCENE + settings)
    assets = find_model(scene.plan, offline=True)
    check_fit(scene, assets)
    facts = replace(assets.facts, takes_negative=False)
    distilled = type("Assets", (), {"family": assets.family, "facts": facts})()
    with pytest.raises(smd.SceneError) as caught:
        check_fit(scene, distilled)
    assert [problem.partition(": this")[0] for problem in caught.value.problems] == [
        "scene:4:27: sampler.guidance_scale: 4",
        "scene:5:18: negative_prefix",
        "scene:7:47: regions[0].negative_prompt",
    ]
    check_fit(smd.load_scene(SCENE), distilled)


def test_a_sampler_goes_with_the_families_that_it_names(monkeypatch):
    scene = smd.load_scene(SCENE)
    assets = find_model(scene.plan, offline=True)
    check_fit(scene, assets)
    monkeypatch.setitem(samplers.SAMPLERS, "lcm", replace(samplers.LCM, families=("sdxl",)))
    with pytest.raises(smd.SceneError, match=r"sampler\.kind: lcm does not go with sd15 models"):
        check_fit(scene, assets)


def predicting(assets, prediction_type):
    facts = replace(assets.facts, prediction_type=prediction_type)
    return type("Assets", (), {"family": assets.family, "facts": facts})()


def test_flow_matching_has_a_grid_of_its_own():
    scene = smd.load_scene(f"{SCENE}sampler: {{kind: euler, spacing: linspace}}\n")
    assets = find_model(scene.plan, offline=True)
    check_fit(scene, assets)
    with pytest.raises(smd.SceneError) as caught:
        check_fit(scene, predicting(assets, "flow_prediction"))
    assert caught.value.problems == (
        "scene:4:33: sampler.spacing: linspace: sd15 models have a grid of their own; leave spacing out",
    )
    check_fit(smd.load_scene(f"{SCENE}sampler: {{kind: euler}}\n"), predicting(assets, "flow_prediction"))


@pytest.mark.parametrize("guidance", ["self", "initialize"])
def test_residual_guidance_stands_in_for_predicted_noise_alone(guidance):
    scene = smd.load_scene(f"{SCENE}sampler: {{guidance_scale: 2, guidance: {guidance}}}\n")
    assets = find_model(scene.plan, offline=True)
    check_fit(scene, assets)
    for prediction in ("v_prediction", "flow_prediction"):
        with pytest.raises(smd.SceneError, match=rf"sampler\.guidance: {guidance} estimates predicted noise"):
            check_fit(scene, predicting(assets, prediction))
