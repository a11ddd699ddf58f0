"""Stable Diffusion 2.x and SD-Turbo: told from SD1.5, pictures and streams of one step, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.facts import ModelFacts
from tests.checkpoints.sd15 import SD2, SD15
from tests.cli.program import smd
from tests.models.conftest import edit_json
from tests.models.outcomes import facts, failure

TURBO = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}
FACTS = ModelFacts("sd2", 64, 8, 4, "epsilon", few_step=False)
SCENE = """
smd: 1
canvas: {width: 64, height: 64}
model: ./model
sampler: {kind: euler, steps: 1}
bootstrap: {steps: 0}
background: {prompt: grass}
regions:
- {name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 0.5]}}
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small SD2 in a folder, beside a scene of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    return SD2.make_folder(tmp_path / "model")


def test_it_is_known_in_every_layout(model, tmp_path):
    assert facts(model) == FACTS
    assert facts(SD2.make_file(tmp_path), config=str(model)) == FACTS
    (model / "model_index.json").unlink()
    assert facts(model) == FACTS
    assert facts(SD15.make_folder(tmp_path / "first")).family == "sd15"


def test_a_file_says_itself_what_it_predicts(model, tmp_path):
    """SD2.1 for 768 px and SD-Turbo have tensors of the same names and shapes."""
    file = SD2.make_file(tmp_path)
    file.with_suffix(".yaml").write_text("model: {params: {parameterization: v}}")
    assert facts(file, config=str(model)) == replace(FACTS, prediction_type="v_prediction")


def test_configs_that_are_not_here_are_those_of_sd_turbo(tmp_path):
    told = failure(ModelSpec(str(SD2.make_file(tmp_path))))
    assert "stabilityai/sd-turbo" in told
    assert "or set model.config to a diffusers folder of that family" in told


def test_ordinary_weights_have_no_lora_for_lcm(model):
    told = failure(ModelSpec(str(model)), few_step=True)
    assert "no LoRA is known that makes sd2 models such" in told
    SD2.write_scheduler(model, **TURBO)
    assert locate(ModelSpec(str(model)), few_step=True, offline=True).loras == ()


@pytest.mark.parametrize("sampler", ["{kind: euler, steps: 1}", "{indices: [0]}", "{kind: tcd, steps: 1}"])
def test_sd_turbo_paints_in_one_step(model, sampler, tmp_path):
    SD2.write_scheduler(model, **TURBO)
    done = smd("generate", "s.yaml", "--set", f"sampler={sampler}", "--offline", "-o", "one.png", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["work"]["model_evaluations"] == 2
    streamed = smd(
        *("stream", "s.yaml", "--set", f"sampler={sampler}", "--set", "stream.frames=3", "--offline"),
        *("-o", "frames.png"),
    )
    assert streamed.exit_code == 0, streamed.stderr
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "frames.png") as film:
        painted = torch.tensor(list(one.convert("RGB").tobytes()))
        for frame in range(3):
            film.seek(frame)
            shown = torch.tensor(list(film.convert("RGB").tobytes()))
            assert (shown - painted).abs().max() <= 1


def test_many_steps_of_weights_distilled_for_few_are_warned_of(model):
    SD2.write_scheduler(model, **TURBO)
    for sampler, warned in (("{kind: dpmpp}", 1), ("{kind: dpmpp, steps: 2}", 0), ("{kind: euler}", 0)):
        done = smd("generate", "s.yaml", "--set", f"sampler={sampler}", "--offline", "--overwrite", "--json")
        assert done.exit_code == 0, done.stderr
        told = [each["text"] for each in json.loads(done.stdout)["warnings"]]
        assert (
            told
            == ["the model was distilled for few steps, and takes 25; set sampler.steps to 1 to 8"] * warned
        )


def test_loras_of_the_other_version_are_told_by_their_shapes(model, tmp_path):
    SD15.make_lora(tmp_path)
    lora = "model={base: ./model, loras: [{path: ./lora.safetensors}]}"
    for command in (("check",), ("generate", "--offline")):
        done = smd(*command, "s.yaml", "--set", lora)
        assert done.exit_code == 4
        (line,) = [line for line in done.stderr.splitlines() if "lora.safetensors" in line]
        assert "this LoRA was made for another model: other shapes in " in line
    assert not list(tmp_path.glob("*.png"))


def test_models_that_are_told_a_picture_are_refused(model, tmp_path):
    edit_json(model / "model_index.json", _class_name="StableUnCLIPImg2ImgPipeline")
    assert "family StableUnCLIPImg2ImgPipeline is not supported" in failure(ModelSpec(str(model)))
    file = SD2.make_file(tmp_path)
    save_file({**load_file(file), "noise_augmentor.alphas_cumprod": torch.ones(1000)}, file)
    assert "family sd2-unclip is not supported" in failure(ModelSpec(str(file)))
