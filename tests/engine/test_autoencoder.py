"""Pictures too large for the autoencoder go through it by tiles, and look the same."""

import numpy as np
import pytest
import torch
from PIL import Image

from smd_cli.engine import autoencoder
from smd_cli.engine.autoencoder import decode, encode
from smd_cli.engine.pixels import to_pixels
from smd_cli.models.residence import Moved, Residence
from smd_cli.models.thrifty import ThriftyBackbone
from smd_cli.workshop.world import draw_picture
from tests.embedded import backbone

GREY = 2 / 255  # one grey level of pixels in [-1, 1]


@pytest.fixture(scope="module")
def pixels():
    pictures = [np.asarray(draw_picture(seed, 256).image) for seed in (1, 2, 3)]
    return to_pixels(Image.fromarray(np.concatenate(pictures, axis=1)))


@pytest.fixture(scope="module")
@torch.inference_mode()
def latents(pixels):
    """Of the whole picture."""
    return encode(backbone(), pixels)


@pytest.fixture(scope="module")
@torch.inference_mode()
def whole(latents):
    """The picture, decoded at once."""
    return decode(backbone(), latents)


@torch.inference_mode()
def test_tiles_decode_to_the_whole_picture(latents, whole, monkeypatch):
    monkeypatch.setattr(autoencoder, "WHOLE", 0)
    tiled = decode(backbone(), latents)
    assert tiled.shape == whole.shape == (1, 3, 256, 768)
    assert (tiled - whole).abs().max() < 4 * GREY
    assert (tiled - whole).abs().mean() < GREY / 10


@torch.inference_mode()
def test_tiles_encode_to_the_latents_of_the_whole(pixels, latents, monkeypatch):
    monkeypatch.setattr(autoencoder, "WHOLE", 0)
    tiled = encode(backbone(), pixels)
    assert (tiled - latents).square().mean() < 1e-4 * latents.square().mean()


@torch.inference_mode()
def test_a_canvas_that_wraps_is_decoded_across_its_seam(pixels):
    """Turned by half its width, the picture is the same picture: the decoder knows no edge."""
    latents = encode(backbone(), pixels, wrap=True)
    turned = decode(backbone(), latents.roll(48, -1), wrap=True).roll(-384, -1)
    apart = (turned - decode(backbone(), latents, wrap=True)).abs()
    assert apart.mean() < GREY / 2
    ends = (decode(backbone(), latents.roll(48, -1)).roll(-384, -1) - decode(backbone(), latents)).abs()
    assert apart[..., [0, -1]].mean() < ends[..., [0, -1]].mean() / 2


@torch.inference_mode()
def test_with_low_memory_pictures_go_through_in_tiles(pixels, latents, whole, monkeypatch):
    monkeypatch.setattr(autoencoder, "TILE", 128)  # the picture is larger than one, and smaller than WHOLE
    low = ThriftyBackbone(backbone(), Residence({"autoencoder": Moved([], torch.device("cpu"))}), "low")
    tiled = decode(low, latents)
    assert 0 < (tiled - whole).abs().mean() < GREY / 2
    assert not torch.equal(encode(backbone(), pixels, memory="low"), latents)
    assert torch.equal(encode(backbone(), pixels, memory="medium"), latents)
