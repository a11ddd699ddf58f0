"""The estimate of memory: linear in the canvas, blind to how many tiles cover it."""

from pathlib import Path

import torch

from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.layout import make_layout
from smd_cli.engine.memory import estimate
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.embedded import backbone

MIB = 2**20


def bytes_of(width: int, height: int, batch: int = 4, more: str = "") -> int:
    text = f"smd: 1\ncanvas: {{width: {width}, height: {height}}}\nbackground: {{prompt: grass}}\n{more}"
    plan = resolve(load_text(text, "scene").scene, "scene", Path())
    layout = make_layout(plan, CanvasImages(()), backbone().facts, backbone().schedules)
    return estimate(layout, backbone().assets, torch.float32, batch)


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
    assert 0.75 < bytes_of(8192, 128, 8) / (870 * MIB) < 1.33
