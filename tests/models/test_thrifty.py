"""Models whose networks are here only while they are used: the same numbers as those that always are."""

import os
import threading
from collections.abc import Callable
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file

from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.components import Destination
from smd_cli.models.loading import load
from smd_cli.models.local_loras import with_lora_table
from smd_cli.models.residence import Moved, Reread, Residence, Streamed, stream_layers
from smd_cli.models.thrifty import ThriftyBackbone, elsewhere, memory_of, settle
from tests.core.models import model_input
from tests.embedded import backbone

CPU, CUDA, META = map(torch.device, ("cpu", "cuda", "meta"))
PROMPTS = ["the (sun:1.2) over a hill", "grass"]


@pytest.fixture
def thrifty() -> ThriftyBackbone:
    loaded = load(locate(ModelSpec("flatland"), few_step=True), CPU, torch.float32, memory="low")
    assert isinstance(loaded, ThriftyBackbone)
    return loaded


@torch.inference_mode()
def answers(model: Backbone) -> list[torch.Tensor]:
    """Ask a model for all that it can be asked for."""
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    prompts = model.encode_prompts(PROMPTS)
    predicted = model.predict(model_input(latents, torch.tensor([500, 400])), model.prepare(prompts))
    return [prompts.embeds, predicted, model.decode(latents), model.encode_image(latents[:, :3])]


def numbers(*networks: torch.nn.Module) -> int:
    """Count those of networks that are in memory."""
    tensors = (each for network in networks for each in network.parameters())
    return sum(each.numel() for each in tensors if not each.is_meta)


def test_the_numbers_are_the_same_and_the_networks_not_there_at_the_same_time(thrifty):
    inner = thrifty.inner
    assert numbers(inner.networks["text_encoder"], inner.networks["unet"]) == 0
    there = []
    for name in ("text_encoder", "unet"):
        inner.networks[name].register_forward_hook(
            lambda *_: there.append(
                (numbers(inner.networks["text_encoder"]) > 0, numbers(inner.networks["unet"]) > 0)
            )
        )
    for _ in range(2):  # the prompts of a second scene: the text encoder is there again
        assert all(map(torch.equal, answers(thrifty), answers(backbone())))
    assert set(there) == {(True, False), (False, True)}


def test_learned_words_and_loras_are_there_again(tmp_path):
    vectors = torch.randn(2, backbone().networks["text_encoder"].config.hidden_size)
    save_file({"emb_params": vectors}, tmp_path / "ink.safetensors")
    spec = ModelSpec("flatland", textual_inversions=((str(tmp_path / "ink.safetensors"), "<ink>"),))
    models = [load(locate(spec, few_step=True), CPU, torch.float32, memory=m) for m in ("high", "medium")]
    for _ in range(2):
        high, medium = (model.encode_prompts(["a hill, <ink>"]).embeds for model in models)
        assert torch.equal(high, medium)
        models[1].prepare(backbone().encode_prompts(["grass"]))


def test_files_that_are_written_meanwhile_are_told(tmp_path):
    adapter = tmp_path / "lora.safetensors"
    own = locate(ModelSpec("flatland"), few_step=True).loras[0][0]
    save_file(load_file(own), adapter)
    thrifty = load(
        locate(ModelSpec("flatland", loras=((str(adapter), 1.0),))), CPU, torch.float32, memory="low"
    )
    thrifty.encode_prompts(PROMPTS)
    os.utime(adapter, ns=(1, 1))
    with pytest.raises(AssetError, match=r"lora\.safetensors: has changed since the model was loaded"):
        thrifty.prepare(backbone().encode_prompts(PROMPTS))


def test_loras_of_single_regions_are_beside_the_layers_again():
    own = str(locate(ModelSpec("flatland"), few_step=True).loras[0][0])
    assets = locate(ModelSpec("flatland", local_loras=(own,)))
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    asked, predicted = model_input(latents, torch.tensor([500, 400])), []
    for memory in ("high", "medium"):
        model = load(assets, CPU, torch.float32, memory=memory)
        for _ in range(2):  # encoding sends the denoiser away
            with torch.inference_mode():
                table = with_lora_table(model.encode_prompts(PROMPTS), [(1.0,), ()])
                predicted.append(model.predict(asked, model.prepare(table)))
    assert all(torch.equal(each, predicted[0]) for each in predicted)
    bare = with_lora_table(table, [(), ()])
    with torch.inference_mode():
        without = model.predict(asked, model.prepare(bare))
    assert [torch.equal(*rows) for rows in zip(without, predicted[0], strict=True)] == [False, True]


def test_where_networks_lie(thrifty):
    there = partial(elsewhere, thrifty.assets)
    encoder_and_denoiser = {"text_encoder": META, "unet": META}
    assert there(CPU, "low", "full") == there(CPU, "medium", "full") == encoder_and_denoiser
    assert there(CPU, "high", "full") == there(CPU, "high", "int8") == there(CUDA, "high", "full") == {}
    assert set(there(CUDA, "medium", "full").values()) == set(there(CUDA, "high", "int8").values()) == {CPU}


@pytest.mark.parametrize(
    ("device", "memory", "kinds"),
    [
        (CPU, "low", [Reread, Reread, Reread]),
        (CUDA, "medium", [Moved, Moved, Moved]),
        (CUDA, "low", [Streamed, Streamed, Moved]),
    ],
)
def test_how_networks_come(device, memory, kinds, thrifty, monkeypatch):
    monkeypatch.setattr("smd_cli.models.residence.stream_layers", lambda network, device: None)
    inner = thrifty.inner
    networks = {
        "text_encoder": inner.networks["text_encoder"],
        "unet": inner.networks["unet"],
        "vae": inner.autoencoder.network,
    }
    to = Destination(device, torch.float32, lambda more: None, networks=networks)
    residence = settle(thrifty.assets.family, to, memory, lambda names: {})
    assert [type(residence._guests[name]) for name in ("encoders", "denoiser", "autoencoder")] == kinds


def test_layers_that_come_one_by_one_compute_the_same():
    streamed = load(backbone().assets, CPU, torch.float32)
    for network in (streamed.networks["text_encoder"], streamed.networks["unet"]):
        stream_layers(network, CPU)
    assert hasattr(streamed.networks["unet"].conv_in, "_diffusers_hook")
    assert all(map(torch.equal, answers(streamed), answers(backbone())))


class Visits:
    """A guest that tells of its coming and leaving."""

    def __init__(self, tell: Callable[[str], None], name: str) -> None:
        self.come = partial(tell, f"+{name}")
        self.leave = partial(tell, f"-{name}")


def test_guests_leave_before_others_come_but_not_while_they_are_used():
    told: list[str] = []
    residence = Residence({name: Visits(told.append, name) for name in "abc"}, staying="c")
    with residence.using("a"), residence.using("c"), residence.using("b"):
        assert told == ["+a", "+b"]
    with residence.using("b"):
        assert told == ["+a", "+b", "-a"]
    with residence.using("b"), residence.using("c"):
        assert residence.here == {"b", "c"}
    with residence.using("a"):
        assert told == ["+a", "+b", "-a", "-b", "+a"]


def test_threads_share_a_guest(thrifty):
    table = thrifty.encode_prompts(PROMPTS)
    results, asked = [], model_input(torch.ones(2, 4, 8, 8), torch.tensor([500, 400]))

    def predict() -> None:
        with torch.inference_mode():
            results.append(thrifty.predict(asked, table))

    threads = [threading.Thread(target=predict) for _ in range(3)]
    for thread in threads:
        thread.start()
    with torch.inference_mode():
        thrifty.encode_prompts(["a tree"])
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert all(torch.equal(each, results[0]) for each in results)


def test_what_is_around_a_model_does_not_hide_it(thrifty):
    class Around:
        inner = thrifty

    assert memory_of(Around()) == memory_of(thrifty) == "low"
    assert memory_of(backbone()) == "high"
