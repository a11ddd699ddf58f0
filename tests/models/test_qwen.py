"""Qwen3's tokenizer and encoder: what transformers makes of the same files, read by this program itself."""

import json
import logging
from pathlib import Path

import pytest
import torch
from transformers import Qwen2TokenizerFast, Qwen3ForCausalLM

from smd_cli.errors import AssetError
from smd_cli.models.components import Destination, load_component
from smd_cli.models.network_class import read_network_config
from smd_cli.models.networks import ComponentFiles
from smd_cli.models.qwen import QwenEncoder
from smd_cli.models.qwen_network import QWEN3, qwen3_to
from smd_cli.models.qwen_tokenizer import QwenReading, read_qwen_tokenizer, warn_of_other_template
from tests.checkpoints import qwen

CPU = torch.device("cpu")
LAYERS = 5
TEXTS = [
    "",
    "a red house, snow",
    "don't STOP  123\n\n  they'll\tsay: ñandú 雪の家 🏠!",
    "x <|im_end|>\n<think> y",
    " leading, trailing ",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Path:
    return qwen.write_tokenizer(tmp_path_factory.mktemp("qwen") / "tokenizer")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return qwen.write_encoder(tmp_path_factory.mktemp("qwen") / "text_encoder", LAYERS, shard=20_000)


def load(folder: Path, network=QWEN3):
    files = ComponentFiles(folder, tuple(sorted(folder.glob("*.safetensors"))))
    return load_component(
        network, files, "", Destination(torch.device("cpu"), torch.float32, lambda more: None)
    )


def reading(tokenizer: Path, length: int, *, thinks: bool) -> QwenReading:
    return QwenReading(read_qwen_tokenizer(tokenizer), length, thinks)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("thinks", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_tokens_are_those_of_transformers_and_the_template(tokenizer, tmp_path, text, thinks, whole):
    theirs = Qwen2TokenizerFast.from_pretrained(tokenizer)
    folder = tokenizer
    if whole:
        folder = tmp_path
        theirs.backend_tokenizer.save(str(folder / "tokenizer.json"))
    message = [{"role": "user", "content": text}]
    written = theirs.apply_chat_template(
        message, tokenize=False, add_generation_prompt=True, enable_thinking=thinks
    )
    ours = read_qwen_tokenizer(folder)
    assert ours.tokens(text, thinks=thinks) == theirs(written)["input_ids"]
    assert ours.padding == theirs.pad_token_id


def test_words_are_whole_tokens_where_there_are_merges(tokenizer):
    files = read_qwen_tokenizer(tokenizer).files
    tokens = read_qwen_tokenizer(tokenizer).tokens("a red house", thinks=True)
    assert [files.numbers["Ġred"], files.numbers["Ġhouse"]] == tokens[tokens.index(files.numbers["Ġred"]) :][
        :2
    ]


@pytest.mark.parametrize("mark", ["<|im_start|>", "</think>"])
def test_a_vocabulary_without_a_mark_of_the_conversation(tmp_path, mark):
    folder = qwen.write_tokenizer(tmp_path / "tokenizer")
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    decoder = config["added_tokens_decoder"]
    config["added_tokens_decoder"] = {at: each for at, each in decoder.items() if each["content"] != mark}
    path.write_text(json.dumps(config))
    with pytest.raises(AssetError, match=f"its vocabulary lacks the token '{mark.replace('|', '.')}'"):
        read_qwen_tokenizer(folder)


def test_the_template_of_a_folder_is_never_run(tmp_path, caplog):
    folder = qwen.write_tokenizer(tmp_path / "tokenizer")
    with caplog.at_level(logging.WARNING):
        warn_of_other_template(folder)
        assert not caplog.messages
        (folder / "chat_template.jinja").write_text("{{ 'Be brief. ' + messages[0].content }}")
        warn_of_other_template(folder)
    assert "chat_template.jinja: another chat template than Qwen3's" in caplog.text


@pytest.mark.parametrize("fill", [True, False])
@pytest.mark.parametrize(("last", "layers"), [(3, (1, 2, 3)), (-2, (-1,))])
def test_states_are_those_of_the_whole_network(tokenizer, encoder, fill, last, layers):
    length = 64
    ours = QwenEncoder(load(encoder, qwen3_to(last)), reading(tokenizer, length, thinks=False), layers, CPU)
    with torch.inference_mode():
        states, own = ours.encode(TEXTS[:2], fill=fill)
        theirs = Qwen3ForCausalLM.from_pretrained(encoder)
        rows = [ours.reading.tokens(text) for text in TEXTS[:2]]
        longest = length if fill else max(map(len, rows))
        padded = torch.tensor([row + [ours.reading.tokenizer.padding] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        hidden = theirs(padded, mask, output_hidden_states=True).hidden_states
    wanted = [hidden[layer] for layer in ((1, 2, 3) if last == 3 else (-2,))]
    torch.testing.assert_close(states, torch.cat(wanted, dim=-1), rtol=1e-5, atol=1e-6)
    assert torch.equal(own, mask.bool())


def test_the_head_and_layers_beyond_the_last_are_not_kept(encoder):
    network = load(encoder, qwen3_to(3))
    names = network.state_dict().keys()
    assert len(network.layers) == 3
    assert not any("lm_head" in name or name.startswith(("norm.", "layers.3")) for name in names)


def test_a_prompt_depends_on_no_other_and_is_cut_and_plain(tokenizer, encoder):
    network = load(encoder)
    ours = QwenEncoder(network, reading(tokenizer, 24, thinks=True), (2,), CPU)
    long = "house " * 30
    with torch.inference_mode():
        alone, _ = ours.encode(["a (red:1.3) house"], fill=True)
        together, _ = ours.encode(["a (red:1.3) house", long], fill=True)
        plain, _ = ours.encode(["a red house"], fill=True)
    assert together.shape == (2, 24, qwen.HIDDEN)
    torch.testing.assert_close(alone[0], together[0], rtol=1e-4, atol=1e-5)
    assert torch.equal(alone, plain)
    assert "weights in the prompt of x have no effect" in next(ours.reading.notes("a (red:1.3) house", "x"))
    assert ", of which the first 24 are read" in next(ours.reading.notes(long, "x"))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6}}, "rope_parameters is"),
        ({"rope_scaling": {"type": "dynamic"}}, "rope_scaling is"),
        ({"use_sliding_window": True}, "use_sliding_window is true; allowed is false"),
        (
            {"num_key_value_heads": 3},
            "num_key_value_heads is 3, which does not divide num_attention_heads, 2",
        ),
        ({"hidden_act": "relu"}, "hidden_act is"),
    ],
)
def test_configs_that_are_refused(tmp_path, changes, problem):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**qwen.make_encoder(1).config.to_dict(), **changes}))
    with pytest.raises(AssetError, match=problem):
        read_network_config(tmp_path, QWEN3)


def test_the_older_key_of_rotary_positions_counts_too(tmp_path, encoder, tokenizer):
    config = json.loads((encoder / "config.json").read_text())
    for name in encoder.iterdir():
        (tmp_path / name.name).symlink_to(name)
    (tmp_path / "config.json").unlink()
    del config["rope_parameters"]
    (tmp_path / "config.json").write_text(json.dumps({**config, "rope_theta": 1e6, "rope_scaling": None}))
    told = [QwenEncoder(load(folder), reading(tokenizer, 32, thinks=True), (LAYERS,), CPU)
            for folder in (encoder, tmp_path)]  # fmt: skip
    with torch.inference_mode():
        new, old = (each.encode(["a red house"], fill=False)[0] for each in told)
    assert torch.equal(new, old)
