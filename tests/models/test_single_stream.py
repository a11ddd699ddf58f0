"""This program's way through Z-Image's transformer: as diffusers goes, and for mixes of texts."""

import pytest
import torch
from torch import Tensor, nn

from smd_cli.models.conditioning import Conditioning, prompt_table
from smd_cli.models.single_stream import SingleStream
from tests.checkpoints import qwen, zimage

TEXTS = {"a": 5, "b": 19, "c": 40}
"""Texts and how many tokens they have; the first two end in the same block of 32."""


@pytest.fixture(scope="module")
def network():
    return zimage.make_transformer().eval().requires_grad_(requires_grad=False)


def states(text: str) -> Tensor:
    return torch.randn(TEXTS[text], qwen.HIDDEN, generator=torch.Generator().manual_seed(ord(text)))


def encode(texts: list[str]) -> Conditioning:
    return Conditioning.joined([Conditioning(states(text)[None]) for text in texts])


def latents(count: int) -> Tensor:
    return torch.randn(1, zimage.CHANNELS, 6, 10, generator=torch.Generator().manual_seed(1)).repeat(
        count, 1, 1, 1
    )


def velocity(network: nn.Module, *mixes: dict[str, float]) -> Tensor:
    """The velocities of one view under some mixes of texts."""
    stream, table = SingleStream(network), prompt_table(encode, [tuple(mix.items()) for mix in mixes])
    return stream.velocity(latents(len(mixes)), torch.full((len(mixes),), 0.6), stream.read_captions(table))


def theirs(network: nn.Module, *captions: Tensor) -> Tensor:
    views = [view[:, None] for view in latents(len(captions))]
    found = network(views, torch.full((len(captions),), 0.4), list(captions), return_dict=False)[0]
    return -torch.cat(found, dim=1).transpose(0, 1)


def difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def test_captions_of_several_lengths_are_read_as_diffusers_does(network):
    found = velocity(network, {"a": 1}, {"b": 1}, {"c": 1})
    assert difference(found, theirs(network, *map(states, TEXTS))) < 1e-5
    assert min(difference(found[[i]], found[[j]]) for i, j in ((0, 1), (1, 2), (0, 2))) > 0.01


def test_a_row_is_what_it_is_alone(network):
    together = velocity(network, {"a": 1}, {"c": 1}, {"a": 0.5, "c": 0.5})
    for row, mix in enumerate(({"a": 1}, {"c": 1}, {"a": 0.5, "c": 0.5})):
        assert difference(together[[row]], velocity(network, mix)) < 1e-5


def test_a_text_that_has_ended_is_what_fills_it_up(network):
    """A mix in one block is a mix of tokens, told to diffusers as tokens that are embedded already."""
    share, (short, long) = 0.3, (states("a"), states("b"))
    embed, length = network.cap_embedder, len(short)
    common = embed((1 - share) * short + share * long[:length])
    rest = share * embed(long[length:]) + (1 - share) * network.cap_pad_token
    mixed = velocity(network, {"a": 1 - share, "b": share})
    network.cap_embedder = nn.Identity()
    try:
        expected = theirs(network, torch.cat([common, rest]))
    finally:
        network.cap_embedder = embed
    assert difference(mixed, expected) < 1e-5


@pytest.mark.parametrize("other", ["b", "c"])
def test_easing_between_texts_has_no_jump(network, other):
    steps = [1, 1 - 1e-4, 0.75, 0.5, 0.25, 1e-4, 0]
    found = velocity(network, *({"a": share, other: 1 - share} for share in steps))
    assert difference(found[[0]], velocity(network, {"a": 1})) < 1e-5
    assert difference(found[[-1]], velocity(network, {other: 1})) < 1e-5
    whole = difference(found[[0]], found[[-1]])
    for near, end in ((1, 0), (-2, -1)):
        assert 0 < difference(found[[near]], found[[end]]) < whole / 100


def test_what_fills_up_pictures_is_attended_to(network):
    """As it was trained: 15 tokens of a view are filled up to 32."""
    before = velocity(network, {"a": 1})
    kept = network.x_pad_token.clone()
    network.x_pad_token.add_(1.0)
    try:
        assert difference(velocity(network, {"a": 1}), before) > 1e-3
    finally:
        network.x_pad_token.copy_(kept)
