"""LoRA files as several programs write them, for the tests: the same factors under different names."""

import re
from types import SimpleNamespace

import torch
from torch import nn

from tests.models.conftest import ldm_unet_name

RANKS = (2, 3, 1)
ALPHAS = (4.0, 1.0, 0.5, 2.5)


def factors(weight, rank, seed):
    """Down (r, in, ...) and up (out, r, 1, ...) factors for a layer of that weight's shape."""
    generator = torch.Generator().manual_seed(seed)
    out, inner, *kernel = weight.shape
    down = torch.randn(rank, inner, *kernel, generator=generator)
    return down, torch.randn(out, rank, *[1] * len(kernel), generator=generator)


def layers_of(network, part):
    """Every layer of a network, with factors of ranks and alphas that differ."""
    modules = dict(network.named_modules())
    names = [name for name, each in modules.items() if isinstance(each, nn.Linear | nn.Conv2d)]
    for index, name in enumerate(names):
        down, up = factors(modules[name].weight, RANKS[index % len(RANKS)], index)
        alpha = ALPHAS[index % len(ALPHAS)]
        plain = name.removeprefix("text_model.")
        yield SimpleNamespace(part=part, name=plain, down=down, up=up, alpha=alpha)


def _text(layer):
    return f"text_model.{layer.name}"


def _is_unet(layer):
    return layer.part == "unet"


def _kohya(start, name, layer):
    flat = start + name.replace(".", "_")
    return {
        f"{flat}.lora_down.weight": layer.down,
        f"{flat}.lora_up.weight": layer.up,
        f"{flat}.alpha": torch.tensor(layer.alpha),
    }


def _peft(name, layer, adapter=""):
    return {f"{name}.lora_A{adapter}.weight": layer.down, f"{name}.lora_B{adapter}.weight": layer.up}


def kohya(layer):
    start, name = ("lora_unet_", layer.name) if _is_unet(layer) else ("lora_te_", _text(layer))
    return _kohya(start, name, layer)


def kohya_te1(layer):
    return {} if _is_unet(layer) else _kohya("lora_te1_", _text(layer), layer)


def ldm_name(layer):
    return ldm_unet_name(f"{layer.name}.weight").removesuffix(".weight")


def blocks(layer):
    return _kohya("lora_unet_", ldm_name(layer), layer) if _is_unet(layer) else {}


def dotted_blocks(layer):
    return _peft(f"diffusion_model.{ldm_name(layer)}", layer) if _is_unet(layer) else {}


def lycoris(layer):
    return _kohya("lycoris_", layer.name, layer) if _is_unet(layer) else {}


def diffusers(layer):
    return _peft(f"unet.{layer.name}" if _is_unet(layer) else f"text_encoder.{_text(layer)}", layer)


def peft(layer):
    return _peft(f"base_model.model.{layer.name}", layer) if _is_unet(layer) else {}


def peft_of_text(layer):
    return {} if _is_unet(layer) else _peft(f"base_model.model.{_text(layer)}", layer)


def peft_of_both(layer):
    name = f"unet.{layer.name}" if _is_unet(layer) else f"text_encoder.{_text(layer)}"
    return _peft(f"base_model.model.{name}", layer, ".default")


def _processors(layer, start):
    if _is_unet(layer):
        name = re.sub(r"\.to_(q|k|v|out)(\.0)?$", r".processor.to_\1_lora", layer.name)
        name = start + (f"{name}.lora" if name == layer.name else name)
    else:
        name = re.sub(r"self_attn\.(q|k|v|out)_proj$", r"self_attn.to_\1_lora", _text(layer))
        name = f"text_encoder.{name}" + ("" if name.endswith("_lora") else ".lora_linear_layer")
    return {f"{name}.down.weight": layer.down, f"{name}.up.weight": layer.up}


def first_diffusers(layer):
    return _processors(layer, "unet.")


def first_diffusers_of_unet(layer):
    return _processors(layer, "") if _is_unet(layer) else {}


def linear_layers(layer):
    name = f"unet.{layer.name}.lora" if _is_unet(layer) else f"text_encoder.{_text(layer)}.lora_linear_layer"
    return {f"{name}.down.weight": layer.down, f"{name}.up.weight": layer.up}


NAMINGS = [
    kohya, kohya_te1, blocks, dotted_blocks, lycoris, diffusers, peft, peft_of_text, peft_of_both,
    first_diffusers, first_diffusers_of_unet, linear_layers,
]  # fmt: skip
