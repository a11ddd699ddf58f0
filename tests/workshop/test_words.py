"""The tokenizer trained on captions, and the targets of the text encoder's pretraining."""

from smd_cli.workshop.train.text import build_tokenizer, token_ids, word_targets


def test_the_tokenizer_spells_unknown_words_and_marks_the_ends():
    captions = ["a red circle", "a red house", "the sun"] * 40
    tokenizer = build_tokenizer(captions)
    ids = token_ids(tokenizer, ["a red zzyzx é", ""])
    assert ids.shape == (2, 77)
    assert ids[0, 0] == tokenizer.bos_token_id
    assert ids[1, 1:].eq(tokenizer.eos_token_id).all()
    length = int(ids[0].eq(tokenizer.eos_token_id).int().argmax())
    assert length > 4
    assert tokenizer("red").input_ids[1:-1] == [tokenizer.get_vocab()["red</w>"]]


def test_targets_hold_words_and_pairs():
    captions = ["red circle"] * 25 + ["blue circle"] * 25 + ["rare word"]
    targets = word_targets(captions)
    assert targets.shape == (51, 5)
    assert targets[0].sum() == 3
    assert targets[-1].sum() == 0
