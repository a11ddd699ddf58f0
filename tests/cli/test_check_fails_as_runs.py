"""What a run would refuse before it renders, `smd check` refuses with the same line and code."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from smd_cli.models.sources import open_files
from tests.cli.program import smd

START = "smd: 1\ncanvas: {width: 128, height: 64}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    return tmp_path


@pytest.fixture
def unusual(tmp_path):
    """A model folder whose scheduler's config says something else than most."""
    embedded = open_files("flatland", offline=True).fetch(())

    def make(**changes):
        folder = shutil.copytree(embedded, tmp_path / "unusual", copy_function=os.symlink)
        config = folder / "scheduler" / "scheduler_config.json"
        said = {**json.loads(config.read_text()), **changes}
        config.unlink()
        config.write_text(json.dumps(said))
        return "unusual"

    return make


def refusal(command: str, *lines: str, start: str = START) -> dict:
    """The one problem that `check` and a run have with a scene."""
    Path("s.yaml").write_text(start + "\n".join(lines) + "\n")
    done, run = smd("check", "s.yaml", "--json"), smd(command, "s.yaml", "--json")
    (problem,) = json.loads(done.stdout)["problems"]
    assert json.loads(run.stdout)["problems"] == [problem]
    assert done.exit_code == run.exit_code != 0
    assert json.loads(done.stdout)["scenes"][0]["ok"] is False
    return {"code": done.exit_code, **problem}


KEYFRAME = "stream: {frames: 9, timeline: [{at: 6, ease: %s, background: {prompt: ''}}]}"


@pytest.mark.parametrize("ease", ["none", "linear"])
@pytest.mark.parametrize("task", ["task: stream", ""])
def test_a_keyframe_leaves_something_to_paint(ease, task):
    told = refusal("stream", "background: {prompt: grass}", KEYFRAME % ease, task)
    assert (told["code"], told["line"], told["key"]) == (3, 4, "stream.timeline[0]")
    assert "nothing to paint" in told["text"]


def test_a_keyframe_leaves_a_prompt_that_the_picture_is_repainted_from(folder):
    Image.new("RGB", (64, 64)).save("photo.png")
    regions = "regions: [{name: a, prompt: b, mask: {box: [0, 0, 1, 1]}}]"
    background = "background: {prompt: grass, image: photo.png, strength: 0.5}"
    told = refusal("stream", background, KEYFRAME % "none", regions)
    assert (told["code"], told["key"]) == (3, "stream.timeline[0]")
    assert "prompt" in told["text"]


def test_each_frame_of_a_folder_is_a_picture(folder):
    (folder / "frames").mkdir()
    for number in range(4):
        Image.new("RGB", (64, 64)).save(folder / "frames" / f"{number}.png")
    (folder / "frames" / "2.png").write_text("none")
    told = refusal("stream", "background: {prompt: grass}", "stream: {input: frames}")
    assert (told["code"], told["line"], told["key"]) == (4, 4, "stream.input")
    assert "frame 2 of 4 cannot be read" in told["text"]
    Path("s.yaml").write_text(f"{START}background: {{prompt: grass}}\nstream: {{input: frames, frames: 2}}\n")
    assert smd("check", "s.yaml").exit_code == 0  # the others are not asked for


def test_regions_alone_are_enough():
    regions = "regions: [{name: a, prompt: b, mask: {box: [0, 0, 1, 1]}}]"
    scene = f"{START}background: {{prompt: grass}}\n{KEYFRAME % 'linear'}\n{regions}\n"
    Path("s.yaml").write_text(scene)
    assert smd("check", "s.yaml").exit_code == 0


def test_a_canvas_wraps_around_the_model_s_own_tiles():
    told = refusal("generate", "background: {prompt: grass}", start=START.replace("64}", "64, wrap: x}"))
    assert (told["code"], told["line"], told["key"]) == (3, 2, "canvas.width")
    assert "ring of tiles" in told["text"]


def test_a_sampler_takes_no_more_steps_than_the_model_was_trained_on(unusual):
    model = f"model: ./{unusual(num_train_timesteps=100, trained_betas=None)}"
    told = refusal("generate", "background: {prompt: grass}", "sampler: {kind: ddim, steps: 100}", model)
    assert (told["code"], told["line"], told["key"]) == (3, 4, "sampler.steps")
    assert "1 to 99 steps" in told["text"]


def test_consistency_models_have_a_grid(unusual):
    model = f"model: ./{unusual(num_train_timesteps=40, trained_betas=None)}"
    assert "training timesteps" in refusal("generate", "background: {prompt: grass}", model)["text"]


def test_steps_of_noise_alone_are_found(unusual):
    model = f"model: ./{unusual(trained_betas=None, rescale_betas_zero_snr=True)}"
    told = refusal("generate", "background: {prompt: grass}", "sampler: {kind: ddim, steps: 999}", model)
    assert told["code"] == 4
    assert "only noise is left" in told["text"]


def test_all_betas_count(unusual):
    model = f"model: ./{unusual(trained_betas=[1.0] * 1000)}"
    assert "only noise is left" in refusal("generate", "background: {prompt: grass}", model)["text"]


LAYER = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
PARTS = {
    "of another size": ({f"{LAYER}.lora_A.weight": (2, 5), f"{LAYER}.lora_B.weight": (5, 2)}, "other shapes"),
    "of other layers": ({"unet.zz.lora_A.weight": (2, 5), "unet.zz.lora_B.weight": (5, 2)}, "unknown naming"),
}


@pytest.mark.parametrize(("tensors", "says"), PARTS.values(), ids=PARTS)
def test_a_lora_is_of_the_model(tensors, says):
    save_file({name: torch.ones(shape) for name, shape in tensors.items()}, "lora.safetensors")
    model = "model: {base: flatland, loras: [{path: lora.safetensors}]}"
    told = refusal("generate", "background: {prompt: grass}", model)
    assert (told["code"], told["line"], told["key"]) == (4, 4, "model.loras[0]")
    assert says in told["text"]
    assert smd("plan", "s.yaml").exit_code == 4


def test_an_autoencoder_is_of_the_family(folder):
    vae = open_files("flatland", offline=True).fetch(()) / "vae"
    shutil.copytree(vae, folder / "vae")
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    save_file({**tensors, min(tensors): torch.ones(3)}, weights)
    told = refusal("generate", "background: {prompt: grass}", "model: {base: flatland, vae: ./vae}")
    assert (told["code"], told["line"], told["key"]) == (4, 4, "model.vae")
    assert "does not fit" in told["text"]


def test_two_textual_inversions_have_two_words():
    save_file({"<cat>": torch.ones(1, 128)}, "cat.safetensors")
    twice = ", ".join(["{path: cat.safetensors}"] * 2)
    told = refusal("generate", "background: {prompt: <cat>}", f"model: {{textual_inversions: [{twice}]}}")
    assert (told["code"], told["line"], told["key"]) == (4, 4, "model.textual_inversions[1]")
    planned = smd("plan", "s.yaml", "--json")
    assert planned.exit_code == 4
    assert json.loads(planned.stdout)["problems"][0]["text"] == told["text"]
