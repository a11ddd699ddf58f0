"""Prompts in chunks of tokens. The small tokenizer makes each letter a token."""

import pytest
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from smd_cli.models.chunks import Splitter, Vocabulary
from smd_cli.models.clip_tokenizer import read_clip_tokenizer
from smd_cli.models.tokens import Tokenizer
from tests import embedded
from tests.models.outcomes import text_of

ROOM = 75


@pytest.fixture(scope="module")
def tokenizer(folder):
    return Tokenizer.load(folder / "tokenizer", 77, {})


def texts(tokenizer, prompt):
    return [text_of(tokenizer, chunk) for chunk in tokenizer.chunks(prompt)]


@pytest.mark.parametrize("prompt", ["", "a red house", "1girl, (smile), Ä  x\n☂", "x" * ROOM, "x " * ROOM])
def test_one_chunk_is_what_transformers_makes(tokenizer, folder, prompt):
    theirs = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    expected = theirs([prompt], padding="max_length", max_length=77, return_tensors="pt").input_ids
    assert tokenizer.rows(tokenizer.chunks(prompt)).equal(expected)


@pytest.mark.parametrize("file", ["vocab.json", "tokenizer.json"])
def test_a_tokenizer_read_without_transformers_makes_the_same_tokens(tokenizer, folder, file):
    place = folder / "tokenizer" if file == "vocab.json" else embedded.backbone().assets.configs / "tokenizer"
    assert (place / file).exists()
    theirs = CLIPTokenizer.from_pretrained(place)
    split = Splitter(Vocabulary(read_clip_tokenizer(place).tokenizer, {}), 77)
    for prompt in (
        "1girl's 2nd  hat,\n (smile)…",
        "Ärger, ☂☂ façade",
        "it'll 've <|x|> __a__ c++",
        "a <|endoftext|> b",
    ):
        (chunk,) = split(prompt)
        assert list(chunk.tokens) == theirs(prompt, add_special_tokens=False).input_ids


def test_a_tokenizers_file_that_says_to_cut_and_pad_does_neither(tokenizer, folder, tmp_path):
    words = CLIPTokenizer.from_pretrained(folder / "tokenizer").backend_tokenizer
    words.enable_truncation(8)
    words.enable_padding(length=8)
    words.save(str(tmp_path / "tokenizer.json"))
    again = Tokenizer.load(tmp_path, 77, {})
    for prompt in ("x", "x" * 20):
        assert again.chunks(prompt) == tokenizer.chunks(prompt)


def test_nothing_gets_lost_between_chunks(tokenizer):
    prompt = "one of the words, and more; " * 20 + "w" * 200
    chunks = tokenizer.chunks(prompt)
    whole = tokenizer.own.tokenizer.encode(prompt).ids
    assert [token for chunk in chunks for token in chunk.tokens] == whole
    assert all(len(chunk.tokens) == len(chunk.weights) <= ROOM for chunk in chunks)
    assert len(tokenizer.chunks("x" * (ROOM + 1))) == 2


def test_a_chunk_ends_at_a_comma_where_one_is_near(tokenizer):
    assert texts(tokenizer, "x" * 60 + ", " + "y" * 10 + " z" + "y" * 10)[0] == "x" * 60 + " ,"
    far = "x" * 40 + ", " + "y" * 20 + " zzz " + "y" * 20
    assert texts(tokenizer, far) == ["x" * 40 + " , " + "y" * 20 + " zzz", "y" * 20]


def test_words_that_are_weighted_together_stay_together(tokenizer):
    before = " ".join(["xx"] * 32)  # 64 tokens
    assert texts(tokenizer, f"{before} (aa, bb cc dd ee ff:1.5) g") == [before, "aa , bb cc dd ee ff g"]
    long = tokenizer.chunks(f"({' '.join(['xx'] * 40)}:1.5)")
    assert [len(chunk.tokens) for chunk in long] == [74, 6]
    assert {weight for chunk in long for weight in chunk.weights} == {1.5}


def test_weights_belong_to_tokens(tokenizer):
    (chunk,) = tokenizer.chunks("a (bc:0.5), d")
    assert chunk.weights == (1, 0.5, 0.5, 1, 1)


def test_parts_are_chunks_of_their_own(tokenizer):
    assert texts(tokenizer, "a cat BREAK a dog") == ["a cat", "a dog"]
