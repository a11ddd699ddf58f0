"""The names that MMDiT itself and others have for the layers of SD3, in LoRAs of all customs."""

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers
from safetensors.torch import save_file
from torch import nn

from smd_cli.errors import AssetError
from smd_cli.models.lora import fuse_loras, read_lora
from smd_cli.models.sd3 import FAMILY
from tests.checkpoints import sd3

KINDS = {"3.5": {}, "3": sd3.STABLE_3}
STRENGTH = 0.5


def networks(kind):
    return {name: each.eval() for name, each in sd3.make_networks(**KINDS[kind]).items()}


def mmdit_changes(transformer):
    """A change for each of MMDiT's layers, with its factors: what its name has in that program."""
    changes = {}
    for name, weight in sd3.mmdit(transformer).items():
        if name.endswith(".weight") and weight.ndim > 1:
            layer = name.removesuffix(".weight")
            inner = weight.flatten(1).shape[1]
            generator = torch.Generator().manual_seed(len(changes))
            down, up = (
                torch.randn(2, inner, generator=generator),
                torch.randn(len(weight), 2, generator=generator),
            )
            changes[layer] = (down.view(2, *weight.shape[1:]), up)
    return changes


def changed(transformer, changes):
    """The weights with the changes made in MMDiT's own layout, brought to diffusers' by diffusers."""
    tensors = {name: tensor.clone() for name, tensor in sd3.mmdit(transformer).items()}
    for layer, (down, up) in changes.items():
        tensors[f"{layer}.weight"] += STRENGTH * (up @ down.flatten(1)).view(tensors[f"{layer}.weight"].shape)
    return convert_sd3_transformer_checkpoint_to_diffusers(tensors)


def kohya(start, layer, down, up):
    flat = start + layer.replace(".", "_")
    up = up if down.ndim == 2 else up[..., None, None]
    return {
        f"{flat}.lora_down.weight": down,
        f"{flat}.lora_up.weight": up,
        f"{flat}.alpha": torch.tensor(2.0),
    }


def dotted(start, layer, down, up):
    up = up if down.ndim == 2 else up[..., None, None]
    return {f"{start}{layer}.lora_A.weight": down, f"{start}{layer}.lora_B.weight": up}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("custom", "start"), [(kohya, "lora_unet_"), (dotted, "diffusion_model.")])
def test_a_lora_by_mmdits_names_changes_what_they_name(kind, custom, start, tmp_path):
    own = networks(kind)
    changes = mmdit_changes(own["transformer"])
    assert len(changes) > 25
    expected = changed(own["transformer"], changes)
    tensors = {}
    for layer, (down, up) in changes.items():
        tensors |= custom(start, layer, down, up)
    save_file(tensors, tmp_path / "lora.safetensors")
    fuse_loras([(read_lora(tmp_path / "lora.safetensors", own, FAMILY), STRENGTH)])
    fused = own["transformer"].state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(fused[name], tensor, msg=lambda text, name=name: f"{name}: {text}")


TEXTS = ("text_encoder", "text_encoder_2", "text_encoder_3")
CUSTOMS = {
    "diffusers": (dotted, {name: f"{name}." for name in ("transformer", *TEXTS[:2])}),
    "PEFT": (dotted, {"transformer": "base_model.model."}),
    "kohya": (kohya, {name: f"lora_te{place}_" for place, name in enumerate(TEXTS, 1)}),
    "OneTrainer": (kohya, {"transformer": "lora_transformer_"}),
}


@pytest.mark.parametrize("name", CUSTOMS)
def test_a_lora_by_the_networks_own_names_changes_them(name, tmp_path):
    custom, starts = CUSTOMS[name]
    own, tensors, expected = networks("3.5"), {}, {}
    for component, start in starts.items():
        for layer, module in own[component].named_modules():
            if isinstance(module, nn.Linear):
                down, up = sd3.factors(layer, module)
                tensors |= custom(start, layer, down, up)
                expected[component, layer] = module.weight + STRENGTH * up @ down
    assert len(expected) > 10
    save_file(tensors, tmp_path / "lora.safetensors")
    fuse_loras([(read_lora(tmp_path / "lora.safetensors", own, FAMILY), STRENGTH)])
    for (component, layer), weight in expected.items():
        torch.testing.assert_close(own[component].get_submodule(layer).weight, weight)


def test_a_lora_of_another_family_is_refused(tmp_path):
    name = "lora_unet_down_blocks_0_attentions_0_proj_in"
    tensors = {f"{name}.lora_down.weight": torch.zeros(1, 4), f"{name}.lora_up.weight": torch.zeros(4, 1)}
    save_file(tensors, tmp_path / "lora.safetensors")
    with pytest.raises(AssetError, match="unknown naming: 1 of its 1 layers"):
        read_lora(tmp_path / "lora.safetensors", networks("3"), FAMILY)
