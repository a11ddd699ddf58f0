"""Coarse copies of latents: their values, their size, and what they tell apart."""

from base64 import b64decode
from hashlib import sha256

import numpy as np
import pytest
import torch

from smd_cli.app.latents import coarse_text, cosine_similarity, latent_digest
from smd_cli.media.recipe import LATENT_VALUES

RNG = np.random.default_rng(7)


def values(text: str) -> np.ndarray:
    shape, data = text.split(":")
    return np.frombuffer(b64decode(data), np.float16).reshape([int(side) for side in shape.split("x")])


@pytest.mark.parametrize(
    ("shape", "side"),
    [((4, 8, 8), 1), ((4, 16, 16), 2), ((4, 64, 64), 8), ((16, 24, 40), 8), ((4, 40, 96), 8)],
)
def test_a_coarse_copy_holds_means_over_squares(shape, side):
    latents = RNG.normal(size=shape).astype(np.float32)
    coarse = values(coarse_text(latents))
    assert coarse.size <= LATENT_VALUES
    pooled = torch.nn.functional.avg_pool2d(torch.from_numpy(latents), side, ceil_mode=True).numpy()
    np.testing.assert_allclose(coarse, pooled, atol=1e-3)


def test_the_last_square_is_the_mean_of_what_is_left():
    latents = np.arange(4 * 15 * 15, dtype=np.float32).reshape(4, 15, 15) / 100
    coarse = values(coarse_text(latents))
    assert coarse.shape == (4, 8, 8)
    assert coarse[0, 7, 7] == np.float16(latents[0, 14, 14])
    assert coarse[1, 0, 7] == np.float16(latents[1, :2, 14].mean())


def test_a_model_of_very_many_channels_keeps_a_value_of_each():
    assert values(coarse_text(np.ones((2000, 3, 5), np.float32))).shape == (2000, 1, 1)


def test_copies_are_as_similar_as_the_angle_between_them():
    one, other = RNG.normal(size=(2, 4, 8, 8)).astype(np.float32)
    expected = torch.nn.functional.cosine_similarity(
        torch.from_numpy(one).flatten(), torch.from_numpy(other).flatten(), dim=0
    )
    assert cosine_similarity(coarse_text(one), coarse_text(other)) == pytest.approx(expected.item(), abs=1e-3)
    assert cosine_similarity(coarse_text(one), coarse_text(one)) == 1
    assert cosine_similarity(coarse_text(one), coarse_text(-one)) == pytest.approx(-1)
    assert cosine_similarity(coarse_text(one), coarse_text(0 * one)) == 0


def test_the_digest_of_latents_is_of_every_bit():
    latents = torch.from_numpy(RNG.normal(size=(1, 4, 64, 64)).astype(np.float32))
    moved = latents.clone()
    moved[0, 0, 0, 0] = torch.nextafter(moved[0, 0, 0, 0], torch.tensor(9.0))
    assert coarse_text(latents[0].numpy()) == coarse_text(moved[0].numpy())
    assert latent_digest(latents) != latent_digest(moved)
    assert latent_digest(latents) == sha256(latents.numpy().tobytes()).hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4x8x8",
        "4x8x8:",
        "4x8x8:AAAA",
        "0x8x8:AAAA",
        "1x1x1:AHw=",
        "1x1x1:!!!!",
        "9999x9999x9999:AAAA",
        "1x1x1:AA",
    ],
)
def test_a_damaged_copy_is_told(text):
    with pytest.raises(ValueError, match="the coarse copy of the latents is damaged"):
        cosine_similarity(text, "1x1x1:ADw=")


def test_copies_of_other_shapes_are_not_compared():
    with pytest.raises(ValueError, match="1x1x1 cannot be compared with 1x1x2"):
        cosine_similarity("1x1x1:ADw=", "1x1x2:ADwAPA==")
