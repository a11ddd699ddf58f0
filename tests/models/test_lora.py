"""Fused LoRAs against weights computed by hand."""

import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from smd_cli.errors import AssetError
from smd_cli.models import families
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from tests.models.conftest import ldm_unet_name

CPU = torch.device("cpu")
RANK = 2

UNET_LAYERS = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": 4.0,
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k": 1.0,
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_out.0": 1.0,
    "up_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj": 1.0,
    "up_blocks.1.attentions.0.proj_in": 1.0,
    "down_blocks.1.resnets.0.conv1": 1.0,
    "down_blocks.1.resnets.0.time_emb_proj": 1.0,
}
TEXT_LAYERS = {"encoder.layers.0.self_attn.q_proj": 1.0, "encoder.layers.1.mlp.fc1": 4.0}
"""Adapted layers and their alphas."""


@pytest.fixture(scope="module")
def plain(folder):
    return load(locate(ModelSpec(str(folder))), CPU, torch.float32)


def factors(weight, seed):
    """Down (r, in, ...) and up (out, r, ...) factors for a layer of that weight's shape."""
    generator = torch.Generator().manual_seed(seed)
    out, inner, *kernel = weight.shape
    down = torch.randn(RANK, inner, *kernel, generator=generator)
    return down, torch.randn(out, RANK, *[1] * len(kernel), generator=generator)


def product(down, up):
    return torch.einsum("or,r...->o...", up.flatten(1), down)


def adapter(plain):
    """(part, layer, alpha, down, up) of every adapted layer."""
    for part, layers in (("unet", UNET_LAYERS), ("text_encoder", TEXT_LAYERS)):
        weights = getattr(plain, part).state_dict()
        for seed, (layer, alpha) in enumerate(layers.items()):
            yield part, layer, alpha, *factors(weights[f"{layer}.weight"], seed)


def kohya(plain, path):
    tensors = {}
    for part, layer, alpha, down, up in adapter(plain):
        start = "lora_unet_" if part == "unet" else "lora_te_text_model_"
        name = start + layer.replace(".", "_")
        tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        tensors[f"{name}.alpha"] = torch.tensor(alpha)
    save_file(tensors, path)
    return path


def diffusers(plain, path):
    tensors = {}
    for part, layer, _, down, up in adapter(plain):
        name = f"{part}.{layer}" if part == "unet" else f"{part}.text_model.{layer}"
        tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    save_file(tensors, path)
    return path


def old_diffusers(plain, path):
    tensors = {}
    for part, layer, _, down, up in adapter(plain):
        if part == "unet":
            projection = re.sub(r"\.to_(q|k|v|out)(\.0)?$", r".processor.to_\1_lora", layer)
            name = f"unet.{layer}.lora" if projection == layer else f"unet.{projection}"
        else:
            name = f"text_encoder.text_model.{layer}.lora_linear_layer".replace(
                "q_proj.lora_linear_layer", "to_q_lora"
            )
        tensors |= {f"{name}.down.weight": down, f"{name}.up.weight": up}
    save_file(tensors, path)
    return path


def block_names(plain, path):
    """Kohya's names for a UNet in the LDM layout; like the next, for the UNet alone."""
    tensors = {}
    for part, layer, alpha, down, up in adapter(plain):
        if part == "unet":
            block = ldm_unet_name(f"{layer}.weight").removesuffix(".weight")
            name = f"lora_unet_{block.replace('.', '_')}"
            tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
            tensors[f"{name}.alpha"] = torch.tensor(alpha)
    save_file(tensors, path)
    return path


def peft(plain, path, start="base_model.model."):
    tensors = {}
    for part, layer, _, down, up in adapter(plain):
        if part == "unet":
            name = start + layer
            tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    save_file(tensors, path)
    return path


@pytest.mark.parametrize(("layout", "has_alpha"), [(block_names, True), (peft, False)])
def test_files_of_a_unet_alone_give_the_same_weights_too(layout, has_alpha, plain, folder, tmp_path):
    path = layout(plain, tmp_path / "style.safetensors")
    fused = load(locate(ModelSpec(str(folder), loras=((str(path), 0.5),))), CPU, torch.float32)
    expected = dict(plain.unet.state_dict())
    for part, layer, alpha, down, up in adapter(plain):
        if part == "unet":
            scale = 0.5 * (alpha / RANK if has_alpha else 1.0)
            expected[f"{layer}.weight"] = expected[f"{layer}.weight"] + scale * product(down, up)
    for name, weight in fused.unet.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda tensors: tensors.pop(next(name for name in tensors if "lora_up" in name)),
            "diffusers cannot read",
        ),
        (
            lambda tensors: tensors.update(
                {
                    f"lora_unet_input_blocks_1_1_proj_in.lora_{factor}.weight": torch.zeros(2, 2)
                    for factor in ("down", "up")
                }
            ),
            "2 of its tensors have no place",
        ),
    ],
)
def test_what_diffusers_cannot_read_or_leaves_out_is_refused(change, words, plain, folder, tmp_path):
    path = kohya(plain, tmp_path / "style.safetensors")
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    with pytest.raises(AssetError, match=f"made for another model; {words}"):
        load(locate(ModelSpec(str(folder), loras=((str(path), 1.0),))), CPU, torch.float32)


@pytest.mark.parametrize(("layout", "has_alpha"), [(kohya, True), (diffusers, False), (old_diffusers, False)])
def test_fused_weights_are_the_sum(layout, has_alpha, plain, folder, tmp_path):
    path = layout(plain, tmp_path / "style.safetensors")
    fused = load(locate(ModelSpec(str(folder), loras=((str(path), 0.5),))), CPU, torch.float32)
    expected = {part: dict(getattr(plain, part).state_dict()) for part in ("unet", "text_encoder")}
    for part, layer, alpha, down, up in adapter(plain):
        scale = 0.5 * (alpha / RANK if has_alpha else 1.0)
        expected[part][f"{layer}.weight"] = expected[part][f"{layer}.weight"] + scale * product(down, up)
    for part, weights in expected.items():
        got = getattr(fused, part).state_dict()
        assert got.keys() == weights.keys()
        for name, weight in weights.items():
            torch.testing.assert_close(
                got[name], weight, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_an_alpha_noted_in_the_header_counts(plain, folder, tmp_path):
    path = tmp_path / "noted.safetensors"
    part, layer, _, down, up = next(adapter(plain))
    tensors = {f"{part}.{layer}.lora_A.weight": down.half(), f"{part}.{layer}.lora_B.weight": up.half()}
    save_file(tensors, path, metadata={"lora_adapter_metadata": '{"unet.lora_alpha": 6, "unet.r": 2}'})
    fused = load(locate(ModelSpec(str(folder), loras=((str(path), 1.0),))), CPU, torch.float32)
    expected = plain.unet.get_submodule(layer).weight + 3 * product(down.half().float(), up.half().float())
    torch.testing.assert_close(fused.unet.get_submodule(layer).weight, expected)


def test_loras_add_up(plain, folder, tmp_path):
    path = kohya(plain, tmp_path / "style.safetensors")
    both = load(
        locate(ModelSpec(str(folder), loras=((str(path), 0.75), (str(path), -0.75)))), CPU, torch.float32
    )
    for name, weight in plain.unet.state_dict().items():
        torch.testing.assert_close(both.unet.state_dict()[name], weight, rtol=1e-4, atol=1e-5)
    assert len(both.assets.loras) == 2
    assert both.assets.sha256 != plain.assets.sha256


def test_a_lora_of_another_shape_is_refused(plain, folder, tmp_path):
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    path = tmp_path / "wide.safetensors"
    save_file(
        {f"{layer}.lora_down.weight": torch.zeros(2, 640), f"{layer}.lora_up.weight": torch.zeros(640, 2)},
        path,
    )
    with pytest.raises(
        AssetError, match=r"wide\.safetensors: this LoRA was made for another model; 1 of its 1"
    ):
        load(locate(ModelSpec(str(folder), loras=((str(path), 1.0),))), CPU, torch.float32)


@pytest.mark.parametrize(
    "extra",
    [
        "lora_unet_down_blocks_2_attentions_1_transformer_blocks_9_attn1_to_q",
        "lora_te2_text_model_encoder_layers_0_self_attn_q_proj",
    ],
)
def test_a_lora_is_never_fused_in_part(extra, plain, folder, tmp_path):
    path = kohya(plain, tmp_path / "style.safetensors")
    more = {f"{extra}.lora_down.weight": torch.zeros(2, 16), f"{extra}.lora_up.weight": torch.zeros(16, 2)}
    save_file({**load_file(path), **more}, path)
    with pytest.raises(AssetError, match="made for another model; 1 of its 10 layers"):
        load(locate(ModelSpec(str(folder), loras=((str(path), 1.0),))), CPU, torch.float32)


def test_few_step_sampling_gets_the_lcm_lora_and_distilled_weights_do_not(
    plain, folder, copy, make, tmp_path
):
    path = str(kohya(plain, tmp_path / "lcm.safetensors"))
    spec = ModelSpec(str(folder), lcm_lora=path)
    assert [weight for _, weight in locate(spec, few_step=True).loras] == [1.0]
    assert locate(spec, few_step=False).loras == ()
    named = ModelSpec(str(folder), lcm_lora=path, loras=((path, 0.5),))
    assert [weight for _, weight in locate(named, few_step=True).loras] == [0.5]
    make.edit_json(copy / "scheduler" / "scheduler_config.json", _class_name="LCMScheduler")
    assert locate(ModelSpec(str(copy), lcm_lora=path), few_step=True).loras == ()


def test_a_model_may_bring_its_own_lcm_lora(plain, copy, tmp_path):
    (copy / "lcm_lora").mkdir()
    own = kohya(plain, copy / "lcm_lora" / "pytorch_lora_weights.safetensors")
    other = kohya(plain, tmp_path / "other.safetensors")
    assert locate(ModelSpec(str(copy)), few_step=True, offline=True).loras == ((own, 1.0),)
    assert locate(ModelSpec(str(copy)), few_step=False, offline=True).loras == ()
    named = ModelSpec(str(copy), lcm_lora=str(other))
    assert locate(named, few_step=True, offline=True).loras == ((other, 1.0),)


def test_without_the_lcm_lora_the_way_out_is_named(folder, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(AssetError) as caught:
        locate(ModelSpec(str(folder)), few_step=True, offline=True)
    for words in (families.family("sd15").lcm_lora, "model.lcm_lora", "sampler.kind to ddim", "--offline"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
