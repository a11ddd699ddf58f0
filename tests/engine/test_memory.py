"""The estimate of memory: linear in the canvas, blind to how many tiles cover it."""

from pathlib import Path

import pytest
import torch

from smd_cli.engine.device import Placement
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.layout import make_layout
from smd_cli.engine.memory import NetworkSize, estimate, fitting_memory, model_peak, network_sizes
from smd_cli.media.paint import paint_scene
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.klein import LENGTH
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import Plan, resolve
from tests.checkpoints import klein, sd3, zimage
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


COUPLED = """\
sampler: {late: coupled, overlap: 0}
bootstrap: {steps: 1}
masks: {std: 0}
regions:
  - {name: sun, prompt: the sun, mask: {box: [0, 0, 0.125, 1]}}
  - {name: tree, prompt: a tree, mask: {box: [0.125, 0, 0.25, 1]}}
  - {name: house, prompt: a house, mask: {box: [0.25, 0, 0.5, 1]}}
  - {name: hill, prompt: a hill, mask: {box: [0.5, 0, 1, 1]}}
"""
"""Of both tiles of 64 px one has three regions, the other one."""


@pytest.mark.parametrize(
    ("maker", "of_prompt", "widths"),
    [(klein, LENGTH, 28 * 4 * 8), (sd3, 333, 19 * 4 * 8), (zimage, 64, 17 * zimage.DIM)],
)
def test_a_coupled_tile_costs_its_longer_sequence(maker, of_prompt, widths, tmp_path):
    """Two more prompts beside 16 tokens of the tile, and a bias from each token to each."""
    assets = locate(ModelSpec(str(maker.make_folder(tmp_path))), offline=True)

    def held(late: str) -> int:
        plan = plan_of(128, 64, COUPLED.replace("coupled", late))
        layout = make_layout(plan, CanvasImages(paint_scene(plan).masks), assets.facts, assets.schedules)
        return estimate(layout, assets, Placement(CPU, torch.float32), batch=512)

    more = widths * 2 * of_prompt + (16 + 3 * of_prompt) ** 2
    assert held("coupled") - held("views") == 512 * 4 * more


def test_memory_is_chosen_for_coupled_tiles_of_all_regions(tmp_path):
    assets = locate(ModelSpec(str(klein.make_folder(tmp_path))), offline=True)
    place = Placement(CUDA, torch.float32)

    def least(late: str, steps: int = 1) -> int:
        """How many MiB have to be free for all networks and one view at once."""
        text = COUPLED.replace("coupled", late).replace("steps: 1", f"steps: {steps}")
        plan = plan_of(128, 64, text)
        chosen = (mib for mib in range(1, 999) if fitting_memory(plan, assets, place, mib * MIB) == "high")
        return next(chosen)

    tokens = 4 * (28 * 32 * 4 * LENGTH + (16 + 5 * LENGTH) ** 2) / MIB
    assert least("coupled") - least("views") == pytest.approx(tokens / 0.9, abs=2)
    all_bootstrapped = 5  # `lcm` takes no more, so that no tile is ever coupled
    assert least("coupled", all_bootstrapped) == least("views")


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
