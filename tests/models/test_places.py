"""What is wrong with a model is told at the place that names it, by every command, in words and in JSON."""

import json

import pytest
import torch
from safetensors.torch import save_file

from tests.cli.program import smd

SCENE = """\
smd: 1
canvas: {{width: 64, height: 64}}
sampler: {{kind: {kind}, guidance: none}}
model:
  {model}
background: {{prompt: a}}
"""


@pytest.fixture
def scene(copy, single_file, tmp_path, monkeypatch):
    """Write a scene of the small model, here `model`, and return how commands are asked about it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.safetensors").write_text("no weights")
    (tmp_path / "single.safetensors").symlink_to(single_file)

    def write(model: str, kind: str = "ddim") -> dict[str, tuple[str, ...]]:
        (tmp_path / "s.yaml").write_text(SCENE.format(model=model, kind=kind))
        scene = ("s.yaml", "--offline")
        return {
            "plan": ("plan", *scene),
            "generate": ("generate", *scene, "-o", "x.png"),
            "stream": ("stream", *scene, "--frames", "2", "-o", "x.gif"),
        }

    return write


PARTS = {
    "base": ("base: ./text.safetensors", "s.yaml:5:9: model.base: "),
    "vae": ("{base: ./model, vae: ./text.safetensors}", "s.yaml:5:24: model.vae: "),
    "lora": (
        "{base: ./model, loras: [{path: ./lora.safetensors}, {path: ./text.safetensors}]}",
        "s.yaml:5:55: model.loras[1]: ",
    ),
    "textual_inversion": (
        "{base: ./model, textual_inversions: [{path: ./text.safetensors}]}",
        "s.yaml:5:40: model.textual_inversions[0]: ",
    ),
    "config": ("{base: ./single.safetensors, config: ./text.safetensors}", "s.yaml:5:40: model.config: "),
}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_told_at_its_place_by_all_commands(scene, part, tmp_path):
    save_lora(tmp_path / "lora.safetensors")
    model, place = PARTS[part]
    for command in scene(model).values():
        done = smd(*command)
        assert (done.exit_code, done.stderr.count("\n")) == (4, 1), done.stderr
        assert done.stderr.startswith(place), command
        (problem,) = json.loads(smd(*command, "--json").stdout)["problems"]
        line, column, key = place.removeprefix("s.yaml:").removesuffix(": ").split(":")
        told = [problem[name] for name in ("file", "line", "column", "key")]
        assert told == ["s.yaml", int(line), int(column), key.strip()]
        assert done.stderr == f"{place}{problem['text']}\n"


@pytest.mark.parametrize("part", PARTS)
def test_check_tells_each_part_at_its_place(scene, part, tmp_path):
    save_lora(tmp_path / "lora.safetensors")
    model, place = PARTS[part]
    scene(model)
    (found,) = json.loads(smd("check", "s.yaml", "--json").stdout)["scenes"]
    (bad,) = [each for each in found["models"] if each["present"] is False]
    assert bad["problem"].startswith(place)
    assert part in (bad["role"], "config")
    done = smd("check", "s.yaml")
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr.startswith(place)
    assert all(each["file"] == "s.yaml" and each["line"] == 5 for each in found["models"])


def test_the_lcm_lora_is_told_where_it_is_named_else_where_the_model_is(scene):
    for model, place in (
        ("{base: ./model, lcm_lora: ./none.safetensors}", "s.yaml:5:29: model.lcm_lora: "),
        ("base: ./model", "s.yaml:5:9: model.base: "),
    ):
        for command in scene(model, kind="lcm").values():
            assert smd(*command).stderr.startswith(place)


@pytest.mark.parametrize(
    ("option", "place"),
    [
        (["--model", "./text.safetensors"], "--model ./text.safetensors: "),
        (["--set", "model=./text.safetensors"], "--set model=./text.safetensors: "),
        (["--set", "model.vae=./text.safetensors"], "--set model.vae=./text.safetensors: "),
    ],
)
def test_an_option_that_gives_a_model_is_its_place(scene, option, place):
    for command in scene("base: ./model").values():
        assert smd(*command, *option).stderr.startswith(place)
        (problem,) = json.loads(smd(*command, *option, "--json").stdout)["problems"]
        assert (problem["file"], problem["option"]) == (None, place.removesuffix(": "))


def test_a_model_that_is_one_word_is_called_model(scene, tmp_path):
    command = scene("base: x")["generate"]
    text = (tmp_path / "s.yaml").read_text().replace("model:\n  base: x", "model: ./text.safetensors")
    (tmp_path / "s.yaml").write_text(text)
    assert smd(*command).stderr.startswith("s.yaml:4:8: model: ")


def test_what_shows_only_when_weights_are_read_is_told_at_its_place(scene, tmp_path):
    save_lora(tmp_path / "wide.safetensors", width=7)
    place = "s.yaml:5:27: model.loras[0]: "
    for name, command in scene("{base: ./model, loras: [{path: ./wide.safetensors}]}").items():
        done = smd(*command)
        assert name == "plan" or done.stderr.startswith(place), done.stderr


def test_what_shows_only_in_the_picture_is_told_at_its_place(scene, tmp_path):
    save_lora(tmp_path / "nan.safetensors", fill=torch.nan)
    torch.manual_seed(0)
    vectors = {"emb_params": torch.full((1, 32), torch.inf)}
    save_file(vectors, tmp_path / "word.safetensors")
    word = "textual_inversions: [{path: word.safetensors, token: a}]"
    commands = scene(f"{{base: ./model, loras: [{{path: nan.safetensors}}], {word}}}")
    for name, command in commands.items():
        done = smd(*command)
        if name != "plan":
            first, second = done.stderr.splitlines()
            assert first.startswith("s.yaml:5:27: model.loras[0]: ")
            assert second.startswith("s.yaml:5:74: model.textual_inversions[0]: ")
            assert done.exit_code == 4


def save_lora(path, width=32, fill=0.0):
    """A LoRA for one layer of the text encoder, of 32 numbers in and out."""
    layer = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    down, up = torch.full((2, width), fill), torch.zeros(32, 2)
    save_file({f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}, path)
