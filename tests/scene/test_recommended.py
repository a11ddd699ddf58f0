"""What a model recommends fills in what a scene leaves out, and nothing that the scene decides itself."""

import json

import pytest

from smd_cli.errors import SceneError
from smd_cli.scene import loader
from smd_cli.scene.loader import Asked, LoadedScene, load_text
from smd_cli.scene.overrides import override_of
from smd_cli.scene.recommended import Advice, read_recommended
from smd_cli.scene.resolve import resolve
from smd_cli.scene.validate import validate

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
background: {prompt: grass}
"""
REGIONS = "regions: [{name: sun, prompt: the sun, mask: rest}]\n"
ADVICE = """\
smd: 1
sampler: {steps: 40}
masks: {std: 2}
bootstrapped:
  sampler: {indices: [0, 8, 18, 28, 38], guidance_scale: 1.5}
  bootstrap: {steps: 3, mix_steps: 2.5, leak_sensitivity: 0.1}
  masks: {std: 4, cover_alpha: 0.1}
"""


def loaded(scene: str, advice: str = ADVICE, family: str = "auto", **overrides: object) -> LoadedScene:
    told = Advice(family, read_recommended(advice, "model/smd_defaults.yaml", "sd15") if advice else None)
    changes = [override_of(key.replace("__", "."), value) for key, value in overrides.items()]
    return load_text(scene, "s.yaml", asked=Asked(changes, adviser=lambda *_: told))


def plan(scene: str, advice: str = ADVICE, family: str = "auto", **overrides: object):
    found = loaded(scene, advice, family, **overrides)
    return resolve(found.scene, "s", found.base_dir, family=found.family)


def test_what_a_scene_leaves_out_is_recommended_with_its_place():
    found = loaded(SCENE + REGIONS)
    assert found.filled.values() == {
        "bootstrap.leak_sensitivity": 0.1,
        "bootstrap.mix_steps": 2.5,
        "bootstrap.steps": 3,
        "masks.cover_alpha": 0.1,
        "masks.std": 4,
        "sampler.guidance_scale": 1.5,
        "sampler.indices": (0, 8, 18, 28, 38),
    }
    done = plan(SCENE + REGIONS)
    assert (done.sampler.indices, done.sampler.steps) == ((0, 8, 18, 28, 38), 50)  # in place of `sampler`
    assert (done.bootstrap.steps, done.bootstrap.mix_steps, done.regions[0].mask_std) == (3, 2.5, 4)
    assert str(found.locate("sampler", "indices", 1)) == ("model/smd_defaults.yaml:5:26: sampler.indices[1]")
    assert str(found.locate("sampler", "tile")) == "s.yaml:1:1: sampler.tile"  # which nobody wrote
    assert found.tree.child("sampler") is None  # what its author wrote stays that


@pytest.mark.parametrize(
    "scene",
    [
        SCENE,
        f"{SCENE}{REGIONS}task: panorama\n",
        f"{SCENE.replace('grass', 'grass, image: a.png, strength: 0.5')}{REGIONS}",
        f"{SCENE.replace('grass', 'grass, image: a.png')}{REGIONS}",
    ],
)
def test_what_is_for_bootstrapped_regions_is_for_no_other_scene(scene):
    std = {"masks.std": 2} if "regions" in scene else {}
    assert loaded(scene).filled.values() == {"sampler.steps": 40, **std}


def test_a_stream_of_an_input_keeps_as_much_of_it_as_the_scene_says():
    scene = f"{SCENE}{REGIONS}task: stream\nstream: {{input: a.mp4}}\n"
    advice = "smd: 1\nsampler: {kind: lcm, indices: [0, 25]}\nbootstrapped: {bootstrap: {steps: 1}}\n"
    assert loaded(scene, advice).filled.values() == {"sampler.kind": "lcm"}
    assert plan(scene, advice).stream.strength == plan(scene, "").stream.strength is not None


@pytest.mark.parametrize(
    ("own", "left"),
    [
        ({"sampler__kind": "lcm"}, set()),
        ({"sampler__steps": 30}, set()),
        ({"sampler__indices": [0, 20]}, set()),
        ({"sampler__guidance_scale": 2}, {"sampler.indices", "bootstrap.steps", "bootstrap.mix_steps"}),
        ({"bootstrap__steps": 2}, {"sampler.indices", "sampler.guidance_scale"}),
        ({"bootstrap__steps": 0}, {"sampler.indices", "sampler.guidance_scale"}),
        ({"bootstrap__show_through": True}, {"sampler.indices", "sampler.guidance_scale", "bootstrap.steps"}),
        ({"bootstrap__mix_steps": 1}, {"sampler.indices", "sampler.guidance_scale", "bootstrap.steps"}),
        ({"sampler__indices": None}, {"sampler.indices", "sampler.guidance_scale", "bootstrap.steps"}),
    ],
)
def test_what_a_scene_decides_itself_is_not_recommended(own, left):
    """Options come before the scene, and the scene before its model."""
    found = set(loaded(SCENE + REGIONS, **own).filled.values())
    leak = {"bootstrap.leak_sensitivity"} if left else set()
    mix = {"bootstrap.mix_steps"} if own == {"sampler__indices": None} else set()
    assert found == {*left, *leak, *mix, "masks.std", "masks.cover_alpha"}
    for key, value in own.items():
        section, name = key.split("__")
        if value is not None:
            assert plan(SCENE + REGIONS, **own).to_dict()[section][name] == value


def test_masks_go_key_by_key():
    own = REGIONS.replace("mask: rest", "mask: rest, mask_std: 1")
    assert "masks.std" not in loaded(SCENE + own).filled.values()
    found = loaded(f"{SCENE}{REGIONS}masks: {{std: 0}}\n").filled.values()
    assert "masks.std" not in found
    assert found["masks.cover_alpha"] == 0.1


def test_recommended_values_give_way_to_what_they_do_not_go_with():
    shows = "smd: 1\nbootstrapped: {bootstrap: {show_through: true}, sampler: {late: coupled}}\n"
    assert len(loaded(SCENE + REGIONS, shows).filled.values()) == 2
    unpainted = "smd: 1\ncanvas: {width: 64, height: 64}\n" + REGIONS
    assert loaded(unpainted, shows).filled.values() == {"sampler.late": "coupled"}
    mixing = loaded(SCENE + REGIONS, shows, bootstrap__mix_steps=1)
    assert mixing.filled.values() == {"sampler.late": "coupled"}  # else what the scene says had no effect
    with_lora = SCENE + REGIONS.replace("mask: rest", "mask: rest, loras: [{path: a.safetensors}]")
    assert loaded(with_lora, shows).filled.values() == {"bootstrap.show_through": True}
    with pytest.raises(SceneError, match=r"does not go with sampler\.late: coupled"):
        loaded(with_lora, shows, sampler__late="coupled")


@pytest.mark.parametrize(
    ("own", "advice", "told"),
    [
        (
            "sampler: {guidance: self, guidance_scale: 2}",
            "sampler: {kind: euler, steps: 4}",
            "5:21: sampler.guidance: self needs the lcm or tcd sampler; euler goes with none and full; the "
            "model recommends sampler.kind",
        ),
        (
            "bootstrap: {steps: 4}",
            "sampler: {indices: [0, 9]}",
            "5:20: bootstrap.steps: 4 is more than the sampler's 2 steps; the model recommends "
            "sampler.indices",
        ),
        (
            "bootstrap: {show_through: true}",
            "bootstrapped: {bootstrap: {leak_sensitivity: 0}}",
            "5:27: bootstrap.show_through: nothing shows through where leak_sensitivity is 0; the model "
            "recommends bootstrap.leak_sensitivity",
        ),
        (
            "bootstrap: {steps: 7}",
            "bootstrapped: {bootstrap: {leak_sensitivity: 1}}",
            "5:20: bootstrap.steps: 7 is more than the sampler's 5 steps",  # of its own doing
        ),
    ],
)
def test_a_scene_that_cannot_have_what_is_recommended_is_told(own, advice, told):
    with pytest.raises(SceneError) as error:
        loaded(f"{SCENE}{REGIONS}{own}\n", f"smd: 1\n{advice}\n")
    assert str(error.value) == f"s.yaml:{told}"


def test_a_task_and_points_of_a_matrix_ask_again():
    scene = f"{SCENE}{REGIONS}matrix: {{sampler.steps: [20, 30]}}\n"
    found = loaded(scene)
    assert "sampler.indices" in found.filled.values()
    at_points = [found.at_point(point) for point in found.points()]
    assert [resolve(each.scene, "s", each.base_dir).sampler.steps for each in at_points] == [20, 30]
    assert all({*each.filled.values()} == {"masks.std", "masks.cover_alpha"} for each in at_points)
    assert "bootstrap.steps" not in loaded(SCENE + REGIONS).with_task("panorama").filled.values()


@pytest.mark.parametrize(
    ("family", "kind", "steps"), [("klein", "euler", 4), ("zimage", "euler", 8), ("sdxl", "lcm", 50)]
)
def test_the_usual_sampler_is_that_of_the_family_which_the_model_tells(family, kind, steps):
    done = plan(SCENE, "", family)
    assert (done.sampler.kind, done.sampler.steps, done.model.family) == (kind, steps, "auto")
    assert plan(SCENE, "", family, sampler__kind="euler").sampler.steps == (4 if kind == "lcm" else steps)
    with pytest.raises(SceneError, match="ddim does not go with klein models"):
        plan(SCENE, "", "klein", sampler__kind="ddim")
    named = plan(SCENE, "", family, model={"base": "x", "family": "sd15"})  # which loading will refuse
    assert named.sampler.kind == "lcm"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sampler: {kind: lcm}", ":1:1: smd is missing"),
        ("smd: 2", ":1:6: smd: 2 is not 1"),
        ("[1]", ":1:1: should be a mapping (key: value), not a list"),
        ("smd: 1\nsampler: {kindd: lcm}", ":2:11: sampler.kindd: unknown key; did you mean kind?"),
        (
            "smd: 1\nbootstrapped: {sampler: {kindd: lcm}}",
            ":2:26: bootstrapped.sampler.kindd: unknown key; did",
        ),
        ("smd: 1\nsampler: {steps: 5000}", ":2:18: sampler.steps: 5000 is above 1000"),
        ("smd: 1\nsampler: {indices: [0, 60]}", ":2:24: sampler.indices[1]: 60 is outside the grid of 50"),
        ("smd: 1\nmodel: /etc/passwd", ":2:1: model: unknown key"),
        ("smd: 1\nnegative_prefix: ugly", ":2:1: negative_prefix: unknown key"),
        ("smd: 1\nbackground: {prompt: x}", ":2:1: background: unknown key"),
        ("smd: 1\nbootstrap: {steps: 1}", ":2:1: bootstrap: unknown key; did you mean bootstrapped?"),
        ("smd: 1\nbootstrapped: {masks: {std: .inf}}", ":2:29: bootstrapped.masks.std: "),
        (
            "smd: 1\nbootstrapped: {sampler: {indices: [0]}, bootstrap: {steps: 2}}",
            ":2:60: bootstrapped.bootstrap.steps: 2 is more than the sampler's 1 steps",
        ),
        (
            "smd: 1\nbootstrapped: {bootstrap: {show_through: true, leak_sensitivity: 0}}",
            ":2:42: bootstrapped.bootstrap.show_through: nothing shows through where leak_sensitivity is 0",
        ),
        ("", ": empty; it begins with `smd: 1`, or is left out"),
        ("\n # later\n", ": empty; it begins with `smd: 1`, or is left out"),
        ("smd: 1\nsampler: {kind: lcm, kind: tcd}", ":2:22: "),
        ("smd: 1\nsampler: !!python/name:os.system", ":2:10: "),
    ],
)
def test_what_no_scene_can_have_is_told_with_its_place(text, told):
    with pytest.raises(SceneError) as error:
        read_recommended(text, "m/smd_defaults.yaml", "sd15")
    assert str(error.value).startswith(f"m/smd_defaults.yaml{told}")


def test_a_sampler_that_its_models_cannot_have_is_told():
    with pytest.raises(SceneError, match=r"sampler\.kind: ddim does not go with klein models"):
        read_recommended("smd: 1\nsampler: {kind: ddim}", "m", "klein")


def test_what_a_plan_writes_leaves_nothing_open():
    """A recipe makes the same picture, whatever is recommended later."""
    written = plan(SCENE + REGIONS).to_dict()
    again = loaded(json.dumps(written)).filled.values()
    assert again == {}
    assert plan(json.dumps(written)).to_dict() == written


def test_a_scene_of_many_problems_is_not_validated_once_for_each(monkeypatch):
    validated = []

    def counting(*args: object) -> object:
        validated.append(args)
        return validate(*args)

    monkeypatch.setattr(loader, "validate", counting)
    regions = [{"name": f"r{number}", "prompt": "a tree"} for number in range(60)]
    with pytest.raises(SceneError) as raised:
        loaded(SCENE + f"regions: {json.dumps(regions)}\n")
    assert len(raised.value.problems) == 60
    assert len(validated) <= 1 + len(loaded(SCENE + REGIONS).filled.keys)
