"""`--memory` and `--weights`: where a model lies changes no pixel, and is told and recorded."""

import json
from pathlib import Path

import pytest

from smd_cli.app.verification.computation import Computation, Wanted
from smd_cli.app.verification.pictures import picture_claim
from smd_cli.media.recipe import read_recipe
from tests.cli.program import smd

SCENE = """\
smd: 1
canvas: {width: 128, height: 64}
sampler: {indices: [0, 25], tile: 64}
background: {prompt: grass}
regions: [{name: sun, prompt: the sun, mask: {ellipse: [0.3, 0.5, 0.25, 0.4]}}]
"""


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sunny.yaml").write_text(SCENE)
    return "sunny.yaml"


def rendered(*arguments: str) -> dict:
    done = smd("generate", *arguments, "--json", "-q")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_pixels_are_the_same_wherever_the_model_lies(scene, monkeypatch):
    high = rendered(scene, "-o", "high.png", "--batch", "1")
    low = rendered(scene, "-o", "low.png", "--batch", "1", "--memory", "low")
    monkeypatch.setenv("SMD_MEMORY", "medium")
    medium = rendered(scene, "-o", "medium.png", "--batch", "1")
    reports = (high, medium, low)
    assert [each["device"]["memory"] for each in reports] == ["high", "medium", "low"]
    assert len({each["outputs"][0]["pixels_sha256"] for each in reports}) == 1
    assert read_recipe(Path("low.png")).computation["memory"] == "low"


def test_low_takes_one_view_at_a_time(scene):
    rendered(scene, "-o", "low.png", "--memory", "low")
    assert read_recipe(Path("low.png")).computation["batch"] == 1


def test_a_batch_of_several_scenes_has_its_prompts(scene):
    text = SCENE.replace("the sun", "a red star")
    Path("starry.yaml").write_text(text)
    done = smd("render", scene, "starry.yaml", "--memory", "low", "-q", "--json")
    assert done.exit_code == 0, done.stderr
    low = [each["pixels_sha256"] for each in json.loads(done.stdout)["outputs"]]
    high = [rendered(each, "-o", "a.png", "--overwrite", "--batch", "1") for each in (scene, "starry.yaml")]
    assert low == [each["outputs"][0]["pixels_sha256"] for each in high]


def test_a_picture_is_verified_as_it_was_computed(scene):
    rendered(scene, "-o", "low.png", "--memory", "low")
    settings = Computation.of(picture_claim(Path("low.png")), Wanted()).settings
    assert (settings.memory, settings.weights) == ("low", "full")


def test_the_plan_tells_what_is_chosen_and_why(scene, monkeypatch):
    def plan(*options: str) -> dict:
        return json.loads(smd("plan", scene, "--json", *options).stdout)["memory"]

    assert plan()["placement"] == "high"
    assert plan("--memory", "low") == plan("--memory", "low") | {"placement": "low", "free_bytes": None}
    monkeypatch.setattr("smd_cli.app.models.free_memory_bytes", lambda device: 2**20)
    scarce = plan()
    assert scarce["placement"] == "low"
    assert scarce["free_bytes"] > 0
    assert "low, as " in smd("plan", scene).stdout
    monkeypatch.setattr("smd_cli.app.render_plan.free_memory_bytes", lambda device: 2**20)
    assert "low, and only 1 MiB are free" in smd("plan", scene).stdout


@pytest.mark.parametrize(
    ("option", "known"), [("memory", "auto, low, medium, high"), ("weights", "full, int8, fp8")]
)
def test_words_that_are_unknown_are_told_with_those_that_are(scene, option, known):
    done = smd("generate", scene, f"--{option}", "some")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{option} some: unknown; choose {known}" in done.stderr


def test_weights_that_cannot_be_are_told_before_the_model_is_loaded(scene, monkeypatch):
    monkeypatch.setattr("smd_cli.models.quantization.find_spec", lambda name: None)
    for command in ("generate", "plan"):
        done = smd(command, scene, "--weights", "int8")
        assert done.exit_code == 5
        assert "weights int8: needs torchao; pip install 'smd-cli[quantize]', or choose full" in done.stderr
