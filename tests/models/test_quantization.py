"""Weights in 8 bits: near those in full where torchao is installed, and refused in one line elsewhere."""

from functools import partial

import pytest
import torch

from smd_cli.errors import DeviceError
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from smd_cli.models.quantization import LARGE, check_weights, quantized_bytes
from tests.core.models import model_input
from tests.embedded import backbone

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_without_torchao_there_is_one_line_with_what_to_install(kind, monkeypatch):
    monkeypatch.setattr("smd_cli.models.quantization.find_spec", lambda name: None)
    with pytest.raises(
        DeviceError, match=rf"weights {kind}: needs torchao; pip install 'smd-cli\[quantize\]'"
    ):
        check_weights(kind, CPU)
    check_weights("full", CPU)


def test_not_on_every_device():
    with pytest.raises(DeviceError, match="weights int8: not on mps"):
        check_weights("int8", torch.device("mps"))


def test_the_estimate_knows_which_tensors_are_kept_in_8_bits():
    shapes = {
        "blocks.0.to_q.weight": (128, 256),
        "blocks.0.to_q.bias": (128,),
        "blocks.0.small.weight": (8, 8),
        "conv_in.weight": (128, 64, 3, 3),
        "model.embed_tokens.weight": (1000, 128),
    }
    assert quantized_bytes(shapes) == {"blocks.0.to_q.weight": 128 * 256 + 4 * 128}


@pytest.mark.parametrize(("kind", "memory"), [("int8", "high"), ("int8", "low"), ("fp8", "medium")])
def test_predictions_are_near_and_loras_in_them(kind, memory):
    pytest.importorskip("torchao")
    assets = locate(ModelSpec("flatland"), few_step=True)
    assert assets.loras
    small = load(assets, CPU, torch.float32, memory=memory, weights=kind)
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    ask = partial(model_input, latents, torch.tensor([500, 400]))
    with torch.inference_mode():
        exact, near = (
            model.predict(ask(), model.prepare(model.encode_prompts(["the sun", "grass"])))
            for model in (backbone(), small)
        )
    error = (near - exact).norm() / exact.norm()
    assert 1e-4 < error < (0.02 if kind == "int8" else 0.08)
    unet = getattr(small, "inner", small).networks["unet"]
    kept = [each for each in unet.modules() if isinstance(each, torch.nn.Linear)]
    assert all(
        (type(each.weight.data) is not torch.Tensor) == (each.weight.numel() >= LARGE) for each in kept
    )
