"""Files with a denoiser alone, whose other networks come from a model folder; autoencoders to choose."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import smd_cli as smd
from smd_cli.app.model_spec import model_spec
from smd_cli.errors import AssetError
from smd_cli.models import families
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import check_loading, load
from smd_cli.models.recognise import recognise_file
from tests.checkpoints import klein, sd3, sdxl, zimage
from tests.core.models import model_input
from tests.models.conftest import ldm_unet_name, make_tiny_vae, weights_of

CPU = torch.device("cpu")
PREFIX = "model.diffusion_model."
LAYOUTS = {
    "diffusers": lambda name: name,
    "original": ldm_unet_name,
    "original, prefixed": lambda name: PREFIX + ldm_unet_name(name),
}


def write(folder, path, layout):
    tensors = {LAYOUTS[layout](name): tensor for name, tensor in weights_of(folder, "unet").items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def prediction(spec):
    backbone = load(locate(spec, offline=True), CPU, torch.float32)
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(2))
    asked = model_input(latents, torch.tensor([700]))
    return backbone.predict(asked, backbone.prepare(backbone.encode_prompts(["a cat"])))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_denoiser_alone_is_completed_by_the_folder_of_its_config(layout, folder, tmp_path):
    path = write(folder, tmp_path / "unet.safetensors", layout)
    spec = ModelSpec(str(path), config=str(folder))
    torch.testing.assert_close(prediction(spec), prediction(ModelSpec(str(folder))))
    assets = locate(spec)
    assert {name: assets.part_of(name) for name in ("unet", "vae", "text_encoder")} == {
        "unet": ("base",), "vae": ("config",), "text_encoder": ("config",)
    }  # fmt: skip
    lent = {"vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"}
    assert assets.lent_weights.keys() == lent


@pytest.mark.parametrize(
    ("make_file", "name"), [(zimage.make_file, "zimage"), (lambda at: sd3.make_file(at, encoders=""), "sd3")]
)
def test_families_are_told_from_their_denoisers(make_file, name, tmp_path):
    tensors = load_file(make_file(tmp_path))
    for start in (PREFIX, ""):
        own = {
            start + each.removeprefix(PREFIX): tensor for each, tensor in tensors.items() if PREFIX in each
        }
        save_file(own, tmp_path / "alone.safetensors")
        assert recognise_file(tmp_path / "alone.safetensors") == name


@pytest.mark.parametrize(
    ("maker", "part", "name"),
    [(sdxl, "unet", "sdxl"), (sd3, "transformer", "sd3"), (klein, "transformer", "klein"),
     (zimage, "transformer", "zimage")],
)  # fmt: skip
def test_a_denoiser_of_any_family_comes_from_a_folder_too(maker, part, name, tmp_path):
    folder = maker.make_folder(tmp_path / "model")
    (weights, *_) = (folder / part).glob("*.safetensors")
    path = shutil.copy(weights, tmp_path / "alone.safetensors")
    assert recognise_file(tmp_path / "alone.safetensors") == name
    with pytest.raises(AssetError, match=rf"alone\.safetensors: the .* of a {name} model alone; set") as told:
        locate(ModelSpec(str(path)), offline=True)
    assert families.family(name).config in str(told.value)
    assert "\n" not in str(told.value)
    assets = locate(ModelSpec(str(path), config=str(folder)), offline=True)
    check_loading(assets)
    assert assets.components[part].weights == (tmp_path / "alone.safetensors",)
    assert assets.components["vae"].weights[0].parent == folder / "vae"


def test_a_denoiser_alone_needs_a_folder_that_has_the_rest(folder, copy, tmp_path):
    path = write(folder, tmp_path / "unet.safetensors", "original")
    (copy / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(AssetError, match=r"vae/diffusion_pytorch_model\.safetensors: no such file") as told:
        locate(ModelSpec(str(path), config=str(copy)), offline=True)
    assert told.value.parts == (("config",),)
    assets = locate(ModelSpec(str(path), config=str(copy), vae=str(folder)), offline=True)
    assert assets.lent_weights.keys() == {"text_encoder/model.safetensors"}


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("conv_in.scale_weight", torch.ones(())),
        ("scaled_fp8", torch.ones(2)),
        ("conv_in.weight.absmax", torch.ones(4)),
        ("conv_out.qweight", torch.ones(4, dtype=torch.int32)),
        ("time_embedding.linear_1.weight", torch.ones(64, 16, dtype=torch.int8)),
    ],
)
def test_quantised_weights_are_told(name, tensor, folder, tmp_path):
    path = tmp_path / "unet.safetensors"
    save_file({**weights_of(folder, "unet"), name: tensor}, path)
    with pytest.raises(AssetError, match=rf"unet\.safetensors: quantised weights \({name}\)") as told:
        locate(ModelSpec(str(path), config=str(folder)), offline=True)
    assert "\n" not in str(told.value)
    assert told.value.parts == (("base",),)


def test_fp8_without_scales_is_read(folder, tmp_path):
    path = tmp_path / "unet.safetensors"
    save_file({name: each.to(torch.float8_e4m3fn) for name, each in weights_of(folder, "unet").items()}, path)
    loaded = load(locate(ModelSpec(str(path), config=str(folder))), CPU, torch.float32)
    expected = weights_of(folder, "unet")["conv_in.weight"].to(torch.float8_e4m3fn).float()
    assert torch.equal(loaded.networks["unet"].conv_in.weight, expected)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The folder that the family's small autoencoder is read from, in place of the hub's."""
    torch.manual_seed(3)
    make_tiny_vae().save_pretrained(tmp_path / "taesd")
    known = replace(families.family("sd15"), tiny_autoencoder=str(tmp_path / "taesd"))
    monkeypatch.setattr(families, "family", lambda _: known)
    return tmp_path / "taesd"


def test_the_small_autoencoder_takes_the_place_of_the_model_s(folder, single_file, tiny):
    theirs = make_tiny_vae()
    theirs.load_state_dict(load_file(tiny / "diffusion_pytorch_model.safetensors"))
    latents = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    scale = theirs.config.scaling_factor
    for base in (folder, single_file):
        spec = ModelSpec(str(base), vae="tiny", config=str(folder))
        got = load(locate(spec, offline=True), CPU, torch.float32)
        with torch.no_grad():
            torch.testing.assert_close(got.decode(latents), theirs.decode(latents / scale).sample)
            torch.testing.assert_close(got.encode_image(pixels), theirs.encode(pixels).latents * scale)


def test_a_small_autoencoder_that_is_not_here_or_is_none_is_told(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(AssetError, match=r"madebyollin/taesd: .*smd models pull fetches it") as told:
        locate(ModelSpec(str(folder), vae="tiny"), offline=True)
    assert told.value.parts == (("vae",),)
    other = klein.make_folder(tmp_path / "klein")
    with pytest.raises(AssetError, match=r"^tiny: no small autoencoder is known for klein models") as told:
        locate(ModelSpec(str(other), vae="tiny"), offline=True)
    assert told.value.parts == (("vae",),)


def test_an_autoencoder_of_other_latents_is_refused_at_its_place(folder, tmp_path):
    other = sd3.make_folder(tmp_path / "sd3")
    words = r"an autoencoder of 16 latent channels, and this sd15 model takes 4: it was made for another"
    with pytest.raises(AssetError, match=words) as told:
        locate(ModelSpec(str(folder), vae=str(other / "vae")), offline=True)
    assert told.value.parts == (("vae",),)


def test_own_and_tiny_are_words_of_scenes(tmp_path):
    text = "smd: 1\ncanvas: {{width: 64, height: 64}}\nbackground: {{prompt: a}}\nmodel: {{vae: {}}}\n"
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")
    for word, wanted in (("own", None), ("tiny", "tiny"), ("./tiny", str(tmp_path / "tiny"))):
        plan = smd.load_scene(text.format(word), base_dir=tmp_path).plan
        assert model_spec(plan).vae == wanted


LORAS = [
    ("lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", 2048, "sdxl"),
    ("transformer.transformer_blocks.3.attn.add_k_proj", 1536, "sd3"),
    ("transformer.single_transformer_blocks.3.attn.to_qkv_mlp_proj", 3072, "klein"),
    ("diffusion_model.layers.3.attention.to_k", 3840, "zimage"),
]


@pytest.mark.parametrize(("layer", "width", "name"), LORAS)
@pytest.mark.parametrize("is_local", [False, True])
def test_a_lora_of_another_family_is_told_with_its_family(layer, width, name, is_local, folder, tmp_path):
    path = tmp_path / "style.safetensors"
    factors = {"lora_A": torch.zeros(2, width), "lora_B": torch.zeros(8, 2)}
    save_file({f"{layer}.{part}.weight": factor for part, factor in factors.items()}, path)
    choice = {"local_loras": (str(path),)} if is_local else {"loras": ((str(path), 1.0),)}
    words = rf"style\.safetensors: .*; it seems to be for {name} models"
    with pytest.raises(AssetError, match=words) as told:
        check_loading(locate(ModelSpec(str(folder), **choice), offline=True))
    assert "\n" not in str(told.value)
    assert told.value.parts == ((("local_loras", str(path)) if is_local else ("loras", 0)),)
