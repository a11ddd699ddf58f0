"""Fused LoRAs against weights computed by hand, under every naming, and what is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from smd_cli.errors import AssetError
from smd_cli.models import families
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from smd_cli.models.lora import read_lora
from tests.models.lora_files import NAMINGS, diffusers, factors, kohya, layers_of

CPU = torch.device("cpu")
PARTS = ("unet", "text_encoder")
QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def plain(folder):
    return load(locate(ModelSpec(str(folder))), CPU, torch.float32)


@pytest.fixture(scope="module")
def layers(plain):
    return [layer for part in PARTS for layer in layers_of(plain.networks[part], part)]


def write(naming, plain, path, parts=PARTS):
    """A LoRA on every layer that a naming has names for."""
    tensors = {}
    for part in parts:
        for layer in layers_of(plain.networks[part], part):
            tensors |= naming(layer)
    save_file(tensors, path)
    return path


def fused(folder, path, strength=1.0):
    return load(locate(ModelSpec(str(folder), loras=((str(path), strength),))), CPU, torch.float32)


def product(down, up):
    return torch.einsum("or,r...->o...", up.flatten(1), down)


def weights_of(backbone):
    return {
        f"{part}.{name.replace('text_model.', '')}": weight
        for part in PARTS
        for name, weight in backbone.networks[part].state_dict().items()
    }


def expected_weights(plain, layers, naming, strength):
    """W + strength · alpha / rank · up · down, of the layers that a naming names."""
    weights = weights_of(plain)
    for layer in layers:
        names = naming(layer)
        scale = layer.alpha / len(layer.down) if any(name.endswith(".alpha") for name in names) else 1.0
        if names:
            name = f"{layer.part}.{layer.name}.weight"
            weights[name] = weights[name] + strength * scale * product(layer.down, layer.up)
    return weights


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(got[name], weight, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("naming", NAMINGS)
def test_every_layer_is_found_under_every_naming(naming, plain, layers, folder, tmp_path):
    path = write(naming, plain, tmp_path / "style.safetensors")
    assert_same(weights_of(fused(folder, path, -0.5)), expected_weights(plain, layers, naming, -0.5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_factors_of_half_precision_are_multiplied_in_single(dtype, plain, layers, folder, tmp_path):
    path = write(kohya, plain, tmp_path / "half.safetensors")
    save_file({name: tensor.to(dtype) for name, tensor in load_file(path).items()}, path)
    got, before = weights_of(fused(folder, path)), weights_of(plain)
    for layer in layers:
        name, rounded = f"{layer.part}.{layer.name}.weight", (layer.down.to(dtype), layer.up.to(dtype))
        change = layer.alpha / len(layer.down) * product(*(each.float() for each in rounded))
        torch.testing.assert_close(got[name], before[name] + change, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("is_linear_here", [False, True])
def test_a_projection_is_a_matrix_or_a_1x1_convolution(is_linear_here, make, plain, folder, tmp_path):
    layer = "up_blocks.1.attentions.0.proj_in"
    model, network = folder, plain.networks["unet"]
    if is_linear_here:
        network = make.unet(use_linear_projection=True)
        model = make.model(tmp_path / "linear", unet=network)
    weight = network.get_submodule(layer).weight
    down, up = factors(weight.flatten(1), 2, 7)
    kernel = (1, 1) if is_linear_here else ()
    flat = f"lora_unet_{layer.replace('.', '_')}"
    tensors = {f"{flat}.lora_down.weight": down.view(*down.shape, *kernel),
               f"{flat}.lora_up.weight": up.view(*up.shape, *kernel)}  # fmt: skip
    save_file(tensors, tmp_path / "style.safetensors")
    got = fused(model, tmp_path / "style.safetensors").networks["unet"].get_submodule(layer).weight
    torch.testing.assert_close(got, weight + (up @ down).view_as(weight))


def peft_folder(folder, plain, **config):
    """What peft saves of a UNet: tensors, and a config that alone knows alpha."""
    folder.mkdir()
    down, up = factors(plain.networks["unet"].get_submodule(QUERY).weight, 4, 3)
    names = (f"base_model.model.{QUERY}.lora_{letter}.weight" for letter in "AB")
    save_file(dict(zip(names, (down, up), strict=True)), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, **config}))
    return product(down, up)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_alpha": 6}, 1.5),
        ({"lora_alpha": 6, "use_rslora": True}, 3.0),
        ({"lora_alpha": 6, "alpha_pattern": {"attn1.to_q": 2, "attn2.to_q": 8}}, 0.5),
        ({"lora_alpha": 6, "alpha_pattern": {r"up_blocks.*to_q": 2}}, 1.5),
    ],
)
def test_pefts_config_has_the_scale(config, scale, plain, folder, tmp_path):
    change = peft_folder(tmp_path / "adapter", plain, **config)
    got = fused(folder, tmp_path / "adapter").networks["unet"].get_submodule(QUERY).weight
    torch.testing.assert_close(got, plain.networks["unet"].get_submodule(QUERY).weight + scale * change)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"alpha_pattern": {"(.|..)+[!?]": 2}}, "takes too long to match names"),
        ({"alpha_pattern": {"(": 2}}, "no readable config of an adapter"),
        ({"lora_alpha": float("inf")}, "alpha is inf"),
        ({"lora_alpha": "nan"}, "alpha is nan"),
    ],
)
def test_a_config_of_pefts_that_means_harm_is_refused(config, why, plain, folder, tmp_path):
    peft_folder(tmp_path / "adapter", plain, **config)
    with pytest.raises(AssetError, match=why):
        fused(folder, tmp_path / "adapter")


def test_an_adapter_of_another_kind_of_pefts_is_refused(plain, folder, tmp_path):
    peft_folder(tmp_path / "adapter", plain, peft_type="LOKR")
    with pytest.raises(AssetError, match=r"adapter_config\.json: an adapter of peft's kind LOKR"):
        fused(folder, tmp_path / "adapter")


def test_an_alpha_noted_in_the_header_counts(plain, folder, tmp_path):
    path = tmp_path / "noted.safetensors"
    down, up = factors(plain.networks["unet"].get_submodule(QUERY).weight, 2, 0)
    tensors = {f"unet.{QUERY}.lora_A.weight": down, f"unet.{QUERY}.lora_B.weight": up}
    save_file(tensors, path, metadata={"lora_adapter_metadata": '{"unet.lora_alpha": 6, "unet.r": 2}'})
    expected = plain.networks["unet"].get_submodule(QUERY).weight + 3 * product(down, up)
    torch.testing.assert_close(fused(folder, path).networks["unet"].get_submodule(QUERY).weight, expected)


def test_loras_add_up(plain, folder, tmp_path):
    path = str(write(kohya, plain, tmp_path / "style.safetensors"))
    both = load(locate(ModelSpec(str(folder), loras=((path, 0.75), (path, -0.75)))), CPU, torch.float32)
    for name, weight in weights_of(plain).items():
        torch.testing.assert_close(weights_of(both)[name], weight, rtol=1e-4, atol=1e-5)
    assert len(both.assets.loras) == 2
    assert both.assets.sha256 != plain.assets.sha256


NAMED = f"lora_unet_{QUERY.replace('.', '_')}"
"""What kohya calls a layer of 16 x 16."""


BLOCK_NAMED = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
"""What the LDM layout calls it."""

TE2 = "lora_te2_text_model_encoder_layers_0_mlp_fc1"


def pair(name, inner=16, out=16, rank=2):
    down, up = torch.zeros(rank, inner), torch.zeros(out, rank)
    return {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}


def zeros(**shapes):
    return {f"{NAMED}.{name.replace('__', '.')}": torch.zeros(*shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            pair(NAMED, 640, 640),
            rf"made for another model: other shapes in 1 of its 1 layers, such as {NAMED} \(640, 640\), "
            r"here \(16, 16\)",
        ),
        (pair(NAMED, 640) | pair(TE2), "made for another model: other shapes in 1 of its 2"),
        (
            zeros(lora_down__weight=(2, 16), lora_up__weight=(16, 3)),
            r"made for another model.*down \(2, 16\), up \(16, 3\), here",
        ),
        (
            pair(NAMED) | pair(TE2),
            f"unknown naming: 1 of its 2 layers, the first {TE2}, .*; known: 1, such as {NAMED}",
        ),
        (
            pair("blocks.0.to_q") | pair("blocks.1.to_q"),
            r"unknown naming: 2 of its 2 layers, the first blocks\.0\.to_q, .*; known: none",
        ),
        (pair(NAMED) | pair(BLOCK_NAMED), f"{NAMED} and {BLOCK_NAMED} are two names of one layer"),
        (pair(NAMED) | zeros(lora_A__weight=(2, 16)), "lora_(A|down).weight is there twice, under two names"),
        (zeros(lora_down__weight=(2, 16)), f"layer {NAMED} has only down"),
        (pair(NAMED) | {"lora_unet_conv_in.alpha": torch.ones(())}, "layer lora_unet_conv_in has no factors"),
        (pair(NAMED) | zeros(hada_w1_a=(2, 2)), "has only down, hada_w1_a, up"),
        (pair(NAMED) | zeros(diff_b=(16,)), rf"not a LoRA .*{NAMED}\.diff_b is no part of one"),
        (
            {f"unet:0:{name}": torch.zeros(2, 2) for name in ("up", "down")},
            "not a LoRA .*unet:0:.* no part of one",
        ),
        ({}, "not a LoRA: the file is empty"),
        (
            pair(NAMED) | {f"{NAMED}.alpha": torch.ones(2)},
            rf"damaged: {NAMED}.alpha is to be one number and has the shape \(2,\)",
        ),
        (pair(NAMED) | {f"{NAMED}.alpha": torch.ones(0)}, rf"damaged: {NAMED}.alpha is to be one number"),
        (
            {name: tensor.to(torch.int8) for name, tensor in pair(NAMED).items()},
            f"{NAMED}.lora_(down|up).weight holds I8 numbers; get the file in F16",
        ),
        (
            {name: tensor.to(torch.complex64) for name, tensor in pair(NAMED).items()},
            f"{NAMED}.lora_(down|up).weight holds C64 numbers",
        ),
    ],
)
def test_a_file_that_is_not_used_whole_is_refused_whole(tensors, words, folder, tmp_path):
    save_file(tensors, tmp_path / "bad.safetensors")
    with pytest.raises(AssetError, match=rf"bad\.safetensors: .*{words}") as caught:
        fused(folder, tmp_path / "bad.safetensors")
    assert "\n" not in str(caught.value)


def test_a_refused_lora_changes_nothing(plain, folder, tmp_path):
    path = write(diffusers, plain, tmp_path / "style.safetensors")
    save_file(load_file(path) | pair("unet.conv_norm_out"), path)
    backbone = load(locate(ModelSpec(str(folder))), CPU, torch.float32)
    networks = {part: backbone.networks[part] for part in PARTS}
    with pytest.raises(AssetError, match=r"the first unet\.conv_norm_out"):
        read_lora(path, networks, backbone.assets.family)
    assert_same(weights_of(backbone), weights_of(plain))


def test_few_step_sampling_gets_the_lcm_lora_and_distilled_weights_do_not(
    plain, folder, copy, make, tmp_path
):
    path = str(write(kohya, plain, tmp_path / "lcm.safetensors"))
    spec = ModelSpec(str(folder), lcm_lora=path)
    assert [weight for _, weight in locate(spec, few_step=True).loras] == [1.0]
    assert locate(spec, few_step=False).loras == ()
    named = ModelSpec(str(folder), lcm_lora=path, loras=((path, 0.5),))
    assert [weight for _, weight in locate(named, few_step=True).loras] == [0.5]
    make.edit_json(copy / "scheduler" / "scheduler_config.json", _class_name="LCMScheduler")
    assert locate(ModelSpec(str(copy), lcm_lora=path), few_step=True).loras == ()


def test_a_model_may_bring_its_own_lcm_lora(plain, copy, tmp_path):
    (copy / "lcm_lora").mkdir()
    own = write(kohya, plain, copy / "lcm_lora" / "pytorch_lora_weights.safetensors")
    other = write(kohya, plain, tmp_path / "other.safetensors")
    assert locate(ModelSpec(str(copy)), few_step=True, offline=True).loras == ((own, 1.0),)
    assert locate(ModelSpec(str(copy)), few_step=False, offline=True).loras == ()
    named = ModelSpec(str(copy), lcm_lora=str(other))
    assert locate(named, few_step=True, offline=True).loras == ((other, 1.0),)


def test_without_the_lcm_lora_the_way_out_is_named(folder, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(AssetError) as caught:
        locate(ModelSpec(str(folder)), few_step=True, offline=True)
    for words in (
        families.family("sd15").lcm_lora,
        "model.lcm_lora",
        "sampler.kind to euler, with about 30 steps",
        "smd models pull",
    ):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
