"""What becomes of a model that is located and loaded: its facts, or the one line of an error."""

import pytest
import torch

from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load

CPU = torch.device("cpu")
UNET, VAE = (f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae"))


def facts(model, **choices):
    return locate(ModelSpec(str(model), **choices), offline=True).facts


def text_of(tokenizer, chunk):
    """The text of a chunk's tokens, with spaces between all of its words."""
    tokens = map(tokenizer.own.tokenizer.id_to_token, chunk.tokens)
    return "".join(tokens).replace("</w>", " ").strip()


def failure(spec, **how):
    """The one line that a bad model earns."""
    with pytest.raises(AssetError) as caught:
        load(locate(spec, offline=True, **how), CPU, torch.float32)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 4
    return str(caught.value)
