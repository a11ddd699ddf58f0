"""Prompts of any length and weight through the three text encoders of Stable Diffusion 3."""

import pytest
import torch

from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.conditioning import Conditioning, prompt_table
from smd_cli.models.loading import load
from tests.checkpoints import sd3

CLIP, LENGTH = 77, 16
SHORT, LONG = "the sun", "a red house in the snow, " * 8  # of bytes for CLIP, of words for T5


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sd3.make_folder(tmp_path_factory.mktemp("sd3") / "model")


def loaded(model, **settings):
    spec = ModelSpec(str(model), lcm_lora="none", t5_length=LENGTH, **settings)
    return load(locate(spec), torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def backbone(model):
    return loaded(model)


@torch.inference_mode()
def encoded(backbone, *prompts: str) -> Conditioning:
    return backbone.encode_prompts(list(prompts))


def of_t5(backbone, prompt: str) -> list[torch.Tensor]:
    """The states of T5's chunks, by transformers alone."""
    trio, states = backbone.text_encoders, []
    for chunk in trio.t5.tokenizer.chunks(prompt):
        tokens = [*chunk.tokens, 1]
        tokens += [0] * (LENGTH - len(tokens))
        with torch.inference_mode():
            states.append(backbone.networks["text_encoder_3"](torch.tensor([tokens]))[0][0])
    return states


def test_a_prompt_that_fits_is_one_chunk_of_each(backbone):
    row = encoded(backbone, SHORT)
    assert row.embeds.shape == (1, CLIP + LENGTH, 48)
    assert row.counts is None
    assert backbone.text_encoders.t5.tokenizer.chunks.room == LENGTH - 1  # it marks the end alone
    torch.testing.assert_close(row.embeds[0, CLIP:], of_t5(backbone, SHORT)[0])
    assert (row.embeds[0, :CLIP, sum(sd3.WIDTHS) :] == 0).all()


def test_longer_ones_have_chunks_of_each_in_turn(backbone):
    clips, t5 = len(backbone.text_encoders.clips[0].tokenizer.chunks(LONG)), of_t5(backbone, LONG)
    assert clips == 3
    assert len(t5) == 4
    row, block = encoded(backbone, LONG), CLIP + LENGTH
    counts, embeds = row.counts[0].split(block), row.embeds[0].split(block)
    assert len(counts) == 4
    for place, (counted, states) in enumerate(zip(counts, embeds, strict=True)):
        assert (counted[:CLIP] == float(place < clips)).all()
        assert (counted[CLIP:] == 1).all()
        torch.testing.assert_close(states[CLIP:], t5[place])


def test_prompts_of_several_lengths_are_mixed_chunk_by_chunk(backbone):
    with torch.inference_mode():
        table = prompt_table(backbone.encode_prompts, [((SHORT, 0.5), (LONG, 0.5)), ((SHORT, 1.0),)])
    short, long = encoded(backbone, SHORT), encoded(backbone, LONG)
    block = CLIP + LENGTH
    torch.testing.assert_close(table.embeds[0, :block], (short.embeds[0] + long.embeds[0, :block]) / 2)
    torch.testing.assert_close(table.pooled[0], (short.pooled[0] + long.pooled[0]) / 2)
    assert (table.counts[0, block : block + CLIP] == 0.5).all()
    assert (table.counts[1, block:] == 0).all()


def test_weights_count_in_all_encoders(backbone):
    plain, weak, strong = (encoded(backbone, f"a (red:{weight}) house") for weight in (1, 0.4, 1.7))
    for other in (weak, strong):
        changed = (other.embeds - plain.embeds).abs().amax(1)[0]
        assert (changed[: sum(sd3.WIDTHS)] > 0).all()  # both CLIPs', in vectors of their own
        difference = (other.embeds - plain.embeds)[0].abs().amax(1)
        assert difference[:CLIP].max() > 1e-2
        assert difference[CLIP:].max() > 1e-2
    assert (strong.embeds - plain.embeds)[0, CLIP:].abs().amax(1).nonzero().tolist() == [[1]]  # its token


def test_breaks_part_prompts_for_all_encoders(backbone):
    row = encoded(backbone, "a house BREAK the sun")
    assert row.embeds.shape[1] == 2 * (CLIP + LENGTH)
    for place, part in enumerate(("a house", "the sun")):
        block = slice(place * (CLIP + LENGTH), (place + 1) * (CLIP + LENGTH))
        torch.testing.assert_close(row.embeds[:, block], encoded(backbone, part).embeds)


def test_without_t5_zeros_are_attended_to_once(model):
    row = encoded(loaded(model, left_out=("text_encoder_3",)), LONG)
    assert row.embeds.shape[1] == 3 * CLIP + 2 * LENGTH
    assert (row.embeds[0, CLIP : CLIP + LENGTH] == 0).all()
    assert row.counts[0].sum() == 3 * CLIP + LENGTH
