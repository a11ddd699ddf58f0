"""`smd bench speed --arch`: published architectures, described rightly, and measured without their files."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from smd_cli.bench import architectures
from smd_cli.bench.arch_speed import MOST_TENSORS, RandomNetworks, random_assets
from smd_cli.bench.architectures import ARCHITECTURES, Architecture
from smd_cli.cli.app import app
from smd_cli.families import FAMILIES
from smd_cli.models.components import Destination, build_network

CPU = torch.device("cpu")

NUMBERS = {
    "sd15": {"unet": 859_520_964, "vae": 83_653_863},
    "sdxl": {"unet": 2_567_463_684, "vae": 83_653_863},
    "sd3": {"transformer": 2_028_328_000, "vae": 83_819_683},
    "klein": {"transformer": 3_875_544_576},
    "zimage": {"transformer": 6_154_908_736, "vae": 83_819_683},
}
"""Parameters of the published networks."""

SMALL: Mapping[str, Mapping[str, Any]] = {
    "sd15": {"block_out_channels": [32, 32, 64, 64], "attention_head_dim": 8},
    "sdxl": {
        "block_out_channels": [32, 64, 64],
        "transformer_layers_per_block": [1, 1, 1],
        "attention_head_dim": [2, 4, 4],
    },
    "sd3": {
        "num_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "caption_projection_dim": 32,
    },
    "klein": {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 1},
    "zimage": {"n_layers": 1, "n_refiner_layers": 1, "dim": 128, "n_heads": 1, "n_kv_heads": 1},
}
"""What makes denoisers small; prompts stay as wide as they are."""


def smd(*arguments: str):
    return CliRunner().invoke(app, arguments)


def small(made: Architecture) -> Architecture:
    """Shrink the networks of an architecture to what a test has time for."""
    denoiser = "unet" if "unet" in made.configs else "transformer"
    vae = {**made.configs["vae"], "block_out_channels": [32, 32, 32, 32], "layers_per_block": 1}
    changed = {denoiser: {**made.configs[denoiser], **SMALL[made.name]}, "vae": vae}
    return replace(made, configs={**made.configs, **changed})


@pytest.fixture
def shrunk(monkeypatch):
    for name, made in ARCHITECTURES.items():
        monkeypatch.setitem(architectures.ARCHITECTURES, name, small(made))


def test_every_family_has_one():
    assert ARCHITECTURES.keys() == FAMILIES.keys() - {"sd2"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_its_networks_are_those_that_are_published(name, tmp_path):
    assets = random_assets(ARCHITECTURES[name], tmp_path)
    for component, numbers in NUMBERS[name].items():
        files = assets.components[component]
        network = build_network(assets.family.network(component, files.config), files, MOST_TENSORS)
        assert sum(each.numel() for each in network.parameters()) == numbers


def test_weights_are_random_the_same_every_time_and_text_encoders_empty(tmp_path):
    assets = random_assets(small(ARCHITECTURES["sd15"]), tmp_path)
    files, encoder = assets.components["unet"], assets.components["text_encoder"]
    fill = RandomNetworks(frozenset({encoder.config}))
    to = Destination(CPU, torch.bfloat16, lambda more: None)
    unet = assets.family.network("unet", files.config)
    one, two = (fill(unet, files, "", to).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    weight = one["down_blocks.0.resnets.0.conv1.weight"]
    assert weight.dtype == torch.bfloat16
    assert 0.015 < weight.float().std() < 0.025
    text = fill(assets.family.network("text_encoder", encoder.config), encoder, "", to)
    assert all(each.is_meta for each in text.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_is_measured(name, shrunk):
    done = smd("bench", "speed", "--arch", name, "--size", "64x128", "--steps", "2", "--json", "-q")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    (row,) = document["rows"]
    assert (row["architecture"], row["size"], row["steps"]) == (name, [64, 128], 2)
    assert row["evaluations"] == 2 * row["tiles"] == 2
    assert row["evaluations_a_second"] == pytest.approx(1 / row["seconds_a_step"])
    assert row["estimated_bytes"] > 2**26
    assert document["machine"]["memory"] == "high"
    assert document["machine"]["published"] == ARCHITECTURES[name].published


@pytest.mark.slow
def test_sizes_memory_and_steps_are_told(shrunk):
    sizes = ("--size", "768x512", "--size", "64x64")
    done = smd("bench", "speed", "--arch", "sd15", *sizes, "--steps", "1", "--memory", "low")
    assert done.exit_code == 0, done.stderr
    head, large, little = [line.split() for line in done.stdout.splitlines()]
    assert head[:4] == ["architecture", "size", "tiles", "at"]
    assert large[:4] == ["sd15", "768x512", "2", "1"]
    assert little[:4] == ["sd15", "64x64", "1", "1"]
    assert int(large[-1].replace(",", "")) > int(little[-1].replace(",", ""))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--arch", "sd9"], 2, "--arch sd9: unknown; choose sd15"),
        (["--arch", "sd15", "scene.yaml"], 2, "--arch sd15: goes without scenes"),
        (["--arch", "sd15", "--size", "768"], 2, "--size 768: give a width and a height in px: 768x512"),
        (["--arch", "zimage", "--size", "72x64"], 3, "72 is not a multiple of 16"),
        (["--arch", "sd15", "--device", "abacus"], 5, "abacus"),
        (["--size", "64x64"], 2, "--size: goes with --arch alone"),
        (["--memory", "low"], 2, "--memory: goes with --arch alone"),
        (["--weights", "int8"], 2, "--weights: goes with --arch alone"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_built(arguments, code, says):
    done = smd("bench", "speed", *arguments)
    assert done.exit_code == code, done.stderr
    assert says in done.stderr
    assert done.stdout == ""


def test_place_is_chosen_by_the_family(shrunk, monkeypatch):
    monkeypatch.setattr("smd_cli.engine.device._has_fast_bfloat16", lambda: True)
    done = smd("bench", "speed", "--arch", "zimage", "--size", "64x64", "--steps", "1", "--json", "-q")
    assert json.loads(done.stdout)["machine"]["dtype"] == "bfloat16"
