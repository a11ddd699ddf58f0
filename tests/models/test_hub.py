"""The hub: what a reference names there, and which files are fetched."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from smd_cli.models.assets import ModelSpec, locate
from tests.models.hub import CONFIGS, TEXT, UNET, VAE


def lora(value):
    """The factors of one layer, as different files as there are values."""
    return {f"unet.x.lora_{factor}.weight": torch.full((1, 1), float(value)) for factor in "AB"}


def test_a_download_takes_what_is_needed_and_then_needs_no_hub(hub, copy, folder):
    (copy / "unet/diffusion_pytorch_model.non_ema.safetensors").write_bytes(b"large")
    (copy / "unet/diffusion_pytorch_model.fp16.safetensors").write_bytes(b"large")
    (copy / "safety_checker").mkdir()
    (copy / "safety_checker/config.json").write_text("{}")
    (copy / "v1-5-pruned.ckpt").write_bytes(b"large")
    (copy / "v1-5-pruned.safetensors").write_bytes(b"large")
    repository = hub.add("owner/model", copy)
    got = hub.locate("owner/model")
    assert got["revision"] == repository.find("main")[0]
    assert got["sha256"] == locate(ModelSpec(str(folder))).sha256
    assert hub.fetched() == sorted([*CONFIGS, UNET, VAE, TEXT])
    assert hub.locate("owner/model") == got
    assert hub.fetched() == []
    hub.is_down = True
    assert hub.locate("owner/model", offline=True) == got
    assert hub.requests == []


def test_weights_are_fetched_only_for_a_model_that_can_run(hub, copy, make):
    make.edit_json(copy / "unet/config.json", in_channels=9)
    hub.add("owner/model", copy)
    assert "9 channels" in hub.locate("owner/model")["error"]
    assert hub.fetched() == CONFIGS
    make.edit_json(copy / "model_index.json", _class_name="FluxPipeline")
    hub.add("owner/other", copy)
    assert "family FluxPipeline is not supported yet" in hub.locate("owner/other")["error"]
    assert not any(name.endswith(".safetensors") for name in hub.fetched())


def test_a_repository_of_fp16_variants(hub, copy):
    for path in (UNET, VAE, TEXT):
        (copy / path).rename((copy / path).with_suffix(".fp16.safetensors"))
    hub.add("owner/half", copy)
    weights = hub.locate("owner/half")["weights"]
    assert weights["unet"] == ["diffusion_pytorch_model.fp16.safetensors"]
    assert weights["text_encoder"] == ["model.fp16.safetensors"]
    assert len(hub.fetched()) == len(CONFIGS) + 3


@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_shards_are_fetched_by_their_index(variant, hub, copy):
    weights = load_file(copy / UNET)
    names = [f"diffusion_pytorch_model{variant}-0000{part}-of-00002.safetensors" for part in (1, 2)]
    for part, name in enumerate(names):
        save_file({key: weights[key] for key in sorted(weights)[part::2]}, copy / "unet" / name)
    where = {key: names[number % 2] for number, key in enumerate(sorted(weights))}
    index = f"{UNET}.index{variant}.json"
    (copy / index).write_text(json.dumps({"weight_map": where}))
    (copy / UNET).unlink()
    (copy / "unet/unrelated-00001-of-00001.safetensors").write_bytes(b"large")
    hub.add("owner/shards", copy)
    assert hub.locate("owner/shards")["weights"]["unet"] == names
    assert hub.fetched() == sorted([*CONFIGS, VAE, TEXT, index, *(f"unet/{name}" for name in names)])


REFERENCES = {
    "owner/styles": "my_style_v2.safetensors",
    "owner/styles/my_style_v2.safetensors": "my_style_v2.safetensors",
    "owner/styles@main/my_style_v2.safetensors": "my_style_v2.safetensors",
    "owner/styles/my_style_v2.safetensors@main": "my_style_v2.safetensors",
    "owner/styles@main": "my_style_v2.safetensors",
    "hf://owner/styles/older/my style.safetensors": "my style.safetensors",
    "owner/styles/older": "my style.safetensors",
    "https://huggingface.co/owner/styles/blob/main/my_style_v2.safetensors": "my_style_v2.safetensors",
    "https://huggingface.co/owner/styles/resolve/main/older/my%20style.safetensors?download=true": (
        "my style.safetensors"
    ),
    "huggingface.co/owner/styles/tree/main": "my_style_v2.safetensors",
    "https://hf.co/owner/styles": "my_style_v2.safetensors",
}


def test_files_of_a_repository_by_all_their_references(hub, styles, folder):
    hub.add("owner/styles", styles)
    answers = hub.locate(*REFERENCES, config=str(folder))
    for (reference, file), got in zip(REFERENCES.items(), answers, strict=True):
        assert got.get("weights") == {part: [file] for part in ("unet", "vae", "text_encoder")}, reference
    assert hub.fetched() == ["my_style_v2.safetensors", "older/my style.safetensors"]


def test_the_inference_config_beside_a_file_comes_with_it(hub, styles, copy):
    config = json.loads((copy / "scheduler/scheduler_config.json").read_text())
    del config["prediction_type"]
    (copy / "scheduler/scheduler_config.json").write_text(json.dumps(config))
    (styles / "my_style_v2.yaml").write_text("model: {params: {parameterization: v}}\n")
    (styles / "other.yaml").write_text("a: 1\n")
    hub.add("owner/styles", styles)
    assert hub.locate("owner/styles", config=str(copy))["predicts"] == "v_prediction"
    assert hub.fetched() == ["my_style_v2.safetensors", "my_style_v2.yaml"]


def test_a_revision_has_files_of_its_own(hub, styles, folder, make, tmp_path):
    (tmp_path / "then").mkdir()
    then = {name: tensor + 1 for name, tensor in load_file(styles / "my_style_v2.safetensors").items()}
    save_file(then, tmp_path / "then/my_style_v1.safetensors")
    repository = hub.add("owner/styles", styles)
    repository.revisions["v1"] = tmp_path / "then"
    commit, _ = repository.find("v1")
    references = ("owner/styles@v1", "owner/styles@v1/my_style_v1.safetensors", f"owner/styles@{commit}")
    old = hub.locate(*references, config=str(folder))
    assert {got["revision"] for got in old} == {commit}
    assert {got["weights"]["unet"][0] for got in old} == {"my_style_v1.safetensors"}
    new = hub.locate("owner/styles", config=str(folder))
    assert new["sha256"] not in {got["sha256"] for got in old}
    assert hub.fetched() == ["my_style_v1.safetensors", "my_style_v2.safetensors"]


def test_parts_come_from_the_hub_by_the_same_references(hub, folder, styles, make, tmp_path):
    other = make.model(tmp_path / "other")
    hub.add("owner/model", folder)
    hub.add("owner/styles", styles)
    hub.add("owner/vae", other / "vae")
    loras = tmp_path / "loras"
    (loras / "sub").mkdir(parents=True)
    for number, name in enumerate(("few.safetensors", "sub/x.safetensors")):
        save_file(lora(number), loras / name)
    hub.add("owner/loras", loras)
    got = hub.locate(
        "owner/styles",
        few_step=True,
        config="owner/model",
        vae="owner/vae",
        loras=["owner/loras/sub/x.safetensors"],
        lcm_lora="hf://owner/loras",
    )
    assert got["loras"] == ["x.safetensors", "few.safetensors"]
    assert got["weights"]["vae"] == ["diffusion_pytorch_model.safetensors"]
    fetched = ["my_style_v2.safetensors", *CONFIGS, "config.json", Path(VAE).name]
    assert hub.fetched() == sorted([*fetched, "few.safetensors", "sub/x.safetensors"])
    assert "vae" in hub.locate("owner/model", vae="owner/model")["weights"]


@pytest.mark.parametrize("reference", ["owner/peft", "owner/peft/adapter_model.safetensors"])
def test_a_lora_of_peft_comes_with_its_config(reference, hub, folder, tmp_path):
    peft = tmp_path / "peft"
    peft.mkdir()
    save_file(lora(1), peft / "adapter_model.safetensors")
    (peft / "adapter_config.json").write_text("{}")
    (peft / "training_state.json").write_text("{}")
    hub.add("owner/peft", peft)
    assert hub.locate(str(folder), loras=[reference])["loras"] == ["adapter_model.safetensors"]
    assert hub.fetched() == ["adapter_config.json", "adapter_model.safetensors"]


def test_a_model_may_bring_its_lcm_lora(hub, copy, make):
    (copy / "lcm_lora").mkdir()
    own = "lcm_lora/pytorch_lora_weights.safetensors"
    save_file(lora(1), copy / own)
    hub.add("owner/model", copy)
    assert hub.locate("owner/model")["loras"] == []
    assert own not in hub.fetched()
    page = "https://huggingface.co/owner/model"
    assert hub.locate(page, few_step=True)["loras"] == ["pytorch_lora_weights.safetensors"]
    assert hub.fetched() == [own]


def test_what_was_fetched_only_in_part_is_not_whole(hub, copy):
    hub.add("owner/model", copy)
    got = hub.locate("owner/model")
    (Path(got["configs"]) / UNET).unlink()
    assert "nor whole in the Hugging Face cache" in hub.locate("owner/model", offline=True)["error"]
    hub.fetched()
    assert hub.locate("owner/model") == got
