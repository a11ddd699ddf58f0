"""Finding and checking models: facts without weights, and one clear line for everything that can be wrong."""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from smd_cli.errors import AssetError
from smd_cli.models import families
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.facts import ModelFacts, read_facts, unet_facts
from smd_cli.models.families import family
from smd_cli.models.family import Component, Marks
from smd_cli.models.loading import load

CPU = torch.device("cpu")
UNET, VAE = (f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae"))


def facts(model, **choices):
    return locate(ModelSpec(str(model), **choices), offline=True).facts


def failure(spec, **how):
    """The one line that a bad model earns."""
    with pytest.raises(AssetError) as caught:
        load(locate(spec, offline=True, **how), CPU, torch.float32)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 4
    return str(caught.value)


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
    make.edit_json(copy / "scheduler/scheduler_config.json", _class_name="LCMScheduler")
    assert facts(copy).few_step


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
        ("owner/never-downloaded@v2", "offline"),
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


@pytest.mark.parametrize(
    "names", [("a.safetensors",), ("a.safetensors", "a.fp16.safetensors"), ("x/a.safetensors",)]
)
def test_a_folder_that_holds_one_checkpoint_is_that(names, single_file, folder, tmp_path):
    place = tmp_path / "styles"
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).symlink_to(single_file)
    (place / "a.txt").touch()
    found = locate(ModelSpec(str(place), config=str(folder)))
    assert found.weights == (place / names[0],)
    for name in ("b.safetensors", "c.safetensors")[: 2 if "/" in names[0] else 1]:
        (place / name).symlink_to(single_file)
    assert "which checkpoint? There are 2, " in failure(ModelSpec(str(place), config=str(folder)))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("model_index.json", None),
        (UNET, "lacks weights"),
        ("text_encoder/model.safetensors", "lacks weights"),
        ("unet/config.json", "no such file"),
        ("scheduler/scheduler_config.json", "no such file"),
        ("tokenizer/vocab.json", "no tokenizer.json and no vocab.json"),
    ],
)
def test_a_folder_with_a_part_missing(part, words, copy):
    (copy / part).unlink()
    if words is None:
        assert facts(copy).family == "sd15"
    else:
        message = failure(ModelSpec(str(copy)))
        assert words in message
        assert part.split("/")[0] in message


def test_a_folder_that_is_no_model(tmp_path):
    assert "no checkpoint in it, no .safetensors file" in failure(ModelSpec(str(tmp_path)))


def test_an_fp16_variant_is_read_and_widened(copy, folder):
    weights = {name: tensor.half() for name, tensor in load_file(copy / UNET).items()}
    (copy / UNET).unlink()
    save_file(weights, copy / "unet/diffusion_pytorch_model.fp16.safetensors")
    backbone = load(locate(ModelSpec(str(copy))), CPU, torch.float32)
    assert {tensor.dtype for tensor in backbone.unet.state_dict().values()} == {torch.float32}
    torch.testing.assert_close(backbone.unet.conv_in.weight, weights["conv_in.weight"].float())


HEADER = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def safetensors(data=bytes(8), length=None, **changes):
    """A file of one tensor, or of what `changes` say of it."""
    header = json.dumps({"a": {**HEADER["a"], **changes}}).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a safetensors file but an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html><title>Sign in</title>", "a web page saved under this name"),
        (b"<HTML>", "a web page saved under this name"),
        (b"PK\x03\x04" + bytes(99), "pickles can run code and are never opened"),
        (b"\x80\x02}q\x00.", "pickles can run code and are never opened"),
        (b"GGUF\x03", "weights in the GGUF format"),
        (b"Entry not found", "a text that begins 'Entry not found'"),
        (safetensors()[:-1], "not a whole safetensors file (incomplete metadata"),
        (safetensors() + b"more", "not a whole safetensors file (incomplete metadata"),
        (safetensors(shape=[3]), "not a whole safetensors file (invalid shape"),
        (safetensors(shape=[2**62, 8]), "not a whole safetensors file (overflow"),
        (safetensors(data_offsets=[0, 16]), "not a whole safetensors file"),
        (safetensors(dtype="X"), "not a whole safetensors file (invalid JSON"),
        (safetensors(length=2**62), "not a whole safetensors file (header too large"),
    ],
)
def test_files_that_are_not_what_they_are_called(content, words, copy, folder, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    for spec in (
        ModelSpec(str(path), config=str(folder)),
        ModelSpec(str(folder), vae=str(path)),
        ModelSpec(str(folder), loras=((str(path), 1.0),)),
    ):
        assert f"{path}: " in failure(spec)
        assert words in failure(spec)
    (copy / UNET).write_bytes(content)
    assert f"{copy / UNET}: " in failure(ModelSpec(str(copy)))
    assert words in failure(ModelSpec(str(copy)))


@pytest.mark.parametrize(
    "part", ["unet/config.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json"]
)
def test_pointers_in_place_of_configs(part, copy):
    (copy / part).write_text("version https://git-lfs.github.com/spec/v1\n")
    message = failure(ModelSpec(str(copy)))
    assert message.startswith(f"{copy / part}: ")
    assert "a pointer of Git LFS" in message


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_damaged_config(content, copy):
    (copy / "unet/config.json").write_text(content, encoding="latin-1")
    assert "unet/config.json" in failure(ModelSpec(str(copy)))


def test_config_without_its_facts(copy):
    (copy / "unet/config.json").write_text("{}")
    assert "lack or garble 'sample_size'" in failure(ModelSpec(str(copy)))


def test_damaged_tokenizer(copy):
    (copy / "tokenizer/vocab.json").write_text("{")
    assert "no readable tokenizer" in failure(ModelSpec(str(copy)))


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
    make.edit_json(copy / "text_encoder/config.json", intermediate_size=96)
    for spec in (ModelSpec(str(copy)), ModelSpec(str(single_file), config=str(copy))):
        assert f"does not fit {copy / 'text_encoder'}" in failure(spec)


@pytest.mark.parametrize(
    ("pipeline", "family"),
    [
        ("StableDiffusionXLPipeline", "sdxl"),
        ("StableDiffusion3Pipeline", "sd3"),
        ("FluxPipeline", "FluxPipeline"),
    ],
)
def test_folders_of_other_families(pipeline, family, copy, make):
    make.edit_json(copy / "model_index.json", _class_name=pipeline)
    assert f"family {family} is not supported yet by this version" in failure(ModelSpec(str(copy)))


def test_a_unet_alone_tells_sdxl(copy, make):
    (copy / "model_index.json").unlink()
    make.edit_json(copy / "unet/config.json", addition_embed_type="text_time")
    assert "family sdxl is not supported yet" in failure(ModelSpec(str(copy)))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["conditioner.embedders.0.x", "model.diffusion_model.x"], "family sdxl is not supported yet"),
        (["model.diffusion_model.joint_blocks.0.x"], "family sd3 is not supported yet"),
        (["cond_stage_model.model.x"], "family sd2 is not supported yet"),
        (["model.diffusion_model.x"], "a UNet without text encoder"),
        (["lora_unet_x.lora_down.weight"], "belongs under model.loras"),
        (["encoder.conv_in.weight"], "belongs under model.vae"),
        (["x"], "not a checkpoint of any known family"),
    ],
)
def test_single_files_of_other_kinds(names, words, tmp_path, folder):
    path = tmp_path / "other.safetensors"
    save_file({name: torch.zeros(1) for name in names}, path)
    assert words in failure(ModelSpec(str(path), config=str(folder)))


def test_the_family_asked_for_counts(folder):
    assert "is of family sd15, not sdxl" in failure(ModelSpec(str(folder), family="sdxl"))


def test_unknown_parameterisations(copy, make):
    make.edit_json(copy / "scheduler/scheduler_config.json", prediction_type="sample")
    assert "prediction type 'sample' is not supported" in failure(ModelSpec(str(copy)))


@pytest.mark.parametrize(
    ("channels", "words"),
    [(9, "an inpainting checkpoint"), (8, "InstructPix2Pix"), (5, "reads depth"), (7, "kind of checkpoint")],
)
def test_unets_that_read_more_than_latents(channels, words, copy, single_file, folder, make, tmp_path):
    name = "model.diffusion_model.input_blocks.0.0.weight"
    tensors = load_file(single_file)
    tensors[name] = torch.zeros(len(tensors[name]), channels, 3, 3)
    save_file(tensors, tmp_path / "wide.safetensors")
    weights = load_file(copy / UNET)
    save_file({**weights, "conv_in.weight": tensors[name]}, copy / UNET)
    for spec in (ModelSpec(str(tmp_path / "wide.safetensors"), config=str(folder)), ModelSpec(str(copy))):
        with pytest.raises(AssetError, match=f"the UNet reads {channels} channels, .* writes 4: .*{words}"):
            locate(spec)
    make.edit_json(copy / "unet/config.json", in_channels=channels)
    with pytest.raises(AssetError, match=words):
        locate(ModelSpec(str(copy)))


def part_of(single_file, path, *starts, renamed=""):
    """A single file again, of the tensors alone whose names begin with `starts`, or with `renamed` now."""
    tensors = {
        name.replace(start, renamed or start, 1): tensor
        for name, tensor in load_file(single_file).items()
        for start in starts
        if name.startswith(start)
    }
    save_file(tensors, path)
    return ModelSpec(str(path), config=str(single_file.parent / "tiny"))


def test_single_files_that_lack_a_part(single_file, tmp_path):
    unet, vae, text = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.")
    part = tmp_path / "part.safetensors"
    for starts, words in {
        (unet, text): "holds no autoencoder (no tensors first_stage_model.…); give one as model.vae",
        (vae, text): "holds no UNet (no tensors model.diffusion_model.…)",
        (unet, vae): "a UNet without text encoder",
    }.items():
        message = failure(part_of(single_file, part, *starts))
        assert message.startswith(f"{part}: ")
        assert words in message
    only_ema = part_of(single_file, part, unet, renamed="model_ema.diffusion_model")
    assert "holds only the average over its training (model_ema" in failure(only_ema)


def test_a_folder_that_lacks_a_part(copy, folder):
    shutil.rmtree(copy / "vae")
    assert f"{copy}: holds no autoencoder (no folder vae); give one as model.vae" in failure(
        ModelSpec(str(copy))
    )
    shutil.rmtree(copy / "text_encoder")
    assert f"{copy}: holds no text encoder" in failure(ModelSpec(str(copy), vae=str(folder)))


def test_models_without_autoencoder_are_whole_with_one(single_file, folder, copy, make, tmp_path):
    """From a folder, a model, a file with a folder's names and one with those of single files."""
    shutil.rmtree(copy / "vae")
    alone = tmp_path / "vae.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in make.ldm_vae(folder).items()}, alone)
    starts = ("model.diffusion_model.", "cond_stage_model.")
    checkpoint = part_of(single_file, tmp_path / "bare.safetensors", *starts)
    expected = load(locate(ModelSpec(str(folder))), CPU, torch.float32)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    for vae in (
        folder,
        folder / "vae",
        folder / "vae/diffusion_pytorch_model.safetensors",
        alone,
        single_file,
    ):
        for spec in (ModelSpec(str(copy), config=str(folder)), checkpoint):
            backbone = load(locate(replace(spec, vae=str(vae))), CPU, torch.float32)
            assert torch.equal(backbone.decode(latents), expected.decode(latents))


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
    second = Component("model", "second.", tokenizer="tokenizer_2", is_optional=True)
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
