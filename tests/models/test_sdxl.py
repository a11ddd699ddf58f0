"""SDXL: both text encoders, the picture's size, from every layout; and one clear line for what is no SDXL."""

import json
import shutil
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from smd_cli.core.guidance import ModelInput
from smd_cli.core.tiling import Box
from smd_cli.engine.device import Placement
from smd_cli.engine.memory import network_sizes
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.conditioning import prompt_table
from smd_cli.models.facts import ModelFacts
from smd_cli.models.loading import load
from smd_cli.models.sdxl import picture_sizes
from smd_cli.models.thrifty import AUTOENCODER
from tests.checkpoints import sdxl
from tests.core.models import model_input
from tests.golden import relative_error
from tests.models.lora_files import kohya, layers_of
from tests.models.outcomes import CPU, facts, failure

PROMPTS = ["a red house", "", "1girl, pink hair, (smile)"]
LONG = "a red house, " * 12
UNET = "unet/diffusion_pytorch_model.safetensors"
SECOND = "conditioner.embedders.1."


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The small model in all layouts; not to be changed."""
    place = tmp_path_factory.mktemp("sdxl")
    return SimpleNamespace(folder=sdxl.make_folder(place / "model"), file=sdxl.make_file(place))


@pytest.fixture
def copy(files, tmp_path) -> Path:
    """The folder again, to be damaged."""
    return shutil.copytree(files.folder, tmp_path / "copy")


def load_spec(base: Path, dtype: torch.dtype = torch.float32, **choices):
    return load(locate(ModelSpec(str(base), **choices), offline=True), CPU, dtype)


@pytest.fixture(scope="module")
def backbone(files):
    return load_spec(files.folder)


@pytest.fixture(scope="module")
def pipeline(files):
    return StableDiffusionXLPipeline.from_pretrained(files.folder)


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_it_is_recognised_in_every_layout(files, copy):
    expected = ModelFacts("sdxl", 64, 8, 4, "epsilon", few_step=False)
    assert facts(files.folder) == expected
    assert facts(files.file, config=str(files.folder)) == expected
    (copy / "model_index.json").unlink()
    assert facts(copy) == expected
    assert facts(files.folder, family="sdxl") == expected


def test_its_prompts_are_those_of_both_encoders_side_by_side(backbone, pipeline):
    for prompt in PROMPTS:
        embeds, _, pooled, _ = pipeline.encode_prompt(prompt, device="cpu", do_classifier_free_guidance=False)
        ours = backbone.encode_prompts([prompt])
        torch.testing.assert_close(ours.embeds, embeds, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours.pooled, pooled, rtol=1e-5, atol=1e-6)


def test_both_tokenizers_fill_up_with_their_own_token(backbone):
    ends = [
        encoder.tokenizer.rows(encoder.tokenizer.chunks("a"))[0, -1] for encoder in backbone.text_encoders
    ]
    assert [int(end) for end in ends] == [513, 0]


def test_mixed_prompts_mix_pooled_vectors_too(backbone):
    mixed = prompt_table(backbone.encode_prompts, [(("a red house", 0.25), ("the sea", 0.75))])
    house, sea = backbone.encode_prompts(["a red house", "the sea"]).pooled
    torch.testing.assert_close(mixed.pooled[0], 0.25 * house + 0.75 * sea)
    assert not torch.allclose(house, sea, atol=0.1)


def test_chunks_follow_one_another_and_the_first_tells_the_whole(backbone):
    first, long = backbone.encode_prompts([LONG]), backbone.encode_prompts([f"{LONG}BREAK the sea"])
    torch.testing.assert_close(long.embeds[:, : first.embeds.shape[1]], first.embeds)
    torch.testing.assert_close(long.embeds[:, -77:], backbone.encode_prompts(["the sea"]).embeds)
    torch.testing.assert_close(long.pooled, first.pooled)


def test_weights_reach_both_encoders_and_the_pooled_vector(backbone):
    plain, fainter, without = (
        backbone.encode_prompts([prompt])
        for prompt in ("a red house", "a (red:0.5) house", "a (red:0) house")
    )
    for part in (slice(0, sdxl.FIRST), slice(sdxl.FIRST, None)):
        assert not torch.allclose(plain.embeds[..., part], fainter.embeds[..., part], atol=1e-2)
    moved = (fainter.pooled - plain.pooled).norm() / (without.pooled - plain.pooled).norm()
    assert 0.4 < moved < 0.6


def test_a_row_is_told_its_tile_and_the_canvas():
    boxes = (Box(0, 8, 4, 12), Box(8, 16, 0, 8))
    asked = ModelInput(
        torch.zeros(2, 4, 8, 8), torch.zeros(2), torch.zeros(2), torch.zeros(2, dtype=int), boxes, (16, 24)
    )
    assert picture_sizes(asked, 8).tolist() == [[128, 192, 0, 32, 128, 192], [128, 192, 64, 0, 128, 192]]


def test_keys_made_once_give_the_same_predictions(backbone, pipeline):
    table = backbone.encode_prompts(PROMPTS)
    latents, timesteps = torch.randn(3, 4, 8, 8), torch.tensor([999, 499, 19])
    picked = table.rows([2, 0, 1])
    added = {"text_embeds": picked.pooled, "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]]).repeat(3, 1)}
    expected = pipeline.unet(latents, timesteps, picked.embeds, added_cond_kwargs=added).sample
    prepared = backbone.prepare(table)
    for conditioning in (picked, prepared.rows([2, 0, 1])):
        got = backbone.predict(model_input(latents, timesteps), conditioning)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    nothing = picked.rows([0, 1, 2])
    other = backbone.predict(
        model_input(latents, timesteps),
        type(nothing)(nothing.embeds, torch.zeros_like(nothing.pooled)),
    )
    assert not torch.allclose(other, expected, atol=1e-2)


def test_a_single_file_holds_the_same_networks(files, backbone):
    alone = load_spec(files.file, config=str(files.folder))
    for name, network in backbone.networks.items():
        ours, theirs = alone.networks[name].state_dict(), network.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs), name


def test_a_single_file_says_that_it_predicts_v(files, tmp_path):
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    save_file({**load_file(files.file), **marks}, tmp_path / "v.safetensors")
    found = facts(tmp_path / "v.safetensors", config=str(files.folder))
    assert (found.prediction_type, found.zero_terminal_snr) == ("v_prediction", True)


def test_learned_words_have_vectors_for_both_encoders(files, copy, backbone, tmp_path):
    """Encoders look for the end of a text where the largest number is, and learned words have larger ones."""
    words = {"clip_l": torch.randn(2, sdxl.FIRST), "clip_g": torch.randn(2, sdxl.SECOND)}
    save_file(words, tmp_path / "ink.safetensors")
    taught = load_spec(files.folder, textual_inversions=((str(tmp_path / "ink.safetensors"), None),))
    edit_json(copy / "text_encoder_2/config.json", eos_token_id=513)
    theirs = StableDiffusionXLPipeline.from_pretrained(copy)
    for place, key in (("", "clip_l"), ("_2", "clip_g")):
        save_file({"ink": words[key]}, tmp_path / f"{key}.safetensors")
        theirs.load_textual_inversion(
            str(tmp_path / f"{key}.safetensors"),
            token="ink",
            text_encoder=getattr(theirs, f"text_encoder{place}"),
            tokenizer=getattr(theirs, f"tokenizer{place}"),
        )
    prompt = "ink, a house"
    embeds, _, pooled, _ = theirs.encode_prompt(prompt, device="cpu", do_classifier_free_guidance=False)
    ours = taught.encode_prompts([prompt])
    torch.testing.assert_close(ours.embeds, embeds, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.pooled, pooled, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(backbone.encode_prompts([prompt]).pooled, pooled, atol=1e-2)


@pytest.mark.parametrize(
    ("force", "dtype", "expected"),
    [
        (True, torch.float16, torch.float32),
        (False, torch.float16, torch.float16),
        (True, torch.bfloat16, torch.bfloat16),
    ],
)
def test_an_autoencoder_that_overflows_in_float16_is_in_float32(force, dtype, expected, copy):
    edit_json(copy / "vae/config.json", force_upcast=force)
    loaded = load_spec(copy, dtype)
    assert loaded.networks["vae"].dtype == expected
    assert loaded.networks["unet"].dtype == loaded.dtype == dtype
    (planned,) = [
        each
        for each in network_sizes(loaded.assets, Placement(torch.device("cuda"), dtype))
        if each.purpose == AUTOENCODER
    ]
    assert planned.held == expected.itemsize * sum(
        each.numel() for each in loaded.networks["vae"].parameters()
    )
    pixels = loaded.decode(torch.randn(1, 4, 8, 8, dtype=dtype))
    assert pixels.dtype == dtype
    assert loaded.encode_image(pixels).isfinite().all()


def test_a_white_picture_is_encoded_exactly(backbone, pipeline):
    """Group norms divide by what little varies in it; regions are bootstrapped on it."""
    white = torch.ones(1, 3, 64, 96)
    exact = deepcopy(pipeline.vae).double().encode(white.double()).latent_dist.mode() * 0.13025
    assert relative_error(backbone.encode_image(white).double(), exact.detach()) < 1e-5


# --- what is no SDXL, or not all of one


def without(files, tmp_path, *starts: str, **more: torch.Tensor) -> Path:
    tensors = {name: each for name, each in load_file(files.file).items() if not name.startswith(starts)}
    save_file({**tensors, **more}, tmp_path / "part.safetensors")
    return tmp_path / "part.safetensors"


@pytest.mark.parametrize("part", ["text_encoder", "text_encoder_2", "unet"])
def test_a_folder_without_a_network(part, copy):
    shutil.rmtree(copy / part)
    kind = "UNet" if part == "unet" else part.replace("_", " ")
    assert f"holds no {kind} (no folder {part})" in failure(ModelSpec(str(copy)))


@pytest.mark.parametrize(
    ("start", "words"),
    [("model.diffusion_model.", "holds no UNet"), ("first_stage_model.", "holds no autoencoder")],
)
def test_a_single_file_without_a_network(start, words, files, tmp_path):
    assert words in failure(ModelSpec(str(without(files, tmp_path, start)), config=str(files.folder)))


@pytest.mark.parametrize(
    ("start", "part"), [(SECOND, "text_encoder_2"), ("conditioner.embedders.0.", "text_encoder")]
)
def test_a_single_file_without_a_text_encoder_takes_that_of_its_configs(start, part, files, copy, tmp_path):
    path = without(files, tmp_path, start)
    assets = locate(ModelSpec(str(path), config=str(copy)), offline=True)
    assert assets.components[part].weights == (copy / part / "model.safetensors",)
    (copy / part / "model.safetensors").unlink()
    message = failure(ModelSpec(str(path), config=str(copy)))
    assert (
        f"{path}: holds no {part.replace('_', ' ')}, which the folder of its configs has to give" in message
    )


def test_the_refiner_is_named(files, copy, tmp_path):
    width = json.loads((copy / "text_encoder_2/config.json").read_text())["hidden_size"]
    edit_json(copy / "unet/config.json", cross_attention_dim=width)
    shutil.rmtree(copy / "text_encoder")
    edit_json(copy / "model_index.json", _class_name="StableDiffusionXLImg2ImgPipeline")
    assert "family sdxl-refiner is not supported" in failure(ModelSpec(str(copy)))
    tensors = load_file(files.file)
    only = {
        name.replace(SECOND, "conditioner.embedders.0."): each
        for name, each in tensors.items()
        if not name.startswith("conditioner.embedders.0.")
    }
    save_file(only, tmp_path / "refiner.safetensors")
    assert "family sdxl-refiner is not supported" in failure(ModelSpec(str(tmp_path / "refiner.safetensors")))


@pytest.mark.parametrize(
    ("channels", "pipeline_name", "words"),
    [
        (
            9,
            "StableDiffusionXLInpaintPipeline",
            "an inpainting checkpoint; `smd inpaint` takes ordinary ones",
        ),
        (8, "StableDiffusionXLInstructPix2PixPipeline", "a checkpoint for instructions (InstructPix2Pix)"),
    ],
)
def test_unets_that_read_more_than_latents(channels, pipeline_name, words, files, copy, tmp_path):
    name = "model.diffusion_model.input_blocks.0.0.weight"
    more = {name: torch.zeros(16, channels, 3, 3)}
    assert words in failure(ModelSpec(str(without(files, tmp_path, **more)), config=str(files.folder)))
    edit_json(copy / "unet/config.json", in_channels=channels)
    edit_json(copy / "model_index.json", _class_name=pipeline_name)
    assert words in failure(ModelSpec(str(copy)))


@pytest.mark.parametrize(
    ("part", "change", "key"),
    [
        ("text_encoder", {"hidden_size": 8}, "cross_attention_dim is 40, but the text encoders make it 32"),
        (
            "text_encoder_2",
            {"projection_dim": 24},
            "projection_class_embeddings_input_dim is 68, but the text encoders make it 72",
        ),
    ],
)
def test_encoders_of_another_model(part, change, key, copy):
    edit_json(copy / part / "config.json", **change)
    assert key in failure(ModelSpec(str(copy)))


def test_misnamed_tensors(copy, tmp_path, files):
    tensors = load_file(copy / UNET)
    save_file({name.replace("add_embedding", "added"): each for name, each in tensors.items()}, copy / UNET)
    message = failure(ModelSpec(str(copy)))
    assert f"{copy / UNET}: lacks 4 of the model's tensors, such as add_embedding" in message
    misnamed = {name.replace("resblocks", "layers"): each for name, each in load_file(files.file).items()}
    save_file(misnamed, tmp_path / "misnamed.safetensors")
    message = failure(ModelSpec(str(tmp_path / "misnamed.safetensors"), config=str(files.folder)))
    assert "of the model's tensors, such as text_model.encoder.layers.0." in message


def test_half_a_download(files, copy, tmp_path):
    for path, whole in ((copy / UNET, copy), (tmp_path / "half.safetensors", None)):
        content = (files.file if whole is None else path).read_bytes()
        path.write_bytes(content[: len(content) // 2])
        spec = ModelSpec(str(whole or path), config=None if whole else str(files.folder))
        assert f"{path}: not a whole safetensors file" in failure(spec)


def test_loras_of_the_other_family(files, folder, tmp_path):
    """`folder` is of SD1.5; the layers of both have many names in common, and other shapes."""
    unet = load_spec(folder).networks["unet"]
    of_sd15 = {name: each for layer in layers_of(unet, "unet") for name, each in kohya(layer).items()}
    save_file(of_sd15, tmp_path / "sd15.safetensors")
    for base, lora in ((folder, sdxl.make_lora(tmp_path)), (files.folder, tmp_path / "sd15.safetensors")):
        message = failure(ModelSpec(str(base), loras=((str(lora), 1.0),)))
        assert f"{lora}: this LoRA was made for another model" in message


def test_a_learned_word_for_one_encoder_alone(files, tmp_path):
    save_file({"word": torch.randn(1, sdxl.FIRST)}, tmp_path / "word.safetensors")
    message = failure(
        ModelSpec(str(files.folder), textual_inversions=((str(tmp_path / "word.safetensors"), None),))
    )
    assert "made for another model" in message
    assert "sdxl models take clip_l, clip_g" in message
