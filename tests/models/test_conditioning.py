"""The table of prompts."""

import torch
from torch import Tensor

from smd_cli.models.conditioning import Conditioning, prompt_table
from smd_cli.scene.prompts import PromptMix, mixed


def encode(texts):
    """A vector that tells the text."""
    lengths = torch.tensor([float(len(text)) for text in texts])
    return Conditioning(lengths[:, None, None].expand(-1, 3, 2), lengths[:, None])


def test_rows_repeat_and_reorder():
    table = encode(["a", "bb", "ccc"])
    picked = table.rows(torch.tensor([2, 0, 2]))
    assert len(picked) == 3
    assert picked.embeds[:, 0, 0].tolist() == [3, 1, 3]
    assert picked.pooled[:, 0].tolist() == [3, 1, 3]
    assert Conditioning(table.embeds).rows([1]).pooled is None


def test_a_row_for_each_prompt_in_order():
    table = prompt_table(encode, [[("a" * 10, 1.0)], [("b" * 30, 1.0)], [("", 1.0)], [("a" * 10, 1.0)]])
    assert table.embeds[:, 0, 0].tolist() == [10, 30, 0, 10]
    assert table.pooled[:, 0].tolist() == [10, 30, 0, 10]


def test_mixtures_lie_between_their_texts():
    own, behind = PromptMix.of("a" * 10), PromptMix.of("e" * 100)
    leaning = mixed((behind, 0.75), (own, 0.25))
    mixes = [leaning, mixed((behind, 1.0), (own, 0.0)), mixed((leaning, 0.5), (own, 0.5))]
    table = prompt_table(encode, [mix.weights for mix in mixes])
    torch.testing.assert_close(table.embeds[:, 0, 0], torch.tensor([77.5, 100.0, 43.75]))
    torch.testing.assert_close(table.pooled[:, 0], torch.tensor([77.5, 100.0, 43.75]))


def test_mixtures_of_half_precision_stay_so():
    halves = Conditioning(torch.ones(2, 3, 2).bfloat16(), torch.ones(2, 1).bfloat16())
    found = halves.mixed(torch.tensor([[0.25, 0.75]]))
    assert found.embeds.dtype == found.pooled.dtype == torch.bfloat16


def test_a_text_is_encoded_once_and_one_without_weight_not_at_all():
    asked = []

    def counting(texts):
        asked.extend(texts)
        return encode(texts)

    sky, sea, unheard = map(PromptMix.of, ("sky", "sea", "unheard"))
    mixes = [sky, mixed((sky, 0.5), (sea, 0.5)), mixed((sky, 1.0), (unheard, 0.0))]
    prompt_table(counting, [mix.weights for mix in mixes])
    assert sorted(asked) == ["sea", "sky"]


def test_texts_of_several_lengths():
    """B is a chunk longer than A: in their mix, that chunk is B's alone, and counts as much as B does."""
    short = Conditioning(torch.full((1, 2, 3), 1.0), torch.tensor([[10.0]]))
    long = Conditioning(torch.full((1, 4, 3), 5.0), torch.tensor([[20.0]]))
    table = Conditioning.joined([short, long])
    assert table.counts.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    mixed = table.mixed(torch.tensor([[1.0, 0.0], [0.75, 0.25], [0.0, 1.0]]))
    assert mixed.embeds[:, :, 0].tolist() == [[1, 1, 0, 0], [2, 2, 5, 5], [5, 5, 5, 5]]
    assert mixed.counts.tolist() == [[1, 1, 0, 0], [1, 1, 0.25, 0.25], [1, 1, 1, 1]]
    assert mixed.pooled[:, 0].tolist() == [10, 12.5, 20]
    again = Conditioning.joined([mixed.rows([1]), short])
    assert again.counts.tolist() == [[1, 1, 0.25, 0.25], [1, 1, 0, 0]]


def test_texts_of_one_length_all_count():
    table = encode(["a", "b"])
    assert Conditioning.joined([table, table]).counts is None
    assert table.attention_bias is table.mixed(torch.eye(2)).counts is None


def test_a_vector_counts_in_attention_as_often_as_it_says():
    """Attention over a vector that counts half, twice, is attention over it once."""
    key, value, query = torch.randn(1, 1, 3, 4), torch.randn(1, 1, 3, 4), torch.randn(1, 1, 2, 4)
    twice = [tensor[:, :, [0, 1, 2, 2, 0]] for tensor in (key, value)]
    bias = Conditioning(torch.zeros(1, 5, 4), counts=torch.tensor([[1, 1, 0.5, 0.5, 0]])).attention_bias
    attend = torch.nn.functional.scaled_dot_product_attention
    torch.testing.assert_close(attend(query, *twice, attn_mask=bias), attend(query, key, value))


class Layers(list[Tensor]):
    """Keys of layers that know which of them were read."""

    def __init__(self, layers: list[Tensor]) -> None:
        super().__init__(layers)
        self.read: list[int] = []

    def __getitem__(self, place):
        self.read.append(place)
        return super().__getitem__(place)


def test_keys_are_copied_for_a_layer_at_a_time():
    """A batch of coupled views has many prompts; of all layers their keys take more than what is computed."""
    keys = Layers([torch.randn(4, 3, 2), torch.randn(4, 3, 6)])
    table = Conditioning(torch.randn(4, 3, 5), keys=keys)
    picked = table.rows([2, 0, 2, 3]).rows(torch.tensor([3, 0]))
    assert keys.read == []
    assert len(picked.keys) == 2
    assert torch.equal(picked.keys[1], list(keys)[1][[3, 2]])
    assert keys.read == [1]
    first, *_ = picked.keys[0:2]
    assert torch.equal(first, next(iter(keys))[[3, 2]])
