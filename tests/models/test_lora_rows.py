"""Layers of LoRAs that are rows of one or several of a network's weights."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from smd_cli.errors import AssetError
from smd_cli.models.layer_names import LayerNames, Rows
from smd_cli.models.lora import fuse_lora
from smd_cli.models.sd15 import FAMILY

NAMES = {
    "q": "q",
    "k": "k",
    "qk": (Rows("q"), Rows("k")),
    "swapped": (Rows("q", 1, 2), Rows("q", 0, 2)),
}
ATTENTION = replace(FAMILY, lora={"unet": LayerNames(("",), lambda _: iter(NAMES.items()))})


@pytest.fixture
def network():
    torch.manual_seed(3)
    return nn.ModuleDict({"q": nn.Linear(5, 4), "k": nn.Linear(5, 6)}).requires_grad_(requires_grad=False)


def fused(network, tmp_path, **changes):
    """Fuse low-rank changes, whole matrices, and return them."""
    generator = torch.Generator().manual_seed(7)
    tensors, made = {}, {}
    for name, rows in changes.items():
        down, up = torch.randn(2, 5, generator=generator), torch.randn(rows, 2, generator=generator)
        tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
        made[name] = up @ down
    save_file(tensors, tmp_path / "lora.safetensors")
    fuse_lora(tmp_path / "lora.safetensors", 0.5, {"unet": network}, ATTENTION)
    return made


def test_a_layer_of_several_weights_changes_each_by_its_rows(network, tmp_path):
    before = {name: layer.weight.clone() for name, layer in network.items()}
    change = fused(network, tmp_path, qk=10)["qk"]
    torch.testing.assert_close(network["q"].weight, before["q"] + 0.5 * change[:4])
    torch.testing.assert_close(network["k"].weight, before["k"] + 0.5 * change[4:])


def test_halves_may_be_the_other_way_round(network, tmp_path):
    before = network["q"].weight.clone()
    change = fused(network, tmp_path, swapped=4)["swapped"]
    torch.testing.assert_close(network["q"].weight, before + 0.5 * change[[2, 3, 0, 1]])


def test_a_weight_is_changed_by_one_layer_alone(network, tmp_path):
    with pytest.raises(AssetError, match=r"(k and qk|qk and k) are two names of one layer"):
        fused(network, tmp_path, qk=10, k=6)


def test_rows_have_to_be_as_many(network, tmp_path):
    with pytest.raises(AssetError, match=r"such as qk \(9, 5\), here \(10, 5\)"):
        fused(network, tmp_path, qk=9)
