"""FLUX.2 klein's checkpoints: told from others, read in either layout, and refused with what is wrong."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import smd_cli as smd
from smd_cli.app.model_fit import find_fitting
from smd_cli.errors import AssetError
from smd_cli.models.adapter_survey import family_of
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.components import Destination, load_component
from smd_cli.models.flux2_autoencoder import Flux2Autoencoder
from smd_cli.models.klein import FAMILY, empirical_mu
from smd_cli.models.loading import load
from smd_cli.models.networks import ComponentFiles
from smd_cli.models.recognise import recognise_file, recognise_folder
from tests.checkpoints import klein
from tests.models.conftest import edit_json

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return klein.make_folder(tmp_path_factory.mktemp("klein") / "model")


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "model"))


def transformer(files: ComponentFiles) -> dict[str, torch.Tensor]:
    component = FAMILY.components["transformer"]
    to = Destination(CPU, torch.float32, lambda more: None)
    return load_component(component.network, files, component.prefix, to).state_dict()


def own(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "transformer/diffusion_pytorch_model.safetensors")


def scene(folder: Path, settings: str = "", width: int = 96) -> smd.OpenedScene:
    text = f"smd: 1\ncanvas: {{width: {width}, height: 64}}\nmodel: {{base: {folder}}}\n{settings}"
    return smd.load_scene(f"{text}background: {{prompt: a house}}\n")


def test_facts_are_those_of_the_configs(folder, copy):
    assert recognise_folder(folder) == "klein"
    (copy / "model_index.json").unlink()
    assert recognise_folder(copy) == "klein"
    facts = locate(ModelSpec(str(folder)), offline=True).facts
    assert (facts.family, facts.native_size, facts.downscale, facts.latent_channels) == ("klein", 64, 16, 16)
    assert (facts.prediction_type, facts.few_step, facts.takes_negative) == ("flow_prediction", True, False)
    base = locate(ModelSpec(str(copy)), offline=True).facts
    assert (base.few_step, base.takes_negative) == (False, True)


@pytest.mark.parametrize("start", ["", "model.diffusion_model."])
def test_the_published_layout_is_read_too(folder, start):
    path = klein.make_file(folder, start=start)
    assert recognise_file(path) == "klein"
    found = transformer(ComponentFiles(folder / "transformer", (path,)))
    expected = own(folder)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("name", "start", "ends"),
    [
        ("double_blocks.0.img_attn.qkv", "diffusion_model.", ("lora_A", "lora_B")),
        ("double_blocks.0.txt_attn.qkv", "diffusion_model.", ("lora_A", "lora_B")),
        ("double_blocks.0.txt_mlp.2", "transformer.", ("lora_A", "lora_B")),
        ("double_blocks_0_img_attn_qkv", "lora_unet_", ("lora_down", "lora_up")),
        ("single_blocks_1_linear1", "lora_unet_", ("lora_down", "lora_up")),
        ("single_blocks.0.linear2", "diffusion_model.", ("lora_A", "lora_B")),
        ("single_stream_modulation.lin", "diffusion_model.", ("lora_A", "lora_B")),
        ("final_layer.adaLN_modulation.1", "diffusion_model.", ("lora_A", "lora_B")),
        ("time_in.in_layer", "", ("lora_A", "lora_B")),
    ],
)
def test_loras_in_the_published_names_change_what_these_name(folder, tmp_path, name, start, ends):
    weights = klein.published(own(folder))
    changed = next(key for key in weights if key.replace(".", "_") == f"{name.replace('.', '_')}_weight")
    rows, columns = weights[changed].shape
    down, up = torch.randn(2, columns), torch.randn(rows, 2)
    path = tmp_path / "lora.safetensors"
    save_file({f"{start}{name}.{ends[0]}.weight": down, f"{start}{name}.{ends[1]}.weight": up}, path)
    weights[changed] = weights[changed] + 0.5 * up @ down
    by_hand = tmp_path / "by_hand.safetensors"
    save_file(weights, by_hand)
    expected = transformer(ComponentFiles(folder / "transformer", (by_hand,)))
    model = load(locate(ModelSpec(str(folder), loras=((str(path), 0.5),)), offline=True), CPU, torch.float32)
    for key, tensor in model.networks["transformer"].state_dict().items():
        torch.testing.assert_close(tensor, expected[key])


def test_a_lora_of_another_family_is_refused(folder, tmp_path):
    path = tmp_path / "lora.safetensors"
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    save_file(
        {f"{name}.lora_down.weight": torch.zeros(2, 32), f"{name}.lora_up.weight": torch.zeros(32, 2)}, path
    )
    with pytest.raises(AssetError, match="unknown naming: 1 of its 1 layers"):
        load(locate(ModelSpec(str(folder), loras=((str(path), 1.0),)), offline=True), CPU, torch.float32)


def test_a_lora_of_the_published_model_is_told_from_others():
    layer = "transformer.single_transformer_blocks.3.attn.to_qkv_mlp_proj"
    for width, family in ((3072, "klein"), (6144, "")):  # the large model's LoRAs are no family's
        assert (
            family_of({f"{layer}.lora_A.weight": (4, width), f"{layer}.lora_B.weight": (9, 4)}, {}) == family
        )


def test_packed_latents_move_numbers_and_normalise_each_channel(folder):
    model = load(locate(ModelSpec(str(folder)), offline=True), CPU, torch.float32)
    autoencoder: Flux2Autoencoder = model.autoencoder
    z = torch.randn(1, 4, 6, 8)
    packed = autoencoder.to_latents(z)
    assert packed.shape == (1, 16, 3, 4)
    norm = model.networks["vae"].bn
    for channel, row, column, y, x in ((0, 0, 0, 0, 0), (1, 0, 1, 2, 3), (3, 1, 0, 1, 2), (2, 1, 1, 0, 3)):
        at = 4 * channel + 2 * row + column
        expected = (z[0, channel, 2 * y + row, 2 * x + column] - norm.running_mean[at]) / (
            norm.running_var[at] + 1e-4
        ).sqrt()
        torch.testing.assert_close(packed[0, at, y, x], expected)
    torch.testing.assert_close(autoencoder.to_z(packed), z)


def test_shifts_follow_the_view_and_the_steps():
    assert empirical_mu(4096, 4) == pytest.approx(2.2911, abs=1e-3)
    assert empirical_mu(4096, 50) == pytest.approx(2.0226, abs=1e-3)
    assert empirical_mu(8192, 4) == empirical_mu(8192, 50) == pytest.approx(0.00016927 * 8192 + 0.45666666)


@pytest.mark.parametrize(
    ("part", "changes", "problem"),
    [
        ("transformer/config.json", {"guidance_embeds": True}, "guidance_embeds is true; allowed is false"),
        (
            "transformer/config.json",
            {"in_channels": 64},
            "in_channels is 64, but the autoencoder's latents have 16",
        ),
        (
            "transformer/config.json",
            {"axes_dims_rope": [2, 2, 2, 4]},
            "axes_dims_rope are [2, 2, 2, 4], not even numbers whose sum is 8",
        ),
        ("transformer/config.json", {"joint_attention_dim": 32}, "but the transformer reads 32"),
        (
            "text_encoder/config.json",
            {"num_hidden_layers": 20, "layer_types": None},
            "num_hidden_layers is 20; klein reads layer 27",
        ),
        ("text_encoder/config.json", {"vocab_size": 200}, "the text encoder has only 200 tokens"),
        ("vae/config.json", {"patch_size": [1, 1]}, "patch_size is"),
        ("vae/config.json", {"_class_name": "AutoencoderKL"}, "autoencoder AutoencoderKL is not supported"),
        ("scheduler/scheduler_config.json", {"_class_name": "DDIMScheduler"}, "klein models match flows"),
        ("scheduler/scheduler_config.json", {"invert_sigmas": True}, "invert_sigmas is true"),
        ("model_index.json", {"_class_name": "Flux2Pipeline"}, "family Flux2Pipeline is not supported"),
    ],
)
def test_checkpoints_that_are_refused_before_weights_are_read(copy, part, changes, problem):
    edit_json(copy / part, **changes)
    with pytest.raises(AssetError) as caught:
        locate(ModelSpec(str(copy)), offline=True)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_lack_a_tensor_or_have_another_shape(copy):
    path = copy / "transformer/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    save_file({name: tensor for name, tensor in weights.items() if name != "proj_out.weight"}, path)
    with pytest.raises(AssetError, match=r"lacks 1 of the model's tensors, such as proj_out\.weight"):
        load(locate(ModelSpec(str(copy)), offline=True), CPU, torch.float32)
    save_file({**weights, "proj_out.weight": torch.zeros(16, 5)}, path)
    with pytest.raises(AssetError, match=r"proj_out\.weight is of shape \(16, 5\) instead of \(16, 32\)"):
        load(locate(ModelSpec(str(copy)), offline=True), CPU, torch.float32)


def test_the_starter_scene_is_for_models_without_negative_prompts_too(folder):
    starter = Path(smd.__file__).parent / "scene/starter.yaml"
    for_klein = {"model.base": str(folder), "sampler": {"kind": "euler", "steps": 4}}
    find_fitting(smd.load_scene(str(starter), overrides=for_klein), offline=True)


def test_what_a_distilled_model_is_not_asked_for(folder, tmp_path):
    for settings, problem in (
        (
            "sampler: {guidance_scale: 4}\n",
            "sampler.guidance_scale: 4: this klein model takes no negative prompt",
        ),
        ("negative_prefix: blurry\n", "negative_prefix: this klein model takes no negative prompt"),
        ("sampler: {kind: ddim}\n", "sampler.kind: ddim does not go with klein models"),
    ):
        with pytest.raises(smd.SceneError) as caught:
            find_fitting(scene(folder, settings), offline=True)
        assert problem in str(caught.value)
    with pytest.raises(smd.SceneError, match="72 is not a multiple of 16, as klein models need"):
        find_fitting(scene(folder, width=72), offline=True)
    base = klein.make_folder(tmp_path / "base", is_distilled=False)
    find_fitting(
        scene(base, "sampler: {kind: euler, guidance_scale: 4}\nnegative_prefix: blurry\n"), offline=True
    )
    with pytest.raises(AssetError, match="the lcm sampler needs few-step weights, and no LoRA is known"):
        find_fitting(scene(base, "sampler: {kind: lcm}\n"), offline=True)
