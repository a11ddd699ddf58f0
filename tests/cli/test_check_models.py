"""What `smd check` says of a scene's models: which are here. No weights are read, nothing is fetched."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from smd_cli.models.sources import open_files
from tests.cli.program import smd

SCENE = "smd: 1\ncanvas: {width: 256, height: 256}\nbackground: {prompt: grass}\n"


@pytest.fixture
def scene(tmp_path):
    def write(model="flatland"):
        path = tmp_path / "scene.yaml"
        path.write_text(f"{SCENE}model: {model}\n")
        return str(path)

    return write


@pytest.fixture
def ordinary(tmp_path):
    """A model folder without the LCM-LoRA and the autoencoder that the embedded one has."""
    embedded = open_files("flatland", offline=True).fetch(())
    without = shutil.ignore_patterns("lcm_lora", "vae")
    return shutil.copytree(embedded, tmp_path / "ordinary", copy_function=os.symlink, ignore=without)


def check(*arguments):
    """The models as the document lists them; the scene itself is good all the while."""
    done = smd("check", *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)["scenes"][0]["models"]


def refused(path):
    """The one line about a model that is here and cannot be used, which a run ends with as well."""
    done, run = smd("check", path, "--json"), smd("generate", path, "--json")
    assert (done.exit_code, run.exit_code) == (4, 4)
    (problem,) = json.loads(done.stdout)["problems"]
    assert json.loads(run.stdout)["problems"] == [problem]
    return problem["text"]


def test_the_embedded_model_is_here(scene):
    done = smd("check", scene())
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == [
        "  model  flatland: here",
        "  model.lcm_lora  flatland/lcm_lora: here",
    ]
    (base,) = check(scene(), "--set", "sampler.kind=ddim")
    place = {"file": scene(), "line": 4, "column": 8, "key": "model", "option": None}
    about = {"role": "base", "source": "flatland", "present": True, "use": "", "problem": None}
    assert base == {**about, **place}


def test_a_path_that_leads_nowhere_is_a_mistake_of_the_scene(scene):
    assert "none.safetensors: no such file" in refused(scene("./none.safetensors"))
    assert "no such file" in refused(scene("{base: flatland, loras: [{path: none.safetensors}]}"))


def test_what_a_run_would_fetch_is_told_and_the_scene_is_good(scene, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    done = smd("check", scene("owner/name@v1"))
    assert done.exit_code == 0
    assert f"  model  not here: {tmp_path / 'scene.yaml'}:4:8: model: owner/name@v1" in done.stdout
    (hub,) = check(scene("owner/name@v1"))
    assert (hub["source"], hub["present"]) == ("owner/name@v1", False)
    assert "smd models pull fetches it" in hub["problem"]


def test_parts_are_looked_for_where_the_model_itself_is_missing(scene, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "there.safetensors").write_bytes(b"")
    for file, present in (("there", None), ("gone", False)):
        found = check(scene(f"{{base: owner/name, vae: {file}.safetensors}}"))
        assert [(model["role"], model["present"]) for model in found] == [("base", False), ("vae", present)]


def test_loras_of_regions_are_told_with_their_places(scene, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    done = smd("check", scene(), "--set", "background.loras=[{path: owner/ink}]")
    assert "  background.loras[0]  not here: " in done.stdout


def test_a_model_is_here_with_the_autoencoder_that_it_lacks(scene, ordinary):
    lone = scene(f"{{base: {ordinary}, lcm_lora: none}}")
    assert "holds no autoencoder" in refused(lone)
    found = check(scene(f"{{base: {ordinary}, vae: flatland, lcm_lora: none}}"))
    assert [(model["role"], model["present"]) for model in found] == [("base", True), ("vae", True)]


def test_files_that_are_not_what_they_are_called_are_found(scene, ordinary):
    weights = ordinary / "unet/diffusion_pytorch_model.safetensors"
    weights.unlink()
    weights.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "a pointer of Git LFS" in refused(scene(f"{{base: {ordinary}, vae: flatland, lcm_lora: none}}"))


def test_the_model_of_an_option_counts(scene, ordinary, monkeypatch):
    assert check(scene("./none.safetensors"), "--model", "flatland")[0]["present"]
    monkeypatch.setenv("SMD_MODEL", str(ordinary))
    assert str(ordinary) in refused(scene())


def test_it_stays_quick(scene):
    code = (
        "import sys; from smd_cli.cli.app import app\n"
        f"try: app(['check', {scene()!r}])\n"
        "finally: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "model  flatland: here" in done.stdout
    slow = {"torch", "numpy", "diffusers", "transformers", "huggingface_hub"}
    assert not slow & set(done.stdout.split())
