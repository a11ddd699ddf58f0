"""T5 as a text encoder, and its tokenizer, beside transformers'."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import T5EncoderModel, T5TokenizerFast

from smd_cli.errors import AssetError
from smd_cli.models.components import Destination, load_component
from smd_cli.models.networks import ComponentFiles
from smd_cli.models.t5_network import T5_ENCODER
from smd_cli.models.t5_tokenizer import read_t5_tokenizer
from tests.checkpoints import t5

PROMPTS = (
    "a red house, snow",
    "  a  redhouse\n sunset <extra_id_0> é",
    "",
    "staring </s> the blue",
    "(a:b) ▁red",
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return t5.write_tokenizer(tmp_path_factory.mktemp("t5") / "tokenizer_3")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return t5.write_encoder(tmp_path_factory.mktemp("t5") / "text_encoder_3")


def loaded(folder, *, prefix="", dtype=torch.float32, told=None):
    files = ComponentFiles(folder, (folder / "model.safetensors",))
    arrived = (told if told is not None else []).append
    return load_component(T5_ENCODER, files, prefix, Destination(torch.device("cpu"), dtype, arrived))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_tokens_are_those_of_transformers(tokenizer, prompt):
    expected = T5TokenizerFast.from_pretrained(tokenizer)(prompt).input_ids
    own = read_t5_tokenizer(tokenizer)
    assert [*own.tokenizer.encode(prompt, add_special_tokens=False).ids, own.end] == expected
    assert own.padding == 0


@torch.inference_mode()
def test_states_are_those_of_transformers_and_its_words_are_read_once(encoder):
    told = []
    own = loaded(encoder, told=told)
    tokens = torch.tensor([[4, 5, 6, 28, 1, 0, 0, 0]])
    expected = T5EncoderModel.from_pretrained(encoder).eval()(tokens)[0]
    torch.testing.assert_close(own(tokens)[0], expected)
    assert own.encoder.embed_tokens.weight is own.shared.weight
    assert sum(told) == len(load_file(encoder / "model.safetensors"))


def test_what_overflows_in_float16_stays_in_float32(encoder):
    dtypes = {name: each.dtype for name, each in loaded(encoder, dtype=torch.float16).named_parameters()}
    assert {dtype for name, dtype in dtypes.items() if ".wo." in name} == {torch.float32}
    assert {dtype for name, dtype in dtypes.items() if ".wo." not in name} == {torch.float16}


def test_it_may_lie_in_a_file_with_others(encoder, tmp_path):
    start = "text_encoders.t5xxl.transformer."
    tensors = {start + name: each for name, each in load_file(encoder / "model.safetensors").items()}
    (tmp_path / "config.json").write_text((encoder / "config.json").read_text())
    save_file(tensors | {"model.diffusion_model.x": torch.zeros(1)}, tmp_path / "model.safetensors")
    one, other = loaded(encoder), loaded(tmp_path, prefix=start)
    assert all(torch.equal(each, other.state_dict()[name]) for name, each in one.state_dict().items())


def test_a_missing_tensor_is_named(encoder, tmp_path):
    tensors = load_file(encoder / "model.safetensors")
    del tensors["shared.weight"]
    (tmp_path / "config.json").write_text((encoder / "config.json").read_text())
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(AssetError, match=r"lacks 1 of the model's tensors, such as shared\.weight"):
        loaded(tmp_path)


def test_sentencepiece_alone_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "spiece.model").write_bytes(b"\n\x0e")
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(AssetError, match=r"has spiece\.model, which is not read, but no tokenizer\.json"):
        read_t5_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": None}, "tokenizer.json: model: "),
        ({"model": {"type": "BPE", "vocab": {}}}, "T5's is Unigram"),
        ({"model": {"type": "Unigram", "vocab": [["a"]]}}, "tokenizer.json: model: "),
        ({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}, "added_tokens": []}, "lacks the token </s>"),
        ({"added_tokens": [{"id": "x", "content": "y"}]}, "tokenizer.json: added_tokens: "),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "????"}}, "no readable tokenizer"),
    ],
)
def test_what_is_wrong_with_a_tokenizer_is_told(tokenizer, tmp_path, change, said):
    content = json.loads((tokenizer / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(content | change))
    with pytest.raises(AssetError) as told:
        read_t5_tokenizer(tmp_path)
    assert said in str(told.value)


def test_an_encoder_knows_all_tokens(tokenizer, tmp_path):
    with pytest.raises(AssetError, match=r"has the number 111, and the text encoder has only 111 tokens"):
        read_t5_tokenizer(tokenizer).check_known(111, tmp_path / "config.json")
    read_t5_tokenizer(tokenizer).check_known(112, tmp_path / "config.json")


@pytest.mark.parametrize("number", [-5, 10**9, 5])
def test_added_tokens_have_the_numbers_that_the_file_says(number, tokenizer, tmp_path):
    content = json.loads((tokenizer / "tokenizer.json").read_text())
    content["added_tokens"][-1]["id"] = number
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(AssetError, match=f"token '<extra_id_0>' has the number {number}, not 111"):
        read_t5_tokenizer(tmp_path)
