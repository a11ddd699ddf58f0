"""Files that are not what they are called, and models that lack a part or have one too many."""

import json
import shutil
import struct
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from tests.models.outcomes import CPU, UNET, facts, failure


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
        (b"\x89PNG\r\n\x1a\n", "a picture; give the file of the model itself"),
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
        with pytest.raises(AssetError, match=f"denoiser reads {channels} channels, .* writes 4: .*{words}"):
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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: {}, "holds no tensors"),
        (
            lambda tensors: {name: each.to(torch.complex64) for name, each in tensors.items()},
            "holds C64 numbers",
        ),
    ],
    ids=["none", "complex"],
)
@pytest.mark.parametrize("file", [UNET, "text_encoder/model.safetensors"])
def test_weights_that_are_no_numbers_are_told_before_they_load(change, words, file, copy):
    save_file(change(load_file(copy / file)), copy / file)
    with pytest.raises(AssetError) as caught:
        locate(ModelSpec(str(copy)), offline=True)
    assert str(caught.value).startswith(f"{copy / file}: ")
    assert words in str(caught.value)


def test_a_tensor_in_two_shards_is_told_before_they_load(copy):
    """Which of the two counts, nobody could know."""
    tensors, unet = load_file(copy / UNET), copy / "unet"
    names = [f"diffusion_pytorch_model-{number:05}-of-00002.safetensors" for number in (1, 2)]
    first, *others = tensors
    save_file(tensors, unet / names[0])
    save_file({first: tensors[first] * 2}, unet / names[1])
    (copy / UNET).unlink()
    spread = {first: names[1], **dict.fromkeys(others, names[0])}
    index = unet / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": spread}))
    with pytest.raises(AssetError, match=f"{names[1]}: holds {first}, as {names[0]} does"):
        locate(ModelSpec(str(copy)), offline=True)
