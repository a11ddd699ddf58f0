"""CLIP's tokenizer is read by this program itself: whole, or refused with the file and the key."""

import json

import pytest
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.clip_tokenizer import read_clip_tokenizer
from tests import embedded
from tests.models.conftest import edit_json

WHOLE, VOCABULARY = "tokenizer/tokenizer.json", "tokenizer/vocab.json"


def failure(copy) -> str:
    with pytest.raises(AssetError) as caught:
        locate(ModelSpec(str(copy)), offline=True)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{copy}/")


@pytest.fixture
def whole(copy):
    """A model whose tokenizer is one file, with merges."""
    path = copy / WHOLE
    theirs = CLIPTokenizer.from_pretrained(copy / "tokenizer")
    theirs.backend_tokenizer.save(str(path))
    return path


def edit(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"x</w>": -1}, "token 'x</w>' has the number -1, which is none"),
        ({"x</w>": "7"}, "token 'x</w>' has the number '7', which is none"),
        ({"x</w>": True}, "token 'x</w>' has the number True, which is none"),
        ({"x</w>": 1.5}, "token 'x</w>' has the number 1.5, which is none"),
        ({"x</w>": None}, "token 'x</w>' has the number None, which is none"),
        ({"x</w>": 2**40}, f"token 'x</w>' has the number {2**40}, which is none"),
        ({"yes</w>": 514}, "token 'yes</w>' has the number 514, and the text encoder has only 514 tokens"),
    ],
)
def test_numbers_that_are_none(copy, change, problem):
    edit_json(copy / VOCABULARY, **change)
    assert failure(copy).startswith(f"{VOCABULARY}: {problem}")


@pytest.mark.parametrize("name", ["<|startoftext|>", "<|endoftext|>"])
def test_special_tokens_that_are_missing(copy, name):
    edit(copy / VOCABULARY, lambda words: words.pop(name))
    assert f"{VOCABULARY}: its vocabulary lacks the token '{name}'" in failure(copy)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (b"a b\nx\n", "merges.txt: merge 1 is 'x', not two tokens"),
        (b"a b c\n", "merges.txt: merge 0 is 'a b c', not two tokens"),
        (b"a nosuchtoken\n", "nosuchtoken"),
        (b"\xff\xfe", "no UTF-8 text: byte 14 is 0xff"),
    ],
)
def test_merges_that_are_none(copy, lines, problem):
    (copy / "tokenizer/merges.txt").write_bytes(b"#version: 0.2\n" + lines)
    said = failure(copy)
    assert said.startswith("tokenizer/")
    assert problem in said


def test_merges_that_are_missing(copy):
    (copy / "tokenizer/merges.txt").unlink()
    assert failure(copy).startswith("tokenizer/merges.txt: no such file")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda it: it.pop("model"), "it has no model"),
        (lambda it: it.update(model=[]), "it has no model"),
        (lambda it: it["model"].update(type="Unigram"), "model.type: a tokenizer of the kind 'Unigram'"),
        (lambda it: it["model"].update(vocab=[["a", 1]]), "it has no vocabulary"),
        (lambda it: it["model"].update(vocab={}), "it has no vocabulary"),
        (lambda it: it["model"].update(merges="a b"), "it has no list of merges"),
        (lambda it: it["model"].update(merges=[["a"]]), "merge 0 is ['a'], not two tokens"),
        (lambda it: it["model"].update(merges=[7]), "merge 0 is 7, not two tokens"),
        (lambda it: it.update(added_tokens=7), "added_tokens: no list of tokens"),
        (lambda it: it.update(added_tokens=[7]), "added_tokens: no list of tokens"),
        (lambda it: it.update(added_tokens=[{"id": 1}]), "added_tokens: no list of tokens"),
        (lambda it: it.update(added_tokens=[{"id": -1, "content": "a"}]), "has the number -1"),
        (lambda it: it.update(added_tokens=[{"id": 3, "content": "<|endoftext|>"}]), "has two numbers"),
        (lambda it: it.update(added_tokens=[{"id": 900, "content": "<cat>"}]), "'<cat>' has the number 900"),
        (lambda it: it.update(added_tokens=[{"id": 9, "content": 7}]), "no readable tokenizer"),
    ],
)
def test_a_tokenizer_in_one_file_that_is_none(whole, copy, change, problem):
    edit(whole, change)
    said = failure(copy)
    assert said.startswith(f"{WHOLE}: ")
    assert problem in said


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("special_tokens_map.json", {"pad_token": 7}, "pad_token: 7 is no token"),
        ("special_tokens_map.json", {"pad_token": {"content": []}}, "pad_token: {'content': []} is no token"),
        ("special_tokens_map.json", {"pad_token": "nowhere"}, "lacks the token 'nowhere' (pad_token)"),
        ("special_tokens_map.json", [], "expected a JSON object"),
        ("added_tokens.json", {"<cat>": "x"}, "has the number 'x'"),
        ("tokenizer_config.json", {"added_tokens_decoder": [1]}, "added_tokens_decoder: no list of tokens"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": {"content": "a"}}}, "no list of tokens"),
    ],
)
def test_files_beside_the_vocabulary(copy, name, content, problem):
    (copy / "tokenizer" / name).write_text(json.dumps(content))
    said = failure(copy)
    assert said.startswith("tokenizer")
    assert problem in said


def test_special_and_added_tokens_are_those_of_transformers(copy):
    folder = copy / "tokenizer"
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": {"content": "!"}}))
    (folder / "added_tokens.json").write_text(json.dumps({"<cat>": 514, "<dog>": 515}))
    edit_json(copy / "text_encoder/config.json", vocab_size=516)
    theirs, ours = CLIPTokenizer.from_pretrained(folder), read_clip_tokenizer(folder)
    assert (ours.start, ours.end, ours.padding) == (
        theirs.bos_token_id,
        theirs.eos_token_id,
        theirs.pad_token_id,
    )
    assert ours.padding != ours.end
    for prompt in ("a <cat> and a <DOG>", "<dog><cat>x", "wow! <|endoftext|>"):
        assert ours.tokenizer.encode(prompt).ids == theirs(prompt, add_special_tokens=False).input_ids


def test_a_tokenizer_in_one_file_is_read_as_transformers_reads_it():
    folder = embedded.backbone().assets.configs / "tokenizer"
    theirs, ours = CLIPTokenizer.from_pretrained(folder), read_clip_tokenizer(folder)
    assert (ours.start, ours.end, ours.padding) == (
        theirs.bos_token_id,
        theirs.eos_token_id,
        theirs.pad_token_id,
    )


def test_a_tokenizer_that_is_written_again_is_read_again(copy):
    folder = copy / "tokenizer"
    assert read_clip_tokenizer(folder) is read_clip_tokenizer(folder)
    edit_json(folder / "tokenizer_config.json", pad_token="!")
    assert read_clip_tokenizer(folder).padding == 0
