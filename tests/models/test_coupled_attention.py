"""UNets under several prompts a row, against attention told once more: token by token, prompt by prompt.

The oracle's network is diffusers' with a plain attention in it, which measures how large each layer is.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from smd_cli.core.coupling import Coupling, shares_of
from smd_cli.core.guidance import ModelInput
from smd_cli.engine.deterministic import DeterministicBackbone
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.components import Destination
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.loading import load
from smd_cli.models.unet import PromptedUNet
from tests.checkpoints import sdxl
from tests.core.models import model_input

ROWS = (0, 0, 0, 1, 2, 2)
"""Three prompts, one, and two: a plain row between coupled ones."""

TIMES = torch.tensor([999, 259, 759])
COUNTS = torch.tensor([[1.0] * length + [0.0] * (6 - length) for length in (6, 4, 1, 3, 6, 2)])
COUNTS[1, 3] = 0.4  # a prompt that is eased towards a longer one


class PlainAttention:
    """A processor that attends from each token of a row to each of its prompts; knows its layer's size."""

    def __init__(self, shares: Tensor, counts: Tensor | None, padding: int) -> None:
        self.shares, self.counts, self.padding = shares, counts, padding
        self.size = (0, 0)

    def __call__(
        self, attention: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any
    ) -> Tensor:
        out = torch.zeros_like(hidden_states)
        height, width = self.size
        for pair, row in enumerate(ROWS):
            query = attention.to_q(hidden_states[row]).unflatten(-1, (attention.heads, -1))
            key, value = (
                made(encoder_hidden_states[pair]).unflatten(-1, (attention.heads, -1))
                for made in (attention.to_k, attention.to_v)
            )
            logits = torch.einsum("thd,lhd->htl", query, key) / query.shape[-1] ** 0.5
            likely = logits.exp() if self.counts is None else logits.exp() * self.counts[pair]
            found = torch.einsum("htl,lhd->thd", likely / likely.sum(-1, keepdim=True), value).flatten(1)
            shares = self.level(pair)
            for token in range(height * width):
                out[row, token] += shares[token // width, token % width] * found[token]
        return attention.to_out[0](out)

    def level(self, pair: int) -> Tensor:
        """A prompt's shares at the layer: each cell is the mean of four of the level above, and so on."""
        level = self.shares[pair]
        while level.shape != self.size:
            ends = [(side + self.padding) // 2 for side in level.shape]
            level = torch.stack(
                [
                    torch.stack([level[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean() for x in range(ends[1])])
                    for y in range(ends[0])
                ]
            )
        return level


def plain(network: nn.Module, shares: Tensor, counts: Tensor | None) -> nn.Module:
    """A copy of a UNet with plain attention to the prompts of its rows."""
    weights = network.state_dict()
    network = UNet2DConditionModel.from_config(network.config).eval()
    network.load_state_dict(weights)
    for name, module in network.named_modules():
        if name.endswith("attn2"):
            module.set_processor(PlainAttention(shares, counts, network.config.downsample_padding))
    for module in network.modules():
        if type(module).__name__ == "Transformer2DModel":
            module.register_forward_pre_hook(measure, with_kwargs=True)
    return network


def measure(module: nn.Module, given: tuple[Tensor, ...], _: dict[str, Any]) -> None:
    for layer in module.transformer_blocks:
        layer.attn2.processor.size = given[0].shape[-2:]


def asked(height: int, width: int) -> ModelInput:
    """Three rows under six prompts whose masks overlap and leave some px bare."""
    random = torch.Generator().manual_seed(7)
    masks = (torch.rand(len(ROWS), height, width, generator=random) - 0.3).clip(0)
    each = [shares_of(masks[[pair for pair, of in enumerate(ROWS) if of == row]]) for row in range(3)]
    latents = torch.randn(3, 4, height, width, generator=random)
    question = model_input(latents, TIMES)
    return replace(question, prompts=torch.arange(len(ROWS)), coupling=Coupling(ROWS, torch.cat(each)))


def unet(padding: int) -> UNet2DConditionModel:
    """A UNet that attends to prompts at each of its three resolutions."""
    torch.manual_seed(5)
    network = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16, 24),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=10,
        attention_head_dim=2,
        norm_num_groups=4,
        downsample_padding=padding,
    ).eval()
    for name, parameter in network.named_parameters():
        if ".attn2.to_" in name and name.endswith("weight"):
            parameter.data *= 4  # so that prompts show
    return network


@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize(
    ("height", "width", "padding"), [(8, 8, 1), (7, 13, 1), (5, 9, 1), (8, 12, 0), (15, 7, 0)]
)
@torch.inference_mode()
def test_layers_mix_what_prompts_say_by_their_shares(
    height: int, width: int, padding: int, is_padded: bool
) -> None:
    network, question = unet(padding), asked(height, width)
    counts = COUNTS if is_padded else None
    table = Conditioning(torch.randn(6, 6, 10, generator=torch.Generator().manual_seed(8)), counts=counts)
    expected = plain(network, question.coupling.shares, counts)(
        question.latents, TIMES, encoder_hidden_states=table.embeds
    ).sample
    prompted = PromptedUNet(network, Destination(torch.device("cpu"), torch.float32, lambda network: None))
    for conditioning in (table, prompted.prepare(table)):
        found = prompted.predict(question, conditioning)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    alone = prompted.predict(model_input(question.latents, TIMES), table.rows([0, 3, 4]))
    torch.testing.assert_close(alone[1], expected[1], rtol=1e-4, atol=1e-4)
    assert (alone - expected).flatten(1).abs().amax(1)[[0, 2]].min() > 0.01  # shares say something


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A small SDXL, which is told a pooled vector beside its prompt."""
    folder = sdxl.make_folder(tmp_path_factory.mktemp("sdxl"))
    with torch.inference_mode():
        yield load(locate(ModelSpec(str(folder)), offline=True), torch.device("cpu"), torch.float32)


WORDS = ["a red circle", "", "the moon over the sea", "grass", "a tree", "snow, a house"]


@torch.inference_mode()
def test_a_row_is_told_the_mean_of_what_its_prompts_tell_beside_their_words(xl: Any) -> None:
    question, table = asked(8, 6), xl.prepare(xl.encode_prompts(WORDS))
    shares = question.coupling.shares
    pooled = torch.zeros(3, sdxl.PROJECTED)
    for pair, row in enumerate(ROWS):
        pooled[row] += shares[pair].mean() * table.pooled[pair]
    sizes = torch.tensor([[64, 48, 0, 0, 64, 48]] * 3).float()
    expected = plain(xl.networks["unet"], shares, None)(
        question.latents,
        TIMES,
        encoder_hidden_states=table.embeds,
        added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes},
    ).sample
    torch.testing.assert_close(xl.predict(question, table), expected, rtol=1e-4, atol=1e-4)
    other = replace(table, pooled=table.pooled.flip(0))
    assert (xl.predict(question, other) - expected).abs().max() > 1e-3


@torch.inference_mode()
def test_rows_are_predicted_alike_in_any_company(xl: Any) -> None:
    """By itself or with others, before a layer that halves them; deterministic ones to the bit."""
    question, table = asked(7, 5), xl.prepare(xl.encode_prompts(WORDS))
    together = xl.predict(question, table)
    steady = DeterministicBackbone.of(xl)
    bits = steady.predict(question, table)
    for places in ([0], [1], [2], [2, 0], [1, 2, 0]):
        part, rows = question.at(places), table.rows(question.pairs(places))
        torch.testing.assert_close(xl.predict(part, rows), together[places], rtol=1e-4, atol=1e-4)
        assert torch.equal(steady.predict(part, rows), bits[places])


@torch.inference_mode()
def test_rows_of_one_prompt_say_the_same_with_and_without_shares(xl: Any) -> None:
    """Also where all prompts of a row are the same one."""
    question, table = asked(7, 5), xl.prepare(xl.encode_prompts(WORDS[:1]))
    expected = xl.predict(model_input(question.latents, TIMES), table.rows([0, 0, 0]))
    single = replace(question, coupling=Coupling.single(3, question.latents), prompts=torch.zeros(3))
    assert torch.equal(xl.predict(single, table.rows([0, 0, 0])), expected)
    alike = xl.predict(question, table.rows([0] * len(ROWS)))
    torch.testing.assert_close(alike, expected, rtol=1e-4, atol=1e-4)
