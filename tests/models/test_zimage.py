"""Files of Z-Image: which are recognised, what layers go by, what does not go together."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from smd_cli.errors import AssetError
from smd_cli.models.assets import locate
from smd_cli.models.components import Destination, load_component
from smd_cli.models.loading import load
from smd_cli.models.lora import fuse_loras, read_lora
from smd_cli.models.networks import ComponentFiles
from smd_cli.models.s3dit import S3DIT
from smd_cli.models.spec import ModelSpec
from smd_cli.models.zimage import FAMILY
from tests.checkpoints import zimage

CPU = Destination(torch.device("cpu"), torch.float32, lambda more: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return zimage.make_folder(tmp_path_factory.mktemp("zimage") / "model")


def test_published_names_are_read(folder, tmp_path):
    expected = zimage.make_transformer().state_dict()
    for start in ("model.diffusion_model.", ""):
        files = ComponentFiles(folder / "transformer", (zimage.make_file(tmp_path, start=start),))
        found = load_component(S3DIT, files, "model.diffusion_model.", CPU).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_size_of_two_sides_is_the_shorter_one(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    path = copy / "vae/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sample_size": [96, 64]}))
    assert locate(ModelSpec(str(copy))).facts.native_size == 64


def kohya(name: str) -> str:
    return "lora_unet_" + name.replace(".", "_")


LAYOUTS = {
    "diffusers": lambda name: f"transformer.{name}",
    "comfyui": lambda name: f"diffusion_model.{name}",
    "peft": lambda name: f"base_model.model.{name}",
    "kohya": kohya,
    "bare": lambda name: name,
}


@pytest.mark.parametrize("spell", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("fused", [False, True], ids=["split", "fused"])
def test_layers_go_by_many_names(spell, fused, tmp_path):
    """`fused`: as published, with queries, keys and values in one layer that shares the factor `down`."""
    generator, network, tensors = torch.Generator().manual_seed(1), zimage.make_transformer(), {}
    ours = (
        {"qkv": ["to_q", "to_k", "to_v"], "out": ["to_out.0"]}
        if fused
        else {"to_q": ["to_q"], "to_out.0": ["to_out.0"]}
    )
    expected = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for block in ("layers.1.attention", "context_refiner.0.attention"):
        for theirs, parts in ours.items():
            down = torch.randn(2, zimage.DIM, generator=generator)
            up = torch.randn(len(parts) * zimage.DIM, 2, generator=generator)
            name = spell(f"{block}.{theirs}")
            tensors |= {
                f"{name}.lora_down.weight": down,
                f"{name}.lora_up.weight": up,
                f"{name}.alpha": torch.tensor(4.0),
            }
            for part, rows in zip(parts, up.chunk(len(parts)), strict=True):
                expected[f"{block}.{part}.weight"] += 0.5 * (4.0 / 2) * rows @ down
    end = "x_embedder" if fused else "all_x_embedder.2-1"
    down, up = (
        torch.randn(2, 4 * zimage.CHANNELS, generator=generator),
        torch.randn(zimage.DIM, 2, generator=generator),
    )
    tensors |= {f"{spell(end)}.lora_down.weight": down, f"{spell(end)}.lora_up.weight": up}
    expected["all_x_embedder.2-1.weight"] += 0.5 * up @ down
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "lora.safetensors")
    fuse_loras([(read_lora(tmp_path / "lora.safetensors", {"transformer": network}, FAMILY), 0.5)])
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], msg=name)


def test_a_folder_is_recognised_without_its_index(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / "model_index.json").unlink()
    assert locate(ModelSpec(str(copy))).facts.family == "zimage"


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        (
            "transformer",
            {"cap_feat_dim": 24},
            "hidden_size is 16, but the transformer reads prompts of width 24",
        ),
        (
            "transformer",
            {"axes_dims": [4, 4, 4]},
            r"axes_dims are \[4, 4, 4\], not even numbers whose sum is 16",
        ),
        ("transformer", {"n_kv_heads": 1}, "n_kv_heads is 1, not n_heads, 2"),
        ("transformer", {"siglip_feat_dim": 8}, "siglip_feat_dim is 8; allowed is null"),
        ("transformer", {"in_channels": 33}, "in_channels is 33, but the autoencoder.s latents have 16"),
        ("transformer", {"n_layers": 3}, "lacks 15 of the model's tensors, such as layers.2"),
        ("scheduler", {"_class_name": "DDIMScheduler"}, "zimage models match flows"),
        ("scheduler", {"shift": 0}, "shift is 0"),
    ],
)
def test_configs_that_contradict_the_weights_are_told(folder, tmp_path, file, change, told):
    copy = shutil.copytree(folder, tmp_path / "model")
    path = next((copy / file).glob("*config.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    with pytest.raises(AssetError, match=told):
        load(locate(ModelSpec(str(copy))), CPU.device, CPU.dtype)


def test_a_lora_of_another_family_is_refused_whole(folder, tmp_path):
    lora = tmp_path / "sd15.safetensors"
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    save_file(
        {f"{name}.lora_down.weight": torch.ones(2, 8), f"{name}.lora_up.weight": torch.ones(8, 2)}, lora
    )
    network = zimage.make_transformer()
    with pytest.raises(AssetError, match="unknown naming"):
        read_lora(lora, {"transformer": network}, FAMILY)


def test_a_file_that_lacks_tensors_says_which(folder, tmp_path):
    path = zimage.make_file(tmp_path)
    tensors = load_file(path)
    del tensors["model.diffusion_model.layers.1.attention.qkv.weight"]
    save_file(tensors, path)
    with pytest.raises(AssetError, match=r"lacks 3 of the model's tensors, such as layers.1.attention.to_k"):
        load_component(S3DIT, ComponentFiles(folder / "transformer", (path,)), "model.diffusion_model.", CPU)
