"""What is particular of scenes on Stable Diffusion 3, on small random weights; and what mistakes are told."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from smd_cli import AssetError, Renderer, SceneError, load_scene
from smd_cli.models.assets import ModelSpec, locate
from tests.checkpoints import sd3

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
sampler: {kind: lcm, steps: 50, indices: [0, 12, 37]}
bootstrap: {steps: 1}
background: {prompt: a house}
regions:
  - {name: left, prompt: a red house, mask: {box: [0, 0, 0.5, 1]}, prompt_strength: 0.7}
  - {name: right, prompt: the sun, mask: {box: [0.5, 0, 1, 1]}}
"""
LONG = "snow on every one of the houses, and on all of the trees, and on the stars " * 2
SCHEDULER = "scheduler/scheduler_config.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return sd3.make_folder(tmp_path_factory.mktemp("sd3") / "model")


@pytest.fixture
def copy(folder, tmp_path):
    """The model again, to be damaged."""
    return shutil.copytree(folder, tmp_path / "model")


@pytest.fixture(scope="module")
def renderer():
    with Renderer(dtype="float32") as renderer:
        yield renderer


def opened(folder, text=SCENE, overrides=(), **model):
    model = {"base": str(folder), "lcm_lora": "none", "t5_length": 32, **model}
    return load_scene(text, overrides={"model": model, **dict(overrides)})


def rendered(renderer, folder, overrides=(), text=SCENE, **model):
    return renderer.render(opened(folder, text, overrides, **model))


@pytest.mark.parametrize("kind", ["euler", "lcm"])
def test_a_region_does_not_depend_on_anothers_prompt_nor_its_length(folder, renderer, kind):
    """All steps are bootstrapped here, so that no region sees another; the long prompt has several chunks."""
    alone = {
        "sampler.kind": kind,
        "sampler.indices": [0, 12, 37],
        "bootstrap.steps": 3,
        "bootstrap.mix_steps": 3,
    }
    one, other = (
        rendered(renderer, folder, {**alone, "regions[right].prompt": prompt}).latents
        for prompt in ("the sun", LONG)
    )
    assert (one - other)[..., :4].abs().max() < 1e-4 * one.abs().max()
    assert (one - other)[..., 4:].abs().max() > 0.01 * one.abs().max()


def test_weights_of_words_are_heard(folder, renderer):
    plain, strong, again = (
        rendered(renderer, folder, {"regions[right].prompt": prompt}).latents
        for prompt in ("the sun", "the (sun:1.6)", "the (sun:1)")
    )
    assert (plain - strong).abs().max() > 1e-3
    torch.testing.assert_close(plain, again)


def test_the_few_step_lora_is_flash(folder):
    with pytest.raises(AssetError, match="jasperai/flash-sd3"):
        locate(ModelSpec(str(folder)), few_step=True, offline=True)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"canvas.width": 72}, "canvas.width: 72 is not a multiple of 16"),
        ({"sampler.tile": 72}, "sampler.tile: 72 is not a multiple of 16"),
        (
            {"canvas.width": 512, "sampler.tile": 400},
            "sampler.tile: 400 is above 384, the side of the largest tile",
        ),
        ({"sampler": {"kind": "ddim", "steps": 4}}, "sampler.kind: ddim does not go with sd3 models"),
        ({"model.t5_length": 1}, "model.t5_length: 1 is below 2"),
        ({"model.t5_length": 513}, "model.t5_length: 513 is above 512"),
        ({"model.t5": "off"}, "model.t5: "),
    ],
)
def test_scenes_that_do_not_suit_it_are_told(folder, renderer, overrides, told):
    with pytest.raises(SceneError, match=told):
        rendered(renderer, folder, overrides)


def test_models_without_t5_take_none_of_its_settings(renderer):
    for key, value in (("t5", "none"), ("t5_length", 77)):
        with pytest.raises(SceneError, match=f"model.{key}: sd15 models have no T5; leave this key out"):
            renderer.render(load_scene(SCENE, overrides={f"model.{key}": value}))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"_class_name": "PNDMScheduler", "beta_start": 0.00085},
            r"describes a PNDMScheduler, for models that predict noise; sd3 models match flows",
        ),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": "much"}, 'shift is "much"; allowed is'),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "invert_sigmas": True}, "invert_sigmas is true"),
    ],
)
def test_a_scheduler_has_to_be_one_of_flow_matching(copy, renderer, config, told):
    (copy / SCHEDULER).write_text(json.dumps(config))
    with pytest.raises(AssetError, match=told):
        rendered(renderer, copy)


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("text_encoder_2", {"projection_dim": 12}, "pooled_projection_dim is 36, both CLIPs' are 28"),
        ("text_encoder_3", {"d_model": 56}, "joint_attention_dim is 48, and T5's states are 56 wide"),
        ("transformer", {"in_channels": 33}, "in_channels is 33, but the autoencoder.s latents have 16"),
        ("transformer", {"num_attention_heads": 3}, "caption_projection_dim is 32, not 3 heads of 8"),
        ("transformer", {"num_layers": 4}, r"norm1_context\.linear\.bias is of shape \(64,\) instead of"),
        ("transformer", {"pos_embed_max_size": 12}, r"pos_embed\.pos_embed is of shape \(1, 576, 32\)"),
    ],
)
def test_parts_of_several_models_are_told(copy, renderer, part, change, told):
    path = copy / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(AssetError, match=told):
        rendered(renderer, copy)


def test_a_missing_tensor_of_a_single_file_is_told(folder, renderer, tmp_path):
    path = sd3.make_file(tmp_path, encoders="lg")
    tensors = load_file(path)
    del tensors["model.diffusion_model.joint_blocks.1.x_block.mlp.fc1.weight"]
    save_file(tensors, path)
    with pytest.raises(AssetError, match=r"does not fit .*joint_blocks\.1\.x_block\.mlp\.fc1\.weight"):
        rendered(renderer, path, config=str(folder))


def test_a_file_without_text_encoders_needs_a_folder_that_has_them(copy, tmp_path):
    path = sd3.make_file(tmp_path, encoders="")
    spec = ModelSpec(str(path), config=str(copy))
    assert {len(files.weights) for files in locate(spec).components.values()} == {1}
    (copy / "text_encoder_2/model.safetensors").unlink()
    with pytest.raises(
        AssetError, match="holds no text encoder and no text encoder 2 and no text encoder 3"
    ) as told:
        locate(spec)
    assert "text_encoder_2/model.safetensors: no such file" in str(told.value)
    assert told.value.parts == (("config",),)


def test_a_file_with_both_clips_does_without_t5(folder, renderer, tmp_path):
    file = rendered(renderer, sd3.make_file(tmp_path, encoders="lg"), config=str(folder)).latents
    torch.testing.assert_close(file, rendered(renderer, folder, t5="none").latents)
    assert (file - rendered(renderer, folder).latents).abs().max() > 1e-3
