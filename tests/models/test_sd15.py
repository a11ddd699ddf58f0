"""The SD1.5 backbone gives what diffusers' own pipeline gives, from every layout."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.latent_consistency_models.pipeline_latent_consistency_text2img import (
    LatentConsistencyModelPipeline,
)
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from smd_cli.models.unet import UNetModel
from tests.core.models import model_input

CPU = torch.device("cpu")
UNET, VAE = (f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae"))
TEXT = "text_encoder/model.safetensors"
PROMPTS = ["a red house", "1girl, pink hair, (smile)"]


def load_spec(base: Path, dtype=torch.float32, **choices):
    return load(locate(ModelSpec(str(base), **choices), offline=True), CPU, dtype)


@pytest.fixture(scope="module")
def backbone(folder):
    return load_spec(folder)


@pytest.fixture(scope="module")
def pipeline(folder):
    return StableDiffusionPipeline.from_pretrained(folder)


def test_prompts_are_encoded_as_by_the_pipeline(backbone, pipeline):
    expected, _ = pipeline.encode_prompt(PROMPTS, "cpu", 1, do_classifier_free_guidance=False)
    assert torch.equal(backbone.encode_prompts(PROMPTS).embeds, expected)
    assert backbone.encode_prompts(PROMPTS).pooled is None


def test_predict_takes_a_timestep_and_a_prompt_for_each_row(backbone, pipeline):
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    conditioning = backbone.encode_prompts(PROMPTS)
    got = backbone.predict(model_input(latents, torch.tensor([999, 19])), conditioning)
    for row, timestep in enumerate((999, 19)):
        expected = pipeline.unet(latents[row, None], timestep, conditioning.embeds[row, None]).sample
        torch.testing.assert_close(got[row, None], expected, rtol=1e-4, atol=1e-5)
    assert not got.requires_grad


def test_pictures_go_in_and_out_as_by_the_autoencoder(backbone, pipeline):
    pixels = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(2)) * 2 - 1
    latents = backbone.encode_image(pixels)
    assert latents.shape == (1, 4, 8, 6)
    torch.testing.assert_close(latents, pipeline.vae.encode(pixels).latent_dist.mean * 0.18215)
    expected = pipeline.vae.decode(latents / 0.18215).sample
    torch.testing.assert_close(backbone.decode(latents), expected)


def test_single_file_holds_the_same_model(single_file, folder, backbone):
    alone = load_spec(single_file, config=str(folder))
    for part in ("unet", "vae", "text_encoder"):
        ours, theirs = (each.networks[part].state_dict() for each in (alone, backbone))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert alone.facts == backbone.facts
    assert torch.equal(alone.encode_prompts(PROMPTS).embeds, backbone.encode_prompts(PROMPTS).embeds)


@pytest.mark.parametrize("of", ["text_model.", "text_model.embeddings.", "text_model.encoder."])
def test_text_encoders_may_leave_out_text_model(of, single_file, copy, folder, backbone, tmp_path):
    """Some trainers write names without it, some only a part of them; transformers itself has done both."""
    short = of.removeprefix("text_model.")
    tensors = {name.replace(of, short): tensor for name, tensor in load_file(single_file).items()}
    assert tensors.keys() != load_file(single_file).keys()
    save_file(tensors, tmp_path / "short.safetensors")
    text = {
        f"text_model.{name}".replace(of, short): tensor for name, tensor in load_file(copy / TEXT).items()
    }
    save_file(text, copy / TEXT)
    for short_one in (load_spec(tmp_path / "short.safetensors", config=str(folder)), load_spec(copy)):
        for part in ("unet", "vae", "text_encoder"):
            ours, theirs = (each.networks[part].state_dict() for each in (short_one, backbone))
            assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
        assert torch.equal(short_one.encode_prompts(PROMPTS).embeds, backbone.encode_prompts(PROMPTS).embeds)


def test_a_folder_with_the_names_of_the_published_checkpoints_holds_the_same_model(copy, backbone):
    text = {f"text_model.{name}": tensor for name, tensor in load_file(copy / TEXT).items()}
    save_file({**text, "text_model.embeddings.position_ids": torch.arange(77)[None]}, copy / TEXT)
    vae = load_file(copy / VAE)
    for now, then in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        vae = {name.replace(f".{now}.", f".{then}."): tensor for name, tensor in vae.items()}
    assert "encoder.mid_block.attentions.0.query.weight" in vae
    save_file(vae, copy / VAE)
    published = load_spec(copy)
    for part in ("vae", "text_encoder"):
        ours, theirs = (each.networks[part].state_dict() for each in (published, backbone))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_weights_may_be_spread_over_shards(copy, backbone):
    weights = load_file(copy / UNET)
    names = sorted(weights)
    shards = {"part-1-of-2.safetensors": names[::2], "part-2-of-2.safetensors": names[1::2]}
    for shard, own in shards.items():
        save_file({name: weights[name] for name in own}, copy / "unet" / shard)
    weight_map = {name: shard for shard, own in shards.items() for name in own}
    (copy / f"{UNET}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    whole = locate(ModelSpec(str(copy)))
    assert [path.name for path in whole.components["unet"].weights] == ["diffusion_pytorch_model.safetensors"]
    (copy / UNET).unlink()
    spread = load_spec(copy)
    assert all(torch.equal(spread.networks["unet"].state_dict()[name], weights[name]) for name in names)
    assert len({path.name for path in spread.assets.weights} & shards.keys()) == 2
    (copy / "unet" / "part-2-of-2.safetensors").unlink()
    with pytest.raises(AssetError, match=r"part-2-of-2\.safetensors: no such file"):
        load_spec(copy)


def test_the_libraries_read_no_file_beside_those_that_were_found(copy, backbone):
    """diffusers itself would follow the index and take the weights that it leads to."""
    other = {name: tensor + 1 for name, tensor in load_file(copy / UNET).items()}
    save_file(other, copy / "unet" / "other.safetensors")
    weight_map = dict.fromkeys(other, "other.safetensors")
    (copy / f"{UNET}.index.json").write_text(json.dumps({"weight_map": weight_map, "metadata": {}}))
    for name, tensor in load_spec(copy).networks["unet"].state_dict().items():
        assert torch.equal(tensor, backbone.networks["unet"].state_dict()[name])


@pytest.mark.parametrize("layout", ["folder", "file"])
def test_loading_tells_how_far_it_is(layout, folder, single_file):
    base = folder if layout == "folder" else single_file
    assets = locate(ModelSpec(str(base), config=str(folder) if layout == "file" else None), offline=True)
    told: list[tuple[int, int]] = []
    backbone = load(assets, CPU, torch.float32, lambda done, total: told.append((done, total)))
    networks = (backbone.networks["unet"], backbone.autoencoder.network, backbone.networks["text_encoder"])
    tensors = sum(len(network.state_dict()) for network in networks)
    assert told[-1][0] == told[-1][1] >= tensors
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert len(told) > (100 if layout == "folder" else 2)


def test_the_schedule_is_the_models_own(backbone, pipeline, copy, make):
    torch.testing.assert_close(backbone.schedules.training.alphas_cumprod, pipeline.scheduler.alphas_cumprod)
    make.edit_json(copy / "scheduler/scheduler_config.json", beta_end=0.02)
    assert (
        load_spec(copy).schedules.training.alphas_cumprod[-1]
        < 0.5 * backbone.schedules.training.alphas_cumprod[-1]
    )


def test_the_backbone_says_what_it_is(backbone, folder):
    assert isinstance(backbone, UNetModel)
    assert (backbone.device, backbone.dtype) == (CPU, torch.float32)
    assert backbone.facts is backbone.assets.facts
    assert backbone.assets.base.reference == str(folder)


def test_half_precision_stays_inside(folder, backbone):
    narrow = load_spec(folder, torch.bfloat16)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    conditioning = narrow.encode_prompts(["a"])
    assert conditioning.embeds.dtype == torch.bfloat16
    got = narrow.predict(model_input(latents, torch.tensor([500])), conditioning)
    assert got.dtype == torch.float32
    expected = backbone.predict(model_input(latents, torch.tensor([500])), backbone.encode_prompts(["a"]))
    torch.testing.assert_close(got, expected, rtol=0.1, atol=0.05)
    assert (
        narrow.decode(latents).dtype == narrow.encode_image(torch.zeros(1, 3, 64, 64)).dtype == torch.float32
    )


def test_distilled_unets_are_told_the_guidance(make, tmp_path):
    model = make.model(tmp_path / "lcm", unet=make.unet(time_cond_proj_dim=33))
    backbone = load_spec(model)
    w = torch.tensor([8.5 - 1.0]).repeat(2)
    told = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, w, embedding_dim=33)
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    timesteps, conditioning = torch.tensor([999, 499]), backbone.encode_prompts(PROMPTS)
    expected = backbone.networks["unet"](latents, timesteps, conditioning.embeds, timestep_cond=told).sample
    torch.testing.assert_close(backbone.predict(model_input(latents, timesteps), conditioning), expected)
    untold = backbone.networks["unet"](latents, timesteps, conditioning.embeds).sample
    assert not torch.allclose(expected, untold, atol=1e-4)


def test_a_tiny_autoencoder_is_scaled_too(make, tmp_path):
    vae = make.tiny_vae()
    backbone = load_spec(make.model(tmp_path / "tiny-vae", vae=vae))
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(5)) * 2 - 1
    latents = backbone.encode_image(pixels)
    torch.testing.assert_close(latents, vae.eval().encode(pixels).latents * 1.5)
    torch.testing.assert_close(backbone.decode(latents), vae.decode(latents / 1.5).sample)
    assert backbone.facts.downscale == 8


@pytest.mark.parametrize("layout", ["folder", "model", "ldm", "first_stage", "diffusers"])
def test_another_autoencoder_takes_the_place_of_the_own(layout, folder, make, tmp_path):
    other = make.model(tmp_path / "other")
    weights = load_file(other / "vae/diffusion_pytorch_model.safetensors")
    weights = {name: tensor + 0.01 for name, tensor in weights.items()}
    save_file(weights, other / "vae/diffusion_pytorch_model.safetensors")
    path = tmp_path / "vae.safetensors"
    if layout in ("ldm", "first_stage"):
        start = "first_stage_model." if layout == "first_stage" else ""
        save_file({start + name: tensor.contiguous() for name, tensor in make.ldm_vae(other).items()}, path)
    elif layout == "diffusers":
        save_file(weights, path)
    else:
        path = other / "vae" if layout == "folder" else other
    backbone = load_spec(folder, vae=str(path))
    state = backbone.autoencoder.network.state_dict()
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[name], weights[name]) for name in weights)


def test_a_tiny_autoencoder_under_the_names_of_its_authors_does_not_fit(make, tmp_path):
    model = make.model(tmp_path / "model", vae=make.tiny_vae())
    save_file({"encoder.0.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "taesd.safetensors")
    with pytest.raises(AssetError, match=r"taesd\.safetensors: lacks .* of the model's tensors"):
        load_spec(model, vae=str(tmp_path / "taesd.safetensors"))


def test_an_autoencoder_of_an_unknown_kind(make, copy):
    make.edit_json(copy / "vae/config.json", _class_name="AutoencoderDC")
    with pytest.raises(AssetError, match="autoencoder AutoencoderDC is not supported"):
        load_spec(copy)


def test_keys_made_once_give_the_same_predictions(backbone, pipeline):
    """The processors are this program's own: with and without known keys they do what diffusers' do."""
    table = backbone.encode_prompts(["a red circle", "", "the moon over the sea"])
    latents, timesteps = torch.randn(4, 4, 16, 16), torch.tensor([999, 759, 259, 1])
    picked = table.rows([2, 0, 1, 0])
    expected = pipeline.unet(latents, timesteps, encoder_hidden_states=picked.embeds).sample
    prepared = backbone.prepare(table)
    assert prepared.keys
    assert all(len(of_layer) == 3 for of_layer in prepared.keys)
    for conditioning in (picked, prepared.rows([2, 0, 1, 0])):
        torch.testing.assert_close(backbone.predict(model_input(latents, timesteps), conditioning), expected)
    unet = backbone.networks["unet"]
    alone = unet(latents[:1], timesteps[:1], encoder_hidden_states=table.embeds[2:]).sample
    torch.testing.assert_close(alone, expected[:1])  # nothing is left of the prompts before


def test_known_keys_are_used(backbone):
    table = backbone.prepare(backbone.encode_prompts(["a red circle"]))
    other = replace(table, keys=tuple(torch.zeros_like(of_layer) for of_layer in table.keys))
    latents, timesteps = torch.randn(1, 4, 16, 16), torch.tensor([999])
    assert not torch.allclose(
        backbone.predict(model_input(latents, timesteps), table),
        backbone.predict(model_input(latents, timesteps), other),
    )
