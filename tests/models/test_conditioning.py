"""The table of prompts."""

import torch

from smd_cli.models.conditioning import Conditioning, Prompt, prompt_table


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


def test_positives_come_before_negatives():
    regions = [Prompt("a" * 10, "b" * 20), Prompt("c" * 30)]
    table = prompt_table(encode, regions, Prompt("background"), [1.0, 1.0])
    assert table.embeds[:, 0, 0].tolist() == [10, 30, 20, 0]
    assert table.pooled[:, 0].tolist() == [10, 30, 20, 0]


def test_strength_leads_from_the_background_prompt_for_the_negatives_too():
    regions = [Prompt("a" * 10, "b" * 20), Prompt("c" * 30, "d" * 40)]
    table = prompt_table(encode, regions, Prompt("e" * 100, "f" * 200), [0.25, 0.0])
    torch.testing.assert_close(table.embeds[:, 0, 0], torch.tensor([77.5, 100.0, 155.0, 200.0]))


def test_a_text_is_encoded_once():
    asked = []

    def counting(texts):
        asked.extend(texts)
        return encode(texts)

    prompt_table(counting, [Prompt("sky"), Prompt("sky"), Prompt("sea")], Prompt("sky"), [1, 0.5, 1])
    assert sorted(asked) == ["", "sea", "sky"]
