"""The autoencoder: colours, mixtures of colours, and tolerance of colour errors."""

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
    """Decode a mixture of two colours' latents; return the mean colour (3,), 0 to 255."""
    pixels = torch.tensor([one, other]).float()[:, :, None, None].expand(2, 3, 64, 64)
    with torch.no_grad():
        first, second = autoencoder().encode(pixels / 127.5 - 1).latents
        shown = autoencoder().decode(first.lerp(second, share)[None]).sample[0, :, 24:40, 24:40]
    return (shown.mean((1, 2)) + 1) * 127.5


@pytest.mark.parametrize(("name", "amount"), [*product(COLORS, (0.9, 1.1)), ("green", 1.2), ("green", 1.3)])
def test_the_decoder_tolerates_small_colour_errors(name, amount):
    """Latents that under- or overshoot a colour, seen from white, still decode to that colour."""
    shown = shown_between(WHITE, COLORS[name], amount)
    nearest = min(COLORS, key=lambda other: (shown - torch.tensor(COLORS[other])).square().sum())
    same_or_like = {name} | {other for other in COLORS if hue_is_like(COLORS[other], COLORS[name])}
    assert nearest in same_or_like, shown


def hue_is_like(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Both reds and both blacks: most colour names exist for hair and for shapes."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 60


def grey_levels_off(one, other, share: float) -> float:
    """The distance of the decoded mean of two colours' latents to the mean colour."""
    wanted = torch.tensor(one).float().lerp(torch.tensor(other).float(), share)
    return float((shown_between(one, other, share) - wanted).abs().max())


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_mixed_latents_decode_to_mixed_colours(share):
    """Between white and a meadow's green lies light green, not pink."""
    pairs = [(GRASS, SKY), *((color, WHITE) for color in (GRASS, SKY, *COLORS.values()))]
    off = {pair: grey_levels_off(*pair, share) for pair in pairs}
    assert max(off.values()) < 12, off


class Powers(torch.nn.Module):
    """An autoencoder that is exact for plain colours: its latents are the colours raised to a power."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.encoder = lambda x: avg_pool2d(x.sign() * x.abs() ** power, 8)
        self.decoder = lambda z: interpolate(z.sign() * z.abs() ** (1 / power), scale_factor=8)


def test_the_mixture_loss_finds_an_autoencoder_that_is_right_for_plain_colours_only():
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


def test_miscolored_latents_keep_their_scale_and_outlines():
    torch.manual_seed(0)
    latents = torch.zeros(64, 4, 8, 8)
    latents[:, :, :, 4:] = 1.0
    wrong = miscolored(latents)
    edge = (wrong[..., 4] - wrong[..., 3]).mean((1, 2))
    assert 0.6 < edge.min() < 0.95 < 1.1 < edge.max() < 1.6
    assert (wrong - latents).std() > 0.1
    assert wrong.shape == latents.shape
