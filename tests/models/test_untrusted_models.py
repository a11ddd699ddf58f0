"""Model folders that want more than to be read: pickles, other weights, code. None of it is touched."""

import _pickle as captured
import io
import json
import pickle
import socket

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers.models.clip.modeling_clip import CLIPTextModel

from smd_cli.models.assets import locate
from smd_cli.models.loading import load
from smd_cli.models.spec import ModelSpec
from tests.guard import watching
from tests.models.outcomes import CPU, UNET

INDEX = "unet/diffusion_pytorch_model.safetensors.index.json"
MODULE = "open({marker!r}, 'w').close()\nclass CLIPTextModel: pass\nclass CLIPTextConfig: pass\n"


class Payload:
    """Writes a file where it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


@pytest.fixture
def marker(tmp_path):
    """The file that is there once any of the strangers' code has run."""
    return tmp_path / "code_ran"


def plant(folder, marker):
    """Put pickles with a payload into a folder, under every name that the libraries know, and code."""
    for name in ("adapter_model.bin", "pytorch_model.bin", "diffusion_pytorch_model.bin", "other.bin"):
        torch.save({"x": Payload(marker)}, folder / name)
    (folder / "bare.bin").write_bytes(pickle.dumps(Payload(marker)))
    (folder / "modeling.py").write_text(MODULE.format(marker=str(marker)))


def networks(base, **choices):
    backbone = load(locate(ModelSpec(str(base), **choices), offline=True), CPU, torch.float32)
    return {part: backbone.networks[part] for part in ("unet", "vae", "text_encoder")}


def assert_same(ours, theirs):
    for part, network in theirs.items():
        state = ours[part].state_dict()
        assert state.keys() == network.state_dict().keys()
        assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("layout", ["folder", "single file's names"])
@pytest.mark.parametrize("named", ["diffusion_pytorch_model.bin", "bare.bin", "other.safetensors"])
def test_an_index_beside_the_unet_leads_nowhere(layout, named, copy, folder, single_file, marker):
    expected = networks(folder)
    if layout != "folder":
        start = "model.diffusion_model."
        tensors = {name: tensor for name, tensor in load_file(single_file).items() if name.startswith(start)}
        save_file(tensors, copy / UNET)
    plant(copy / "unet", marker)
    other = {name: tensor + 1 for name, tensor in load_file(copy / UNET).items()}
    save_file(other, copy / "unet/other.safetensors")
    for index in (INDEX, INDEX.replace("safetensors.", "bin.")):
        (copy / index).write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(other, named)}))
    assert_same(networks(copy), expected)
    assert not marker.exists()


@pytest.mark.parametrize(
    "keys",
    [
        {"transformers_weights": "adapter_model.bin"},
        {"transformers_weights": "../unet/other.bin", "use_safetensors": False},
        {"_name_or_path": "."},
        {"adapter_kwargs": {"subfolder": "."}, "adapter_name_or_path": "."},
        {"peft_config": {"base_model_name_or_path": "."}, "_hf_peft_config_loaded": True},
        {"attn_implementation": "owner/kernel"},
        {"_attn_implementation": "owner/kernel", "_attn_implementation_internal": "owner/kernel"},
        {"attn_implementation": {"": "owner/kernel:evil"}, "experts_implementation": "owner/kernel"},
        {"use_kernels": True, "kernel_config": {"CLIPMLP": "owner/kernel:Layer"}},
        {"auto_map": {"AutoModel": "modeling.CLIPTextModel", "AutoConfig": "modeling.CLIPTextConfig"}},
        {"quantization_config": {"quant_method": "gptq", "bits": 4, "modules_in_block_to_quantize": []}},
        {"per_layer_config": {"0": {"hidden_act": "relu"}}},
        {"config_class": None, "__class__": "x", "to_dict": 1, "save_pretrained": "x"},
        {"dtype": "load", "torch_dtype": "hub"},
    ],
    ids=lambda keys: " ".join(keys),
)
def test_keys_of_a_config_lead_nowhere(keys, copy, folder, make, marker):
    """To weights, adapters, kernels, quantised layers or code; attention is what this program chooses."""
    for part in ("text_encoder", "unet", "vae"):
        plant(copy / part, marker)
        make.edit_json(copy / part / "config.json", **keys)
        adapter = {"base_model_name_or_path": str(copy / part), "peft_type": "LORA", "auto_mapping": None}
        (copy / part / "adapter_config.json").write_text(json.dumps(adapter))
    found = networks(copy)
    assert_same(found, networks(folder))
    assert found["text_encoder"].config._attn_implementation == "sdpa"
    assert not marker.exists()


def test_unknown_keys_are_told(copy, make, caplog):
    """What asks for something that does not happen is said; what does not, or is a note, is not."""
    make.edit_json(copy / "unet/config.json", qk_norm="rms", _note=1, other=None, old=False)
    make.edit_json(copy / "text_encoder/config.json", use_cache=True, transformers_weights="a.bin")
    with caplog.at_level("WARNING"):
        locate(ModelSpec(str(copy)))
    assert caplog.messages == [
        f"{copy / 'unet/config.json'}: not known, so without effect: qk_norm",
        f"{copy / 'text_encoder/config.json'}: not known, so without effect: transformers_weights",
    ]


def test_nothing_known_is_told(folder, caplog):
    with caplog.at_level("WARNING"):
        locate(ModelSpec(str(folder)))
    assert caplog.messages == []


@pytest.mark.parametrize(
    "read", ["torch.load", "torch.load of weights", "pickle.loads", "Unpickler", "a class", "socket"]
)
def test_the_guard_of_these_tests_sees(read, tmp_path, marker):
    path = tmp_path / "x.bin"
    torch.save({"x": Payload(marker)}, path)
    tries = {
        "torch.load": lambda: torch.load(path, weights_only=False),
        "torch.load of weights": lambda: torch.load(path, weights_only=True),
        "pickle.loads": lambda: pickle.loads(pickle.dumps(Payload(marker))),
        "Unpickler": lambda: pickle.Unpickler(io.BytesIO(b"")).load(),
        "a class": lambda: captured.Unpickler(io.BytesIO(pickle.dumps(Payload(marker)))).load(),
        "socket": lambda: socket.create_connection(("192.0.2.1", 9), timeout=0.01),
    }
    with watching() as seen, pytest.raises(AssertionError):
        tries[read]()
    assert seen
    assert not marker.exists()


def test_the_libraries_themselves_would_read_the_pickles(copy, folder, make, marker):
    """What the folders above are made of is not harmless: it is this program that does not follow."""
    plant(copy / "unet", marker)
    plant(copy / "text_encoder", marker)
    weight_map = dict.fromkeys(load_file(copy / UNET), "diffusion_pytorch_model.bin")
    (copy / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    make.edit_json(copy / "text_encoder/config.json", transformers_weights="adapter_model.bin")
    for part, network in {"unet": UNet2DConditionModel, "text_encoder": CLIPTextModel}.items():
        network.from_pretrained(folder / part)
        with watching() as seen, pytest.raises((AssertionError, OSError)):  # diffusers makes one of the other
            network.from_pretrained(copy / part)
        assert seen == ["torch.load is called"]
