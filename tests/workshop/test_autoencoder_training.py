"""What the autoencoder learns: colours, mixtures of them, and to forgive those that are a little wrong."""

from functools import cache
from itertools import product

import pytest
import torch
from diffusers import AutoencoderTiny
from torch.nn.functional import avg_pool2d, interpolate

from smd_cli.workshop.train.autoencoder import (
    MIXED_WEIGHT,
    miscolored,
    mixed_loss,
    partners,
    reconstruction_loss,
)
from smd_cli.workshop.world.palette import HAIR_COLORS, SHAPE_COLORS
from tests.workshop.parts import WEIGHTS_FOLDER

COLORS = {name: color for name, color in (SHAPE_COLORS | HAIR_COLORS).items() if name != "white"}
GRASS, SKY, WHITE = (100, 170, 80), (90, 160, 230), (255, 255, 255)


@cache
def autoencoder() -> AutoencoderTiny:
    return AutoencoderTiny.from_pretrained(WEIGHTS_FOLDER / "vae", torch_dtype=torch.float32)


def shown_between(one, other, share: float) -> torch.Tensor:
    """The colour (3,), 0 to 255, that lies at a share of the way from one colour's latents to another's."""
    pixels = torch.tensor([one, other]).float()[:, :, None, None].expand(2, 3, 64, 64)
    with torch.no_grad():
        first, second = autoencoder().encode(pixels / 127.5 - 1).latents
        shown = autoencoder().decode(first.lerp(second, share)[None]).sample[0, :, 24:40, 24:40]
    return (shown.mean((1, 2)) + 1) * 127.5


@pytest.mark.parametrize(("name", "amount"), [*product(COLORS, (0.9, 1.1)), ("green", 1.2), ("green", 1.3)])
def test_the_decoder_forgives_a_colour_that_is_a_little_off(name, amount):
    """Latents a little nearer to white ones than those of a colour, or beyond it, still show the colour."""
    shown = shown_between(WHITE, COLORS[name], amount)
    nearest = min(COLORS, key=lambda other: (shown - torch.tensor(COLORS[other])).square().sum())
    same_or_like = {name} | {other for other in COLORS if hue_is_like(COLORS[other], COLORS[name])}
    assert nearest in same_or_like, shown


def hue_is_like(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Reds and reds, and both blacks: the world's hair and shapes share most names."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 60


def grey_levels_off(one, other, share: float) -> float:
    """How far the decoder's picture of two colours' mixed latents is from the mixed colour."""
    wanted = torch.tensor(one).float().lerp(torch.tensor(other).float(), share)
    return float((shown_between(one, other, share) - wanted).abs().max())


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_between_the_latents_of_two_colours_lies_what_lies_between_them(share):
    """White around a region melts into a meadow by way of light green, not of pink."""
    pairs = [(GRASS, SKY), *((color, WHITE) for color in (GRASS, SKY, *COLORS.values()))]
    off = {pair: grey_levels_off(*pair, share) for pair in pairs}
    assert max(off.values()) < 12, off


class Powers(torch.nn.Module):
    """An autoencoder that shows every single colour as it is: its latents are colours to a power."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.encoder = lambda x: avg_pool2d(x.sign() * x.abs() ** power, 8)
        self.decoder = lambda z: interpolate(z.sign() * z.abs() ** (1 / power), scale_factor=8)


def test_an_autoencoder_that_knows_single_colours_alone_is_told_so():
    torch.manual_seed(3)
    pixels = torch.rand(32, 3, 1, 1).expand(32, 3, 16, 16) * 2 - 1
    straight, bent = (mixed_loss(Powers(p), pixels, Powers(p).encoder(pixels)) for p in (1.0, 1 / 3))
    assert straight < 0.03 < 0.06 < bent
    straight, bent = (reconstruction_loss(Powers(p), pixels, 0.0, frozen=False) for p in (1.0, 1 / 3))
    assert bent > straight + 0.6 * MIXED_WEIGHT * (0.06 - 0.03)


def test_crops_are_mixed_with_white_with_colours_and_with_one_another():
    torch.manual_seed(0)
    pixels = torch.rand(200, 3, 16, 16) - 2
    others, shares = partners(pixels)
    flat = others.flatten(2).std(2).max(1).values == 0
    white = (others == 1).flatten(1).all(1)
    assert torch.equal(others[~flat], pixels.roll(1, 0)[~flat])
    assert 0.35 < flat.float().mean() < 0.65
    assert 0.15 < white.float().mean() < 0.4
    even = shares.flatten(1).std(1) < 1e-6
    assert 0.35 < even.float().mean() < 0.65
    assert 0 <= shares.min() < 0.1 < 0.9 < shares.max() <= 1


def test_miscolored_latents_keep_their_size_and_their_outlines():
    torch.manual_seed(0)
    latents = torch.zeros(64, 4, 8, 8)
    latents[:, :, :, 4:] = 1.0
    wrong = miscolored(latents)
    edge = (wrong[..., 4] - wrong[..., 3]).mean((1, 2))
    assert 0.6 < edge.min() < 0.95 < 1.1 < edge.max() < 1.6
    assert (wrong - latents).std() > 0.1
    assert wrong.shape == latents.shape
