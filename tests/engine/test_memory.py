"""The estimate of memory: linear in the canvas, blind to how many tiles cover it."""

from pathlib import Path

import pytest
import torch

from smd_cli.engine.device import Placement
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.layout import make_layout
from smd_cli.engine.memory import NetworkSize, estimate, fitting_memory, model_peak, network_sizes
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import Plan, resolve
from tests.embedded import backbone

MIB = 2**20
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def plan_of(width: int, height: int, more: str = "") -> Plan:
    text = f"smd: 1\ncanvas: {{width: {width}, height: {height}}}\nbackground: {{prompt: grass}}\n{more}"
    return resolve(load_text(text, "scene").scene, "scene", Path())


def bytes_of(width: int, height: int, batch: int = 4, more: str = "") -> int:
    plan = plan_of(width, height, more)
    layout = make_layout(plan, CanvasImages(()), backbone().facts, backbone().schedules)
    return estimate(layout, backbone().assets, Placement(CPU, torch.float32), batch)


def test_large_canvases_cost_their_pixels_and_no_more():
    small, double, fourfold = (bytes_of(width, 2048) for width in (1024, 2048, 4096))
    assert fourfold - double == 2 * (double - small)
    assert (double - small) / (1024 * 2048) < 64  # bytes a pixel


def test_more_tiles_cost_nothing():
    few, many = (bytes_of(2048, 1024, more=f"sampler: {{overlap: {share}}}\n") for share in (0.25, 0.75))
    assert few == many


def test_views_at_once_and_guidance_cost_theirs():
    one, eight = bytes_of(256, 256, 64), bytes_of(256, 256, 512)
    guided = bytes_of(256, 256, 512, "sampler: {guidance_scale: 2}\n")
    assert eight > one
    assert 1.5 * eight < guided < 2.5 * eight


def test_the_estimate_is_near_the_peak_that_was_measured():
    """8192x128 px, one prompt: 870 MiB (docs/results.md)."""
    assert 0.9 < bytes_of(8192, 128, 8) / (870 * MIB) < 1.1


NETWORKS = (
    NetworkSize("denoiser", held=500, stored=500, layer=40),
    NetworkSize("autoencoder", held=30, stored=30, layer=5),
    NetworkSize("encoders", held=200, stored=100, layer=60),
    NetworkSize("encoders", held=300, stored=150, layer=20),
)


@pytest.mark.parametrize(
    ("device", "memory", "rows", "decoding", "peak"),
    [
        (CUDA, "high", 100, 70, 500 + 30 + 500 + 100),
        (CUDA, "medium", 100, 70, 500 + 100),
        (CUDA, "medium", 100, 700, 30 + 700),
        (CUDA, "low", 100, 70, 2 * 60 + 100),
        (CPU, "high", 10, 70, 500 + 30 + 500 + 150),  # the last file is read beside all the rest
        (CPU, "high", 1000, 70, 500 + 30 + 500 + 1000),
        (CPU, "medium", 10, 70, 30 + 500 + 500),  # the denoiser is read alone
        (CPU, "low", 1000, 70, 30 + 500 + 1000),
    ],
)
def test_what_is_held_at_a_time(device, memory, rows, decoding, peak):
    assert model_peak(NETWORKS, Placement(device, torch.float32, memory), rows, decoding) == peak


def test_the_networks_of_a_model_are_all_of_its_numbers():
    assets = backbone().assets
    half = sum(each.held for each in network_sizes(assets, Placement(CPU, torch.bfloat16)))
    inner = backbone()
    networks = (inner.networks["unet"], inner.networks["text_encoder"], inner.autoencoder.network)
    assert half == 2 * sum(each.numel() for network in networks for each in network.state_dict().values())
    small = sum(each.held for each in network_sizes(assets, Placement(CPU, torch.bfloat16, weights="int8")))
    assert half / 2 < small < half


def test_the_placement_of_most_memory_that_fits_is_chosen():
    place, assets = Placement(CUDA, torch.float16), backbone().assets
    chosen = [fitting_memory(plan_of(512, 512), assets, place, mib * MIB) for mib in (1000, 30, 1)]
    assert chosen[0] == "high"
    assert chosen[2] == "low"
    sizes = [fitting_memory(plan_of(1024, 1024), assets, place, mib * MIB) for mib in range(10, 400, 5)]
    assert sizes == sorted(sizes, key=["low", "medium", "high"].index)
    assert set(sizes) >= {"low", "high"}
