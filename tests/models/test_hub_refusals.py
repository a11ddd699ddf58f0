"""The hub: what is said when something is not there, and when it is not asked at all."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.models.hub import CONFIGS, TEXT, TOKEN, UNET, VAE

NO_NETWORK = """
import sys
def forbid(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        print("network:", event, arguments, file=sys.stderr)
        sys.exit("network")
sys.addaudithook(forbid)
"""


def test_several_files_that_can_be_meant_are_listed(hub, styles, folder):
    for number in range(20):
        (styles / f"style_{number:02}.safetensors").write_bytes(b"")
    hub.add("owner/styles", styles)
    several, wrong = hub.locate("owner/styles", "owner/styles/typo.safetensors", config=str(folder))
    assert "which checkpoint? There are 21, my_style_v2.safetensors, style_00" in several["error"]
    assert "style_06.safetensors and 13 more; add the name of one" in several["error"]
    assert "owner/styles has no typo.safetensors; its weights are my_style_v2" in wrong["error"]
    assert hub.fetched() == []


def test_pickles_are_not_even_fetched(hub, copy, styles):
    for path in (UNET, VAE, TEXT):
        (copy / path).rename((copy / path).with_suffix(".bin"))
    (styles / "my_style_v2.safetensors").unlink()
    shutil.rmtree(styles / "older")
    hub.add("owner/folder", copy)
    hub.add("owner/file", styles)
    for answer in hub.locate("owner/folder", "owner/file", "owner/file/my_style_v2.ckpt"):
        assert "pickled weights can run code and are never opened" in answer["error"]
    assert hub.fetched() == CONFIGS


def test_what_the_hub_refuses(hub, copy):
    hub.add("owner/model", copy)
    hub.add("owner/gated", copy, gated=True)
    asked = {
        "owner/none": "neither a path here nor a model on Hugging Face (a private one needs HF_TOKEN)",
        "some/folder/none.safetensors": "neither a path here nor a model on Hugging Face",
        "owner/gated": "gated on Hugging Face; accept its terms at http://127.0.0.1",
        "owner/model@v9": "Hugging Face has no such revision",
        "hf://owner/model@": "names no model of Hugging Face (Empty revision",
        "https://huggingface.co/owner": "names no model of Hugging Face",
        "https://huggingface.co/datasets/owner/pictures": "a dataset of Hugging Face, not a model",
        "https://[example": "names no model of Hugging Face",
        "https://example.com/models/7": "only models of Hugging Face are fetched; download the file",
        "owner/model/nothing": "owner/model has no nothing; its weights are text_encoder/model",
    }
    for (reference, words), answer in zip(asked.items(), hub.locate(*asked), strict=True):
        assert answer["error"].startswith(f"{reference}: ")
        assert words in answer["error"]
        assert "\n" not in answer["error"]
    assert asked["owner/gated"] in hub.locate("owner/gated", token="hf_of_somebody_else")["error"]
    assert "weights" in hub.locate("owner/gated", token=TOKEN)


def test_check_asks_nobody_whether_a_model_is_here(hub, folder, tmp_path):
    hub.add("owner/model", folder)
    scene = tmp_path / "scene.yaml"
    scene.write_text(
        "smd: 1\ncanvas: {width: 64, height: 64}\nbackground: {prompt: x}\n"
        "sampler: {kind: ddim}\nmodel: owner/model\n"
    )

    def check():
        (done,) = hub.smd(["check", str(scene)])
        assert done.code == 0
        return done.out

    assert f"model  not here: {scene}:5:8: model: owner/model: " in check()
    assert hub.requests == []
    hub.locate("owner/model")
    hub.fetched()
    assert "model  owner/model: here" in check()
    assert hub.requests == []


@pytest.mark.parametrize("command", [["generate", "-o", "a.jpg"], ["stream", "--name", "{hash}.gif"]])
def test_a_dry_run_fetches_no_model_for_the_name_or_the_recipe(hub, folder, tmp_path, command):
    hub.add("owner/model", folder)
    scene = tmp_path / "scene.yaml"
    scene.write_text(
        "smd: 1\ncanvas: {width: 64, height: 64}\nbackground: {prompt: x}\n"
        "sampler: {kind: ddim}\nmodel: owner/model\n"
    )
    (done,) = hub.smd([*command, str(scene), "--dry-run"])
    assert (done.code, "smd models pull fetches it" in done.err) == (4, True)
    assert hub.requests == []


def test_a_hub_that_is_down(hub, copy):
    hub.add("owner/model", copy)
    hub.is_down = True
    assert "the hub cannot be reached" in hub.locate("owner/model")["error"]
    hub.endpoint = "http://127.0.0.1:9"
    assert "the hub cannot be reached" in hub.locate("owner/model")["error"]


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", NO_NETWORK + code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.slow
def test_local_models_load_without_any_network(folder, single_file, tmp_path):
    code = f"""
import torch
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
specs = [ModelSpec({str(folder)!r}), ModelSpec({str(single_file)!r}, config={str(folder)!r})]
for spec in [ModelSpec("flatland"), *specs]:
    backbone = load(locate(spec), torch.device("cpu"), torch.float32)
    print(backbone.encode_prompts(["a"]).embeds.shape)
"""
    done = run(code, HF_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("torch.Size([1, 77, 32])") == 2
    assert done.stdout.count("torch.Size([1, 77, 128])") == 1


@pytest.mark.parametrize("how", ["offline=True", ""])
def test_offline_asks_nobody(how, tmp_path):
    code = f"""
from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.hub import go_offline
{"" if how else "go_offline()"}
try:
    locate(ModelSpec("owner/model"), {how})
except AssetError as error:
    print(error)
"""
    done = run(code, HF_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "owner/model: neither a path here nor whole in the Hugging Face cache" in done.stdout
    assert str(tmp_path) in done.stdout
