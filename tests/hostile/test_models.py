"""Damaged models: each ends as a picture, or in one line that begins with its place and names the file."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.hostile.rules import attacks, judge, run
from tests.models.conftest import write_model

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {kind: ddim, steps: 2}
background: {prompt: "a (red:1.3) house, word"}
model:
  base: ./model
"""

ODD = st.sampled_from(
    [
        *(
            None,
            True,
            False,
            "",
            "x",
            "1",
            "linear",
            "💥",
            "\x1b[31m",
            "a\nb",
            [],
            [[]],
            {},
            {"a": {}},
            [None],
        ),
        *(0, 1, -1, 2, 3, 7, 10**6, 10**9, 2**31, 2**40, -(2**62), 0.0, 0.5, -0.5, 1e-300, 1e300),
        *([1, 2], [0], [-1], [1e300], ["x", "y"], "../../x", "/dev/zero", "hf://owner/model"),
    ]
)
DEEP = "[" * 100_000 + "]" * 100_000
CONFIGS = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "tokenizer/vocab.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/added_tokens.json",
    "tokenizer/tokenizer.json",
    "unet/config.json",
    "vae/config.json",
    "text_encoder/config.json",
]
WEIGHTS = {part: f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae")}
WEIGHTS["text_encoder"] = "text_encoder/model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, with a tokenizer in both forms and all files that there may be beside it."""
    folder = write_model(tmp_path_factory.mktemp("models") / "whole")
    tokenizer = folder / "tokenizer"
    words = json.loads((tokenizer / "vocab.json").read_text())
    (tokenizer / "special_tokens_map.json").write_text(json.dumps({"pad_token": {"content": "!"}}))
    (tokenizer / "added_tokens.json").write_text(json.dumps({"<|startoftext|>": 512}))
    added = [{"id": 513, "content": "<|endoftext|>", "special": True}]
    whole = {"added_tokens": added, "model": {"type": "BPE", "vocab": words, "merges": [["a", "b"]]}}
    whole["model"]["vocab"] |= {"ab": 500}
    (tokenizer / "tokenizer.json").write_text(json.dumps(whole))
    return folder


@pytest.fixture(scope="module")
def model(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The place of a copy that is damaged and mended again."""
    return shutil.copytree(whole, tmp_path_factory.mktemp("scene") / "model")


def test_the_whole_model_renders(whole, model):
    ended = run("generate", str(write_scene(model)), "--offline", "-o", str(model.parent / "good.png"))
    assert ended.code == 0, ended


def write_scene(model: Path, extra: str = "") -> Path:
    scene = model.parent / "s.yaml"
    scene.write_text(SCENE + extra)
    return scene


def render(attack: str, model: Path, extra: str = "", *, names: str = "") -> None:
    """Render the scene beside a model, and judge how that ends."""
    scene = write_scene(model, extra)
    ended = run("generate", str(scene), "--offline", "--overwrite", "-o", str(model.parent / "x.png"))
    judge(attack, ended, {0, 1, 4})
    if ended.code == 1:  # numbers that are finite, and too large to compute with
        assert "the model makes NaN or infinity, though its files hold none" in ended.stderr, ended
    if ended.code == 4:
        assert f"\n{scene}:" in f"\n{ended.stderr}", ended
        assert names in ended.stderr, ended


@st.composite
def damage(draw: st.DrawFn, text: str) -> str:
    """Change a JSON text: a value somewhere in it, or the text itself."""
    kind = draw(st.sampled_from(["value", "value", "value", "gone", "added", "cut", "byte", "twice", "deep"]))
    if kind == "cut":
        return text[: draw(st.integers(0, len(text)))]
    if kind == "byte":
        at = draw(st.integers(0, len(text) - 1))
        return text[:at] + draw(st.sampled_from('{}[],:"0x\\')) + text[at + 1 :]
    if kind == "twice":
        return text.replace("{", '{"_class_name": 1, "_class_name": 2, ', 1)
    content = json.loads(text)
    holder, key = draw(st.sampled_from(places(content)))
    if kind == "gone":
        del holder[key]
    elif kind == "added" and isinstance(holder, dict):
        holder[draw(st.sampled_from(["x", "auto_map", "trained_betas", "", "pad_token", "ü"]))] = draw(ODD)
    elif kind == "deep":
        holder[key] = "DEEP"
    else:
        holder[key] = draw(ODD)
    return json.dumps(content).replace('"DEEP"', DEEP)


def places(content: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value: what holds it, and the key; of long ones only some."""
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    found = [(content, key) for key in (keys if len(keys) < 100 else keys[::50])]
    for key in keys[:100]:
        if isinstance(content[key], (dict, list)) and content[key]:
            found += places(content[key])
    return found


@pytest.fixture
def mended(whole: Path, model: Path) -> Callable[[str], Path]:
    """Give a file of the model as it was; a tokenizer is in one form."""

    def mend(name: str) -> Path:
        shutil.rmtree(model)
        shutil.copytree(whole, model)
        if name != "tokenizer/tokenizer.json":
            (model / "tokenizer/tokenizer.json").unlink()
        return model / name

    return mend


@pytest.mark.parametrize("name", CONFIGS)
def test_configs(mended, model, whole, name):
    text = (whole / name).read_text()

    @attacks(12)
    @given(damage(text))
    def attack(damaged: str) -> None:
        mended(name).write_text(damaged, encoding="utf-8")
        render(f"model: {name}", model)

    attack()


def parts_of(path: Path) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and what follows it."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


@st.composite
def damaged_weights(draw: st.DrawFn, header: dict[str, Any], rest: bytes) -> bytes:
    """A safetensors file with another header, another length of it, or other bytes."""
    kind = draw(st.sampled_from(["entry", "entry", "entry", "length", "cut", "bytes", "nan"]))
    content = json.loads(json.dumps(header))
    name = draw(st.sampled_from([each for each in content if each != "__metadata__"]))
    if kind == "entry":
        change = draw(st.sampled_from(["dtype", "shape", "data_offsets", "gone", "name"]))
        if change == "gone":
            del content[name]
        elif change == "name":
            content[draw(st.sampled_from(["", "x", "\x1b[2J", name * 40]))] = content.pop(name)
        elif change == "dtype":
            content[name][change] = draw(
                st.sampled_from(["F64", "F16", "I64", "BOOL", "F8_E4M3", "X", 7, None])
            )
        else:
            content[name][change] = draw(
                st.lists(st.sampled_from([0, 1, 4, 16, 2**31, 2**62, -1, 1.5, "x", None]), max_size=3)
            )
    raw = json.dumps(content).encode()
    length = len(raw)
    if kind == "length":
        length = draw(st.sampled_from([0, 1, 2, len(raw) - 1, len(raw) + 1, 2**20, 2**63, 2**64 - 1]))
    if kind == "nan":
        rest = b"\xff" * len(rest)
    if kind == "bytes":
        at = draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + draw(st.binary(min_size=1, max_size=4)) + raw[at + 1 :]
    data = struct.pack("<Q", length) + raw + rest
    return data[: draw(st.integers(0, len(data)))] if kind == "cut" else data


@pytest.mark.parametrize("part", WEIGHTS)
def test_weights(mended, model, whole, part):
    header, rest = parts_of(whole / WEIGHTS[part])

    @attacks(15)
    @given(damaged_weights(header, rest))
    def attack(damaged: bytes) -> None:
        mended(WEIGHTS[part]).write_bytes(damaged)
        render(f"model: weights of the {part}", model)

    attack()


LAYERS = [
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
    "lora_unet_down_blocks_0_attentions_0_proj_in",
    "lora_unet_conv_in",
    "nowhere",
]
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 4, 16, 32]), max_size=4)
DTYPES = st.sampled_from(
    [
        *(torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool),
        *(torch.float8_e4m3fn, torch.complex64),
    ]
)
NUMBERS = st.sampled_from([0.0, 1.0, -1.0, torch.nan, torch.inf, 1e30, 1e-30])
ENDS = st.sampled_from(
    [
        *("lora_down.weight", "lora_up.weight", "alpha", "lora_mid.weight", "dora_scale"),
        *("lora_A.weight", "lora_B.weight", "lora_magnitude_vector", "hada_w1_a", "hada_w1_b", "hada_w2_a"),
        *("hada_w2_b", "hada_t1", "lokr_w1", "lokr_w2", "lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"),
    ]
)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    return torch.full(draw(SHAPES), draw(NUMBERS)).to(draw(DTYPES))


@st.composite
def loras(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    """A LoRA that fits a layer, but for some of its tensors, which may be anything."""
    layer = draw(st.sampled_from(LAYERS[:3]))
    rank, dtype = draw(st.sampled_from([0, 1, 2])), draw(DTYPES)
    inner, out = {0: ((32,), (32,)), 1: ((16, 1, 1), (16, 1, 1)), 2: ((4, 3, 3), (16, 1, 1))}[
        LAYERS.index(layer)
    ]
    good = {
        f"{layer}.lora_down.weight": torch.zeros(rank, *inner),
        f"{layer}.lora_up.weight": torch.zeros(out[0], rank, *out[1:]),
        f"{layer}.alpha": torch.tensor(draw(NUMBERS)),
    }
    good = {name: tensor.to(dtype) for name, tensor in good.items()}
    names = st.builds("{}.{}".format, st.sampled_from([layer, *LAYERS]), ENDS)
    odd = draw(st.dictionaries(st.one_of(names, st.sampled_from(list(good))), tensors(), max_size=2))
    return {**good, **odd}


SCALES = st.one_of(
    st.none(),
    ODD.map(lambda odd: json.dumps({"text_encoder.lora_alpha": odd, "unet.alpha_pattern": {"x": odd}})),
    ODD.map(json.dumps),
    st.sampled_from(["", "{", DEEP, '{"unet.alpha_pattern": {"(": 1}}', '{"unet.use_rslora": "no"}']),
)


@attacks(60)
@given(loras(), SCALES)
def test_loras(mended_lora, model, held, scales):
    path = model.parent / "lora.safetensors"
    save_file(held, path, metadata=None if scales is None else {"lora_adapter_metadata": scales})
    render("model: LoRAs", model, "  loras: [{path: ./lora.safetensors}]\n", names="lora.safetensors")


@pytest.fixture(scope="module")
def mended_lora(whole: Path, model: Path) -> None:
    shutil.rmtree(model)
    shutil.copytree(whole, model)


@attacks(40)
@given(
    st.dictionaries(
        st.sampled_from(["word", "emb_params", "*", "clip_l", "clip_g", "a b", "", "\x1b[2J", "x" * 5000]),
        st.one_of(
            tensors(), st.builds(torch.full, st.sampled_from([(1, 32), (0, 32), (32,), (80, 32)]), NUMBERS)
        ),
        max_size=2,
    )
)
def test_textual_inversions(mended_lora, model, held):
    path = model.parent / "word.safetensors"
    save_file(held, path)
    extra = "  textual_inversions: [{path: ./word.safetensors}]\n"
    render("model: textual inversions", model, extra, names="word.safetensors")
