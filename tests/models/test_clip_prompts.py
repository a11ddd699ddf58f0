"""Prompts through CLIP: one chunk as in transformers, weights as in compel, chunks as each alone."""

from dataclasses import replace

import pytest
import torch
from compel.embeddings_provider import EmbeddingsProvider
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from tests import embedded
from tests.core.models import model_input
from tests.models.outcomes import text_of

LONG = "a red house, " * 18


@pytest.fixture(scope="module")
def backbone(folder):
    return load(locate(ModelSpec(str(folder)), offline=True), torch.device("cpu"), torch.float32)


def states(backbone, *prompts):
    return backbone.encode_prompts(list(prompts)).embeds


@pytest.mark.parametrize("prompt", ["", "a red house (fate)", "x " * 75])
def test_a_prompt_of_one_chunk_is_encoded_as_ever(backbone, folder, prompt):
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    tokens = tokenizer([prompt], padding="max_length", max_length=77, return_tensors="pt").input_ids
    assert states(backbone, prompt).equal(backbone.networks["text_encoder"](tokens).last_hidden_state)


def test_weights_of_1_and_escaped_brackets_change_nothing(backbone):
    plain, weighted = states(backbone, "a red house (fate)", r"a (red house:1.0) \(fate\)")
    assert plain.equal(weighted)


@pytest.mark.parametrize(
    "fragments",
    [
        [("a red ", 1), ("house", 1.4)],
        [("a red ", 1), ("house", 0.6), (" in snow", 1)],
        [("a", 0.3), (" red ", 1), ("house", 1.5), (" in", 1), (" snow", 0.8)],
        [("a cat", 0), (" on a mat", 1)],
        [("a cat", 0.5)],
    ],
)
def test_weights_are_what_compel_makes_of_them(backbone, folder, fragments):
    tokenizer, encoder = (
        CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        backbone.networks["text_encoder"],
    )
    provider = EmbeddingsProvider(tokenizer, encoder)
    expected = provider.get_embeddings_for_weighted_prompt_fragments(
        [[text for text, _ in fragments]], [[weight for _, weight in fragments]]
    )
    ours = states(
        backbone, "".join(text if weight == 1 else f"({text}:{weight})" for text, weight in fragments)
    )
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(ours, states(backbone, "".join(text for text, _ in fragments)), atol=1e-2)


def test_chunks_are_encoded_each_by_itself(backbone):
    chunks = backbone.text_encoders[0].tokenizer.chunks(LONG)
    assert len(chunks) == 3
    alone = [states(backbone, text_of(backbone.text_encoders[0].tokenizer, chunk)) for chunk in chunks]
    torch.testing.assert_close(states(backbone, LONG), torch.cat(alone, dim=1))


def test_a_weight_in_a_later_chunk_acts_there_alone(backbone):
    plain, weighted = states(backbone, LONG + "BREAK a cat", LONG + "BREAK a (cat:0.5)").split(1)
    assert plain[:, :-77].equal(weighted[:, :-77])
    torch.testing.assert_close(weighted[:, -77:], states(backbone, "a (cat:0.5)"))


def test_a_prompt_does_not_depend_on_the_length_of_its_neighbours(backbone):
    latents, timesteps = torch.randn(1, 4, 16, 16), torch.tensor([999])
    asked = model_input(latents, timesteps)
    beside = backbone.encode_prompts(["a cat", LONG])
    alone = backbone.predict(asked, backbone.encode_prompts(["a cat"]))
    for table in (beside, backbone.prepare(beside)):
        torch.testing.assert_close(backbone.predict(asked, table.rows([0])), alone)
    padded_only = replace(beside, counts=None).rows([0])
    assert not torch.allclose(backbone.predict(asked, padded_only), alone, atol=1e-4)


def test_the_other_way_too_and_in_any_order(backbone):
    latents, timesteps = torch.randn(3, 4, 16, 16), torch.tensor([999, 499, 19])
    table = backbone.prepare(backbone.encode_prompts(["a cat", LONG, "x BREAK y"])).rows([2, 1, 0])
    got = backbone.predict(model_input(latents, timesteps), table)
    for row, prompt in enumerate(["x BREAK y", LONG, "a cat"]):
        asked = model_input(latents[row : row + 1], timesteps[row : row + 1])
        expected = backbone.predict(asked, backbone.encode_prompts([prompt]))
        torch.testing.assert_close(got[row : row + 1], expected)


def test_half_precision_weighs_and_pads_too(folder):
    narrow = load(locate(ModelSpec(str(folder)), offline=True), torch.device("cpu"), torch.bfloat16)
    table = narrow.encode_prompts(["a (cat:0.5)", LONG])
    assert table.embeds.dtype == torch.bfloat16
    got = narrow.predict(model_input(torch.randn(1, 4, 16, 16), torch.tensor([999])), table.rows([0]))
    assert got.isfinite().all()


def test_the_embedded_model_takes_weights_and_chunks():
    backbone = embedded.backbone()
    table = backbone.encode_prompts(["a cat", "a (cat:0.5)", "grass, " * 60])
    assert table.embeds.shape[1] == 2 * 77
    assert not torch.allclose(table.embeds[0], table.embeds[1], atol=0.1)
    assert table.counts.sum(1).tolist() == [77, 77, 2 * 77]
