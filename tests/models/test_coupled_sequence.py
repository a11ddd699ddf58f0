"""Coupled views in transformers of joint attention: one sequence of a picture and all its prompts."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from smd_cli.core.coupling import Coupling
from smd_cli.core.guidance import ModelInput
from smd_cli.core.tiling import Box
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.coupled_sequence import coupled_bias, joint_bias
from smd_cli.models.loading import load
from tests.checkpoints import klein, sd3, zimage

MAKERS = {"sd3": sd3.make_folder, "klein": klein.make_folder, "zimage": zimage.make_folder}
HEIGHT, WIDTH = 6, 10
"""A tile in latent pixels: 15 tokens of two by two, which Z-Image fills up to 32."""

ALL = torch.ones(1, HEIGHT, WIDTH)

PROMPTS = [
    "a house",
    "the sun over the sea",
    "a tall tree " * 30,  # which takes several blocks of Z-Image's tokens, and two parts of SD3's
]


@pytest.fixture(scope="module", params=list(MAKERS))
def model(request, tmp_path_factory) -> Backbone:
    folder = MAKERS[request.param](tmp_path_factory.mktemp(request.param))
    return load(
        locate(ModelSpec(str(folder), t5_length=77), offline=True), torch.device("cpu"), torch.float32
    )


@pytest.fixture(scope="module")
def table(model) -> Conditioning:
    """The prompts, and a mix of two of several lengths, whose tokens do not all count alike."""
    mixes = torch.cat([torch.eye(3), torch.tensor([[0.4, 0.0, 0.6]])])
    return model.prepare(model.encode_prompts(PROMPTS).mixed(mixes))


def shares(*, seed: int = 0, prompts: int = 2) -> Tensor:
    """Shares of all sizes, that sum to 1."""
    drawn = torch.randn(prompts, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
    return (3 * drawn).softmax(0)


def predicted(
    model: Backbone,
    table: Conditioning,
    rows: Sequence[Sequence[int]],
    of_rows: Sequence[Tensor],
    times: Sequence[float] = (600.0,),
) -> Tensor:
    """The predictions of rows at some times, under some prompts each, with shares (R, h, w) each."""
    height, width = of_rows[0].shape[1:]
    latents = torch.randn(
        1, model.facts.latent_channels, height, width, generator=torch.Generator().manual_seed(1)
    )
    prompts = torch.tensor([prompt for row in rows for prompt in row])
    numbers = tuple(number for number, row in enumerate(rows) for _ in row)
    asked = ModelInput(
        latents=latents.repeat(len(rows), 1, 1, 1),
        timesteps=torch.tensor(times),
        end_timesteps=torch.zeros(len(rows)),
        prompts=prompts,
        boxes=(Box(0, height, 0, width),) * len(rows),
        canvas=(height, width),
        coupling=Coupling(numbers, torch.cat(list(of_rows))) if len(prompts) > len(rows) else None,
    )
    with torch.inference_mode():
        return model.predict(asked, table.rows(prompts))


def one(model: Backbone, table: Conditioning, prompts: Sequence[int], shares: Tensor = ALL) -> Tensor:
    """The prediction of one row; of a single prompt, that of a plain view."""
    return predicted(model, table, [prompts], [shares])


def difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize("first", [0, 2])
def test_a_prompt_that_has_all_of_a_tile_is_as_if_it_were_alone(model, table, first):
    full = torch.stack([torch.ones(HEIGHT, WIDTH), torch.zeros(HEIGHT, WIDTH)])
    alone = one(model, table, [first])
    for place, prompts in enumerate(([first, 1], [1, first])):
        assert difference(one(model, table, prompts, full.roll(place, 0)), alone) < 1e-5
    assert difference(one(model, table, [1]), alone) > 1e-3


def test_the_same_prompt_twice_is_that_prompt(model, table):
    """However its shares are spread: what is there twice counts once, in all layers."""
    for prompt in (0, 2, 3):
        alone = one(model, table, [prompt])
        assert difference(one(model, table, [prompt] * 2, shares()), alone) < 1e-5
        assert difference(one(model, table, [prompt] * 3, shares(prompts=3)), alone) < 1e-5


def test_the_order_of_prompts_changes_nothing(model, table):
    of_three = shares(prompts=3)
    found = one(model, table, [0, 2, 3], of_three)
    assert difference(one(model, table, [3, 0, 2], of_three[[2, 0, 1]]), found) < 1e-5
    assert difference(one(model, table, [3, 0, 2], of_three), found) > 1e-3  # and which has which share does


def test_rows_are_what_they_are_alone_whatever_is_beside_them(model, table):
    rows = [[0], [0, 1], [2], [2, 1, 0], [1, 2]]
    of_rows = [shares(seed=seed, prompts=len(row)) for seed, row in enumerate(rows)]
    times = [600.0, 500.0, 400.0, 300.0, 200.0]
    together = predicted(model, table, rows, of_rows, times)
    for number, (row, of_row, time) in enumerate(zip(rows, of_rows, times, strict=True)):
        alone = predicted(model, table, [row], [of_row], [time])
        assert difference(together[[number]], alone) < 1e-5


def test_parts_of_a_token_add_up(model, table):
    """Shares are averaged over what a token covers: two by two latent pixels."""
    if model.facts.family == "klein":
        pytest.skip("its tokens are latent pixels")
    patch = 2
    whole = shares().unflatten(1, (-1, patch)).unflatten(3, (-1, patch)).mean((2, 4))
    spread = whole.repeat_interleave(patch, 1).repeat_interleave(patch, 2)
    assert difference(one(model, table, [0, 1], spread), one(model, table, [0, 1], shares())) < 1e-5


def test_a_bias_by_hand():
    """A picture of two tokens, a filler, and two prompts of two tokens, the second one shorter."""
    coupling = Coupling((0, 0), torch.tensor([[[1.0, 0.25]], [[0.0, 0.75]]]))
    counts = torch.tensor([[1.0, 0.5], [1.0, 0.0]])
    found = coupled_bias(coupling, counts, (1, 2), torch.float32, fillers=1)
    picture, halfway = [1.0, 1, 1], 0.625
    expected = [
        [*picture, 1, 0.5, 0, 0],
        [*picture, 0.25, 0.125, 0.75, 0],
        [*picture, halfway, halfway / 2, 1 - halfway, 0],
        [*picture, 1, 0.5, 0, 0],
        [*picture, 1, 0.5, 0, 0],
        [*picture, 0, 0, 1, 0],
        [*picture, 0, 0, 1, 0],
    ]
    torch.testing.assert_close(found.exp(), torch.tensor([[expected]]))
    turned = coupled_bias(coupling, counts, (1, 2), torch.float32, fillers=1, prompts_first=True)
    by_prompts = [*range(3, 7), *range(3)]
    torch.testing.assert_close(turned, found[..., by_prompts, :][..., by_prompts])


@pytest.mark.parametrize("prompts_first", [False, True])
def test_prompts_whose_tokens_do_not_count_alike_have_a_bias_alone_too(prompts_first):
    """A row for what attends, of one place for all of a picture's."""
    one = Conditioning(torch.zeros(1, 2, 4), counts=torch.tensor([[1.0, 0.25]]))
    found = joint_bias(None, one, (1, 3), prompts_first=prompts_first)
    assert found is not None
    own, picture = [1, 0.25], [1.0] * 3
    assert found.exp().flatten().tolist() == ([*own, *picture] if prompts_first else [*picture, *own])
    assert joint_bias(None, Conditioning(torch.zeros(1, 2, 4)), (1, 3), prompts_first=prompts_first) is None


def first_layer(model: Backbone, table: Conditioning, prompts: Sequence[int], shares: Tensor) -> list[Tensor]:
    """What the first joint layer makes of a picture, (1, T, D), and of its prompts, (1, R·L, D)."""
    network, made = model.networks["transformer"], []
    layer = network.layers[0] if model.facts.family == "zimage" else network.transformer_blocks[0]
    hook = layer.register_forward_hook(lambda _, given, output: made.append(output))
    one(model, table, prompts, shares)
    hook.remove()
    if model.facts.family == "zimage":
        tokens = shares[0].numel() // 4
        return [made[0][:, :tokens], made[0][:, tokens:]]
    return list(reversed(made[0]))


def test_the_first_layer_makes_of_each_part_what_it_makes_in_a_view_of_its_own(model, table):
    """Of a prompt too, whatever the others are: they reach it through the picture, from the next layer on."""
    if table.pooled is not None:  # which is one for a whole row
        table = replace(table, pooled=table.pooled[[0]].expand_as(table.pooled))
    height, width = 8, 16  # 32 tokens of two by two, which need no filling up
    is_left = (torch.arange(width) < 6).expand(height, width)
    halves = torch.stack([is_left, ~is_left]).float()
    picture, prompts = first_layer(model, table, [0, 2], halves)
    views = [first_layer(model, table, [prompt], torch.ones(1, height, width)) for prompt in (0, 2)]
    patch = round((is_left.numel() / picture.shape[1]) ** 0.5)
    is_left = is_left[::patch, ::patch].flatten()[:, None]
    assert difference(picture, torch.where(is_left, views[0][0], views[1][0])) < 1e-5
    for place, (_, own) in enumerate(views):
        length = own.shape[1]
        start = place * prompts.shape[1] // 2
        assert difference(prompts[:, start : start + length], own) < 1e-5
