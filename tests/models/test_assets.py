"""Finding and checking models: facts without weights, and one clear line for everything that can be wrong."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from smd_cli.models import families
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.clip_network import CLIP_TEXT
from smd_cli.models.facts import ModelFacts, read_facts, unet_facts
from smd_cli.models.families import family
from smd_cli.models.family import Component, Marks
from smd_cli.models.loading import load
from tests.models.outcomes import CPU, UNET, facts, failure


def test_facts_of_the_small_model(folder, single_file):
    expected = ModelFacts("sd15", 128, 8, 4, "epsilon", few_step=False)
    assert facts(folder) == expected
    assert facts(single_file, config=str(folder)) == expected
    assert facts(folder, family="sd15") == expected


def test_facts_follow_the_configs(copy, make):
    make.edit_json(copy / "scheduler/scheduler_config.json", prediction_type="v_prediction")
    make.edit_json(copy / "unet/config.json", sample_size=96)
    assert facts(copy) == ModelFacts("sd15", 768, 8, 4, "v_prediction", few_step=False)
    make.edit_json(copy / "unet/config.json", time_cond_proj_dim=256)
    assert facts(copy).few_step
    make.edit_json(copy / "unet/config.json", time_cond_proj_dim=None)
    for name in ("LCMScheduler", "TCDScheduler"):
        make.edit_json(copy / "scheduler/scheduler_config.json", _class_name=name)
        assert facts(copy).few_step


TURBO = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}


@pytest.mark.parametrize(
    ("changes", "few_step"),
    [
        ({}, True),  # SD-Turbo
        ({"_class_name": "EulerAncestralDiscreteScheduler"}, True),  # SDXL-Turbo
        ({"timestep_spacing": "leading"}, False),
        ({"_class_name": "DDIMScheduler"}, False),
        ({"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}, False),
    ],
)
def test_turbo_models_are_known_by_their_schedulers(copy, single_file, make, changes, few_step):
    """A single file's says nothing of it: the config is that of another model, often the family's."""
    make.edit_json(copy / "scheduler/scheduler_config.json", **{**TURBO, **changes})
    assert facts(copy).few_step is few_step
    assert not facts(single_file, config=str(copy)).few_step


@pytest.mark.parametrize(
    "changes", [{"_class_name": "FlowMatchEulerDiscreteScheduler"}, {"use_flow_sigmas": True}]
)
def test_a_scheduler_of_flow_matching_is_of_another_model(copy, make, changes):
    make.edit_json(copy / "scheduler/scheduler_config.json", **changes)
    told = failure(ModelSpec(str(copy)))
    assert "is set to flow matching, but sd15 models predict noise or v" in told
    assert "scheduler_config.json" in told


def test_facts_need_no_weights(copy):
    (copy / UNET).unlink()
    assert read_facts(copy, copy / "vae", family("sd15")).native_size == 128
    assert "lacks weights" in failure(ModelSpec(str(copy)))


def test_locating_imports_no_torch(folder, single_file):
    code = (
        "import sys; from smd_cli.models.assets import ModelSpec, locate\n"
        f"locate(ModelSpec({str(folder)!r}))\n"
        f"locate(ModelSpec({str(single_file)!r}, config={str(folder)!r}))\n"
        "print(*sys.modules)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "smd_cli.models.assets" in modules
    assert not {"torch", "diffusers", "transformers", "huggingface_hub"} & set(modules)


def test_the_hash_of_a_single_file_is_its_own(single_file, folder, copy):
    assets = locate(ModelSpec(str(single_file), config=str(folder)))
    assert assets.sha256 == hashlib.sha256(single_file.read_bytes()).hexdigest()
    before = locate(ModelSpec(str(folder))).sha256
    assert locate(ModelSpec(str(copy))).sha256 == before
    weights = load_file(copy / UNET)
    save_file({**weights, "conv_in.bias": weights["conv_in.bias"] + 1}, copy / UNET)
    assert locate(ModelSpec(str(copy))).sha256 != before


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("no such model", "no such model; give an embedded one"),
        ("gone.safetensors", "gone.safetensors: no such file"),
        ("/nowhere/model", "no such model"),
        ("/" + "a" * 5000, "File name too long"),
        ("owner/never-downloaded", "neither a path here nor whole in the Hugging Face cache"),
        ("owner/never-downloaded@v2", "online, smd models pull fetches it"),
    ],
)
def test_nothing_there(reference, words, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert words in failure(ModelSpec(reference))


def test_names_mean_nothing_of_the_working_directory(copy, monkeypatch, tmp_path):
    """What of a reference is a path is decided where it is written: beside a scene, or on a command line."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path.parent)
    name = f"{tmp_path.name}/{copy.name}"
    assert "nor whole in the Hugging Face cache" in failure(ModelSpec(name))
    assert locate(ModelSpec(f"./{name}")).facts.family == "sd15"


def test_an_fp16_variant_is_read_and_widened(copy, folder):
    weights = {name: tensor.half() for name, tensor in load_file(copy / UNET).items()}
    (copy / UNET).unlink()
    save_file(weights, copy / "unet/diffusion_pytorch_model.fp16.safetensors")
    backbone = load(locate(ModelSpec(str(copy))), CPU, torch.float32)
    assert {tensor.dtype for tensor in backbone.networks["unet"].state_dict().values()} == {torch.float32}
    torch.testing.assert_close(backbone.networks["unet"].conv_in.weight, weights["conv_in.weight"].float())


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_damaged_config(content, copy):
    (copy / "unet/config.json").write_text(content, encoding="latin-1")
    assert "unet/config.json" in failure(ModelSpec(str(copy)))


def test_config_without_its_facts(copy):
    (copy / "unet/config.json").write_text("{}")
    assert "lack or garble 'sample_size'" in failure(ModelSpec(str(copy)))


def test_damaged_tokenizer(copy):
    (copy / "tokenizer/vocab.json").write_text("{")
    assert "tokenizer/vocab.json: not readable as JSON" in failure(ModelSpec(str(copy)))


def test_weights_that_do_not_fill_the_model(copy, single_file, make, tmp_path, folder):
    weights = load_file(copy / UNET)
    del weights["mid_block.resnets.0.conv1.bias"]
    save_file(weights, copy / UNET)
    assert "lacks 1 of the model's tensors, such as mid_block" in failure(ModelSpec(str(copy)))
    tensors = load_file(single_file)
    del tensors["model.diffusion_model.middle_block.0.in_layers.2.bias"]
    save_file(tensors, tmp_path / "part.safetensors")
    spec = ModelSpec(str(tmp_path / "part.safetensors"), config=str(folder))
    assert "lacks 1 of the model's tensors" in failure(spec)


def test_weights_of_another_size(copy, single_file, make):
    make.edit_json(copy / "unet/config.json", block_out_channels=[32, 32])
    for spec in (ModelSpec(str(copy)), ModelSpec(str(single_file), config=str(copy))):
        message = failure(spec)
        assert f"does not fit {copy / 'unet'}" in message
        assert "conv_in." in message
        assert len(message) < 500
    make.edit_json(copy / "unet/config.json", block_out_channels=[16, 32])
    make.edit_json(copy / "text_encoder/config.json", intermediate_size=96)
    for spec in (ModelSpec(str(copy)), ModelSpec(str(single_file), config=str(copy))):
        assert f"does not fit {copy / 'text_encoder'}" in failure(spec)


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ("StableDiffusion3Pipeline", "holds no transformer (no folder transformer)"),
        ("FluxPipeline", "family FluxPipeline is not supported yet by this version"),
    ],
)
def test_folders_of_other_families(pipeline, words, copy, make):
    make.edit_json(copy / "model_index.json", _class_name=pipeline)
    assert words in failure(ModelSpec(str(copy)))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["model.diffusion_model.joint_blocks.0.x"], "is of family sd15, not sd3"),
        (["model.diffusion_model.double_blocks.0.x"], "family flux is not supported yet"),
        (
            ["cond_stage_model.model.x", "noise_augmentor.alphas_cumprod"],
            "family sd2-unclip is not supported yet",
        ),
        (["model.diffusion_model.x"], "not a checkpoint of any known family"),
        (["lora_unet_x.lora_down.weight"], "belongs under model.loras"),
        (["encoder.conv_in.weight"], "belongs under model.vae"),
        (["x"], "not a checkpoint of any known family"),
    ],
)
def test_single_files_of_other_kinds(names, words, tmp_path, folder):
    path = tmp_path / "other.safetensors"
    save_file({name: torch.zeros(1) for name in names}, path)
    assert words in failure(ModelSpec(str(path), config=str(folder)))


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            {"lora_unet_x.lora_down.weight": torch.zeros(1)},
            "a LoRA, not an autoencoder; it belongs under model.loras",
        ),
        ({"<cat>": torch.zeros(2, 8)}, "a textual inversion, not an autoencoder"),
    ],
)
def test_what_is_no_autoencoder_is_told_its_place(tensors, words, tmp_path, folder):
    save_file(tensors, tmp_path / "other.safetensors")
    assert words in failure(ModelSpec(str(folder), vae=str(tmp_path / "other.safetensors")))


def test_the_family_asked_for_counts(folder):
    assert "is of family sd15, not sdxl" in failure(ModelSpec(str(folder), family="sdxl"))


def test_unknown_parameterisations(copy, make):
    make.edit_json(copy / "scheduler/scheduler_config.json", prediction_type="sample")
    assert "prediction type 'sample' is not supported" in failure(ModelSpec(str(copy)))


def test_pickles_are_never_opened(copy, tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"")
    assert "pickled weights can run code" in failure(ModelSpec(str(tmp_path / "model.ckpt")))
    (copy / UNET).rename(copy / "unet/diffusion_pytorch_model.bin")
    assert "pickled weights can run code" in failure(ModelSpec(str(copy)))


def test_permission_denied(copy):
    (copy / UNET).chmod(0)
    if os.access(copy / UNET, os.R_OK):
        pytest.skip("nothing is forbidden to this user")
    assert "permission denied" in failure(ModelSpec(str(copy)))
    (copy / "unet").chmod(0)
    assert "Permission denied" in failure(ModelSpec(str(copy)))
    (copy / "unet").chmod(0o755)


def test_a_single_file_without_its_companions(single_file, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = failure(ModelSpec(str(single_file)))
    assert "needs the configs and the tokenizer of its family" in message
    assert "model.config" in message


def test_loras_that_are_none(folder, single_file, tmp_path):
    message = failure(ModelSpec(str(folder), loras=((str(single_file), 1.0),)))
    assert "a checkpoint, not a LoRA; it belongs under model.base" in message
    assert "no LoRA in it" in failure(ModelSpec(str(folder), loras=((str(tmp_path), 1.0),)))


@pytest.fixture
def other_family(monkeypatch):
    """A family that a line of the table and a module add: SD1.5 with a second text encoder, or without."""
    second = Component("model", "second.", CLIP_TEXT, tokenizer="tokenizer_2", is_optional=True)
    components = family("sd15").components
    first = replace(components["text_encoder"], prefix="other.")
    own = replace(
        family("sd15"),
        name="other",
        components={**components, "text_encoder": first, "text_encoder_2": second},
        marks=Marks(("OtherPipeline",), ("other.",), lambda folder: (folder / "other").is_dir()),
        read_facts=lambda configs: unet_facts(configs, "other"),
    )
    monkeypatch.setitem(families.FAMILIES, "other", "tests.models.other")
    monkeypatch.setitem(sys.modules, "tests.models.other", SimpleNamespace(FAMILY=own))
    return own


def test_a_line_of_the_table_and_a_module_add_a_family(other_family, copy, single_file, make, tmp_path):
    make.edit_json(copy / "model_index.json", _class_name="OtherPipeline")
    assets = locate(ModelSpec(str(copy)))
    assert assets.family is other_family
    assert list(assets.components) == ["unet", "vae", "text_encoder"]
    assert load(assets, CPU, torch.float32).facts.family == "other"
    shutil.copytree(copy / "text_encoder", copy / "text_encoder_2")
    assert "tokenizer_2: no tokenizer.json and no vocab.json" in failure(ModelSpec(str(copy)))
    shutil.copytree(copy / "tokenizer", copy / "tokenizer_2")
    assert list(locate(ModelSpec(str(copy))).components)[-1] == "text_encoder_2"
    (copy / "model_index.json").unlink()
    assert facts(copy).family == "sd15"
    (copy / "unet").rename(copy / "other")
    assert "is of family other, not sd15" in failure(ModelSpec(str(copy), family="sd15"))
    starts = {component.prefix for component in other_family.components.values()}
    save_file({f"{start}x": torch.zeros(1) for start in starts}, tmp_path / "other.safetensors")
    spec = ModelSpec(str(tmp_path / "other.safetensors"), config=str(single_file.parent / "tiny"))
    assert "is of family sd15, not other" in failure(spec)
