"""NaN and infinity in small real checkpoints: an error that names where they come from, and no picture."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import smd_cli as smd
from smd_cli.app.rendering import canvas_images
from smd_cli.core.noise import SeededNoise
from smd_cli.engine.encoder import CheckedEncoder
from smd_cli.engine.events import Clock
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import decode_if_finite, denoise, render
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from tests.cli.program import smd as run
from tests.models.conftest import make_tiny_vae, write_model

CPU = torch.device("cpu")
UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
model: {base: model, lcm_lora: none}
sampler: {indices: [0, 25]}
background: {prompt: a}
regions:
  - {name: box, prompt: b, mask: {box: [0, 0, 0.5, 1]}}
"""
STREAM = "stream: {frames: 4, fps: 4}\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def model(whole, tmp_path, monkeypatch) -> Path:
    """The small model in the folder that the scene is in, to be damaged."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    return shutil.copytree(whole, tmp_path / "model")


def change(path: Path, name: str, by) -> str:
    """Let `by` change a tensor of a file, the first whose name holds `name`; return its name."""
    tensors = load_file(path)
    full = next(each for each in sorted(tensors) if name in each)
    by(tensors[full])
    save_file(tensors, path)
    return full


def poison(value: float):
    def by(tensor):
        tensor.view(-1)[0] = value

    return by


def failure(*arguments: str, code: int) -> str:
    """The one line of a run that writes nothing."""
    before = sorted(Path().rglob("*"))
    done = run(*arguments, "--offline")
    assert done.exit_code == code, done.stderr
    assert sorted(Path().rglob("*")) == before
    (line,) = done.stderr.splitlines()
    return line


POISONED = {
    "unet": (UNET, "mid_block.resnets.0.conv1.weight", torch.nan),
    "keys of prompts": (UNET, "attn2.to_k.weight", torch.nan),
    "decoder": (VAE, "decoder.conv_in.weight", torch.nan),
    "infinite colour": (VAE, "decoder.conv_out.bias", torch.inf),
    "encoder": (VAE, "encoder.conv_in.weight", -torch.inf),
    "text encoder": (TEXT, "final_layer_norm.weight", torch.nan),
}


@pytest.mark.parametrize(("file", "tensor", "value"), POISONED.values(), ids=POISONED)
def test_the_file_that_holds_nan_or_infinity_is_named(model, file, tensor, value):
    name = change(model / file, tensor, poison(value))
    line = failure("generate", "s.yaml", "-o", "a.png", code=4)
    assert f"model/{file}: holds NaN or infinity in {name};" in line


def test_so_is_a_lora(model):
    layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    down, up = torch.ones(1, 32), torch.zeros(16, 1)
    up[3] = torch.nan
    save_file({f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}, "style.safetensors")
    lora = "model.loras=[{path: style.safetensors}]"
    line = failure("generate", "s.yaml", "-o", "a.png", "--set", lora, code=4)
    assert f"style.safetensors: holds NaN or infinity in {layer}.lora_B.weight;" in line
    assert "unet/" not in line


def test_so_is_a_textual_inversion(model):
    save_file({"sks": torch.full((1, 32), torch.inf)}, "sks.safetensors")
    words = [
        "--set",
        "model.textual_inversions=[{path: sks.safetensors}]",
        "--set",
        "background.prompt=a sks",
    ]
    line = failure("generate", "s.yaml", "-o", "a.png", *words, code=4)
    assert "sks.safetensors: holds NaN or infinity in sks;" in line


def test_what_is_never_used_does_no_harm(model):
    change(model / TEXT, "token_embedding", lambda tensor: tensor[400].fill_(torch.nan))
    assert run("generate", "s.yaml", "-o", "a.png").exit_code == 0


@pytest.mark.parametrize("mode", ["batch", "sequential"])
@pytest.mark.parametrize(("file", "tensor"), [(UNET, "mid_block"), (VAE, "decoder.conv_in"), (TEXT, "final")])
def test_a_stream_names_the_file_too(model, mode, file, tensor):
    name = change(model / file, tensor, poison(torch.nan))
    Path("s.yaml").write_text(SCENE + f"stream: {{frames: 4, mode: {mode}}}\n")
    line = failure("stream", "s.yaml", "-o", "a.gif", code=4)
    assert f"{file}: holds NaN or infinity in {name};" in line


def test_an_input_frame_that_cannot_be_encoded_ends_its_stream(model):
    name = change(model / VAE, "encoder.conv_in.weight", poison(torch.nan))
    Image.new("RGB", (64, 64), "red").save("in.gif")
    Path("s.yaml").write_text(SCENE.partition("regions")[0] + "bootstrap: {steps: 0}\n" + STREAM)
    line = failure("stream", "s.yaml", "--input", "in.gif", "-o", "a.gif", code=4)
    assert name in line


def test_what_a_stream_wrote_before_plays(model):
    """The word of a later keyframe has a broken embedding."""
    token = json.loads((model / "tokenizer/vocab.json").read_text())["z</w>"]
    change(model / TEXT, "token_embedding", lambda tensor: tensor[token].fill_(torch.nan))
    Path("s.yaml").write_text(
        SCENE + "stream: {frames: 9, mode: sequential, timeline: [{at: 6, background: {prompt: z}}]}\n"
    )
    done = run("stream", "s.yaml", "-o", "a.gif", "--offline")
    assert done.exit_code == 4
    assert f"{TEXT}: holds NaN" in done.stderr
    with Image.open("a.gif") as film:
        assert film.n_frames > 0
        film.seek(film.n_frames - 1)
        film.load()


def overflowing(model: Path) -> None:
    """Let the first prediction be so large that the second step overflows float32."""
    change(model / UNET, "conv_out.weight", lambda tensor: tensor.mul_(1e25))


def test_the_step_is_named_where_no_file_is_at_fault(model):
    overflowing(model)
    line = failure("generate", "s.yaml", "-o", "a.png", code=1)
    assert line.startswith("step 2 of 2: ")
    guided = "sampler={indices: [0, 25, 37], guidance: full, guidance_scale: 50}"
    line = failure("generate", "s.yaml", "-o", "a.png", "--set", guided, code=1)
    assert line.startswith("step 2 of 3: ")
    assert "lower sampler.guidance_scale (50)" in line


def test_a_lora_that_is_given_too_much_weight_is_named(model):
    layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    factors = {f"{layer}.lora_A.weight": torch.ones(1, 32), f"{layer}.lora_B.weight": torch.ones(16, 1)}
    save_file({name: 1e19 * tensor for name, tensor in factors.items()}, "style.safetensors")
    lora = "model.loras=[{path: style.safetensors, weight: 4}]"
    line = failure("generate", "s.yaml", "-o", "a.png", "--set", lora, code=1)
    assert line.startswith("step 1 of 2: ")
    assert "lower the weight of style.safetensors (4)" in line


@pytest.mark.parametrize("mode", ["batch", "sequential"])
def test_a_stream_names_frame_and_step(model, mode):
    overflowing(model)
    Path("s.yaml").write_text(SCENE + f"stream: {{frames: 4, mode: {mode}}}\n")
    assert failure("stream", "s.yaml", "-o", "a.gif", code=1).startswith("frame 0: step 2 of 2: ")


def narrow(base: Path, dtype=torch.float16):
    return load(locate(ModelSpec(str(base)), offline=True), CPU, dtype)


def prepared(backbone):
    scene = smd.load_scene("s.yaml")
    return prepare(scene.plan, canvas_images(scene.images), backbone, batch=4)


def too_large(tensor):
    """Up to what float16 holds, so that sums of products are past it, and normalisation brings them back."""
    tensor.mul_(3e4 / tensor.abs().max())


def test_a_decoder_that_overflows_in_float16_decodes_in_float32(model, caplog):
    change(model / VAE, "decoder.conv_in.weight", too_large)
    change(model / VAE, "decoder.conv_in.bias", too_large)
    scene = prepared(narrow(model))
    latents = denoise(scene, SeededNoise(5), Clock())
    assert not scene.backbone.decode(latents).isfinite().all()
    image = render(scene, 5, Clock()).image
    assert [record.message for record in caplog.records] == [
        "the autoencoder overflows in float16; decoded in float32"
    ]
    precise = narrow(model, torch.float32).decode(latents).clamp(-1, 1)
    expected = ((precise[0].permute(1, 2, 0) + 1) * 127.5).round().numpy()
    assert abs(np.asarray(image) - expected).max() <= 1


def test_an_encoder_that_overflows_in_float16_encodes_in_float32(model, caplog):
    change(model / VAE, "encoder.conv_in.weight", too_large)
    change(model / VAE, "encoder.conv_in.bias", too_large)
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    backbone = narrow(model)
    assert not backbone.encode_image(pixels).isfinite().all()
    latents = CheckedEncoder(backbone).encode_image(pixels)
    assert [record.message for record in caplog.records] == [
        "the autoencoder overflows in float16; encoded in float32"
    ]
    torch.testing.assert_close(
        latents, narrow(model, torch.float32).encode_image(pixels), rtol=0.02, atol=0.01
    )


def test_a_model_that_float16_holds_is_decoded_in_it(model, caplog):
    backbone = narrow(model)
    image = render(prepared(backbone), 5, Clock()).image
    assert not caplog.records
    assert "_precise" not in vars(backbone.autoencoder)
    assert np.asarray(image).std() > 0


def test_weights_too_large_for_float16_are_named(model):
    name = change(model / UNET, "conv_in.weight", lambda tensor: tensor.mul_(1e9))
    with pytest.raises(smd.AssetError, match=rf"too large for float16 in {name}; compute in float32"):
        render(prepared(narrow(model)), 5, Clock())


def test_a_saturating_decoder_hides_no_infinity(model):
    shutil.rmtree(model / "vae")
    make_tiny_vae().save_pretrained(model / "vae")
    scene = prepared(narrow(model, torch.float32))
    assert decode_if_finite(scene, torch.zeros(scene.shape)) is not None
    assert decode_if_finite(scene, torch.full(scene.shape, torch.inf)) is None
