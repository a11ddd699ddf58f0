"""Layers of LoRAs that are rows of one or several of a network's weights."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from smd_cli.errors import AssetError
from smd_cli.models.layer_names import LayerNames, Rows
from smd_cli.models.local_loras import lay_beside, with_loras
from smd_cli.models.lora import fuse_loras, read_lora
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
    fuse_loras([(read_lora(tmp_path / "lora.safetensors", {"unet": network}, ATTENTION), 0.5)])
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


def test_norms_of_columns_are_those_of_all_rows_as_they_were(network, tmp_path):
    """DoRA's norms of a layer of several weights; another file changes one of these weights too."""
    generator = torch.Generator().manual_seed(7)
    before = torch.cat([network["q"].weight, network["k"].weight])
    down, up = torch.randn(2, 5, generator=generator), torch.randn(10, 2, generator=generator)
    norms = torch.rand(1, 5, generator=generator) + 0.5
    dora = {"lora_down.weight": down, "lora_up.weight": up, "dora_scale": norms}
    save_file({f"qk.{name}": each for name, each in dora.items()}, tmp_path / "dora")
    save_file({"q.lora_down.weight": down, "q.lora_up.weight": up[:4].contiguous()}, tmp_path / "plain")
    files = [read_lora(tmp_path / name, {"unet": network}, ATTENTION) for name in ("plain", "dora")]
    fuse_loras([(files[0], 0.5), (files[1], 0.8)])
    changed = before + up @ down
    expected = before + 0.8 * (norms * changed / changed.norm(dim=0, keepdim=True) - before)
    expected[:4] += 0.5 * up[:4] @ down
    torch.testing.assert_close(torch.cat([network["q"].weight, network["k"].weight]), expected)


def test_a_weight_is_changed_by_one_layer_alone(network, tmp_path):
    with pytest.raises(AssetError, match=r"(k and qk|qk and k) are two names of one layer"):
        fused(network, tmp_path, qk=10, k=6)


def test_rows_have_to_be_as_many(network, tmp_path):
    with pytest.raises(AssetError, match=r"such as qk \(9, 5\), here \(10, 5\)"):
        fused(network, tmp_path, qk=9)


def test_names_of_other_rows_of_a_weight_are_no_twins(network, tmp_path, monkeypatch):
    halves = {"upper": (Rows("q", 0, 2),), "lower": (Rows("q", 1, 2),)}
    monkeypatch.setitem(NAMES, "upper", halves["upper"])
    monkeypatch.setitem(NAMES, "lower", halves["lower"])
    before = network["q"].weight.clone()
    change = fused(network, tmp_path, upper=2, lower=2)
    expected = before + 0.5 * torch.cat([change["upper"], change["lower"]])
    torch.testing.assert_close(network["q"].weight, expected)
    with pytest.raises(AssetError, match=r"are two names of one layer"):
        fused(network, tmp_path, upper=2, q=4)


def test_a_layer_of_several_weights_is_beside_each_what_it_is_in_it(network, tmp_path):
    given = torch.randn(2, 5, generator=torch.Generator().manual_seed(1))
    for name, rows in (("qk", 10), ("swapped", 4)):
        tensors = {"lora_A": torch.ones(2, 5), "lora_B": torch.arange(2.0 * rows).view(rows, 2)}
        save_file({f"{name}.{part}.weight": each for part, each in tensors.items()}, tmp_path / name)
        beside, whole = deepcopy(network), deepcopy(network)
        lay_beside([read_lora(tmp_path / name, {"unet": beside}, ATTENTION)])
        fuse_loras([(read_lora(tmp_path / name, {"unet": whole}, ATTENTION), 0.5)])
        with with_loras(torch.tensor([[0.5], [0.0]]), torch.device("cpu")):
            for layer in ("q", "k"):
                got, expected = beside[layer](given), whole[layer](given)
                torch.testing.assert_close(got[0], expected[0])
                torch.testing.assert_close(got[1], network[layer](given)[1])
