"""What is told of models of every family: folders, files in their original layouts, and LoRAs."""

from importlib import import_module

import pytest
import torch
from safetensors.torch import save_file

from smd_cli.app.model_info import model_info
from smd_cli.families import FAMILIES
from smd_cli.models.families import family

CHECKPOINTS = ("sd15", "sdxl", "sd3", "klein", "zimage")
LAYERS = {
    "sd15": ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 768),
    "sd2": ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 1024),
    "sdxl": ("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", 2048),
    "sd3": ("lora_unet_joint_blocks_0_context_block_attn_qkv", 1536),
    "klein": ("transformer.single_transformer_blocks.3.attn.to_qkv_mlp_proj", 3072),
    "zimage": ("diffusion_model.layers.4.attention.to_q", 3840),
}
"""A layer that LoRAs for published models have, and how many numbers it reads."""


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_folder_and_a_file_are_of_their_family(name, tmp_path):
    checkpoints = import_module(f"tests.checkpoints.{name}")
    folder = checkpoints.make_folder(tmp_path / "model")
    found = model_info(str(folder), offline=True)
    told = found.to_dict()
    assert (told["kind"], told["family"], told["here"], told["problem"]) == ("model", name, True, None)
    assert {part["name"] for part in told["parts"]} == set(family(name).components)
    assert all(part["network"] and part["numbers"] for part in told["parts"])
    assert told["size_multiple"] == family(name).size_multiple
    assert told["negative_prompt"] is (name not in ("klein", "zimage"))
    assert told["samplers"]
    file = model_info(str(checkpoints.make_file(folder)), offline=True).to_dict()
    assert (file["kind"], file["family"]) == ("model", name)
    denoiser = family(name).denoiser
    counts = [{part["name"]: part["numbers"] for part in each["parts"]} for each in (told, file)]
    assert counts[1][denoiser] >= counts[0][denoiser]  # original layouts have some tensors more


@pytest.mark.parametrize("name", FAMILIES)
def test_a_lora_is_for_the_family_whose_layers_it_changes(name, tmp_path):
    layer, width = LAYERS[name]
    ends = ("lora_A.weight", "lora_B.weight") if "." in layer else ("lora_down.weight", "lora_up.weight")
    shapes = ((4, width), (8, 4))
    tensors = {f"{layer}.{end}": torch.zeros(shape) for end, shape in zip(ends, shapes, strict=True)}
    save_file(tensors, tmp_path / "ink.safetensors")
    told = model_info(str(tmp_path / "ink.safetensors"), offline=True).to_dict()
    assert (told["kind"], told["family"]) == ("lora", name)
    changes = f"{family(name).denoiser} (1 layers)"
    assert told["details"] == {"adapter": "LoRA", "rank": "4", "changes": changes}


def test_a_lora_of_a_layer_that_any_family_has_is_told_by_its_header(tmp_path):
    factors = {f"lora_unet_x.lora_{end}.weight": torch.zeros(4, 4) for end in ("down", "up")}
    headers = {
        "sdxl": {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"},
        "sd15": {"ss_base_model_version": "sd_v1"},
        None: {"ss_base_model_version": "something"},
    }
    for name, header in headers.items():
        save_file(factors, tmp_path / "ink.safetensors", header)
        assert model_info(str(tmp_path / "ink.safetensors"), offline=True).to_dict()["family"] == name


def test_the_embedded_model_tells_its_licence():
    assert model_info("flatland", offline=True).to_dict()["licence"] == "mit"
