"""LoRAs of single rows of a batch: against fused ones, and against none where a row has none."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from smd_cli.engine.deterministic import DeterministicBackbone
from smd_cli.engine.encoder import CachedEncoder
from smd_cli.models import local_loras
from smd_cli.models.adapters import Adapter
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.layer_names import Rows
from smd_cli.models.loading import load
from smd_cli.models.local_loras import lay_beside, with_lora_table, with_loras
from smd_cli.models.lora import Target, fuse_loras
from tests.core.models import model_input
from tests.models.lora_files import factors, kohya, layers_of
from tests.models.test_adapters import KINDS, random

CPU = torch.device("cpu")
PROMPTS = ["a cat", "a house"]


def write(folder, path, seed=0, size=0.1):
    """A LoRA on every layer of both networks."""
    plain = load(locate(ModelSpec(str(folder))), CPU, torch.float32)
    tensors = {}
    for part in ("unet", "text_encoder"):
        for index, layer in enumerate(layers_of(plain.networks[part], part)):
            layer.down, _ = factors(layer.down, len(layer.down), seed + index)
            layer.up = layer.up * size
            tensors |= kohya(layer)
    save_file(tensors, path)
    return str(path)


@pytest.fixture(scope="module")
def loras(folder, tmp_path_factory):
    """Files of two LoRAs, in the order of their names."""
    place = tmp_path_factory.mktemp("loras")
    return tuple(write(folder, place / f"{name}.safetensors", seed) for name, seed in (("a", 0), ("b", 90)))


@pytest.fixture(scope="module")
def plain(folder):
    return load(locate(ModelSpec(str(folder))), CPU, torch.float32)


@pytest.fixture(scope="module")
def local(folder, loras):
    return load(locate(ModelSpec(str(folder), local_loras=loras)), CPU, torch.float32)


def fused(folder, *loras):
    return load(locate(ModelSpec(str(folder), loras=loras)), CPU, torch.float32)


def table(backbone, *rows):
    """The prompts, encoded with weights of LoRAs, and prepared."""
    encoder = CachedEncoder(backbone)
    parts = [encoder.encode_prompts([text], row) for text, row in zip(PROMPTS, rows, strict=True)]
    return backbone.prepare(with_lora_table(Conditioning.joined(parts), rows))


def asked():
    latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    return model_input(latents, torch.tensor([900, 300]))


def predict(backbone, *rows):
    return backbone.predict(asked(), table(backbone, *rows))


def assert_close(got, expected):
    assert (got - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_on_all_rows_it_is_the_fused_one(folder, plain, local, loras):
    expected = predict(fused(folder, (loras[0], 0.8)), (), ())
    assert (expected - predict(plain, (), ())).abs().max() > 0.01 * expected.abs().max()
    assert_close(predict(local, (0.8, 0.0), (0.8, 0.0)), expected)
    both = predict(fused(folder, (loras[0], 0.8), (loras[1], -0.5)), (), ())
    assert_close(predict(local, (0.8, -0.5), (0.8, -0.5)), both)


def test_prompts_pass_the_text_encoder_with_it(folder, plain, local, loras):
    encoder = CachedEncoder(local)
    with_it = encoder.encode_prompts(PROMPTS, (0.8, 0.0)).embeds
    assert_close(with_it, fused(folder, (loras[0], 0.8)).encode_prompts(PROMPTS).embeds)
    for weights in ((), (0.0, 0.0)):
        without = encoder.encode_prompts(PROMPTS, weights).embeds
        assert torch.equal(without, CachedEncoder(plain).encode_prompts(PROMPTS).embeds)


def test_one_batch_mixes_rows_with_and_without(folder, plain, local, loras):
    one, other = predict(local, (0.8, 0.0), ()), predict(local, (0.5, 0.8), (0.0, 0.25))
    without = predict(plain, (), ())
    assert torch.equal(one[1], without[1])
    assert_close(one[0], predict(fused(folder, (loras[0], 0.8)), (), ())[0])
    assert_close(other[0], predict(fused(folder, (loras[0], 0.5), (loras[1], 0.8)), (), ())[0])
    assert_close(other[1], predict(fused(folder, (loras[1], 0.25)), (), ())[1])


def test_a_weight_of_0_is_none(plain, local):
    assert torch.equal(predict(local, (0.0, 0.0), ()), predict(plain, (), ()))
    assert torch.equal(predict(local, (), ()), predict(plain, (), ()))


def test_keys_of_the_text_are_those_of_each_row(folder, plain, local, loras):
    keys = table(local, (0.8, 0.0), ()).keys
    with_it, without = table(fused(folder, (loras[0], 0.8)), (), ()).keys, table(plain, (), ()).keys
    for got, adapted, bare in zip(keys, with_it, without, strict=True):
        assert_close(got[0], adapted[0])
        assert torch.equal(got[1], bare[1])
        assert not torch.allclose(got[0], bare[0], rtol=1e-2)


def test_rows_that_share_a_sequence_are_predicted_by_their_weights(folder, local, plain, loras, monkeypatch):
    """As of transformers that lay the tokens of all rows behind one another."""
    broken, calls = local_loras._Share.add, []

    def add(share, output, given, change):
        if share.rows is not None:
            raise local_loras._OtherRowsError
        calls.append(share.count)
        return broken(share, output, given, change)

    backbone = local_loras.LocalLoraBackbone(local.inner)
    prepared = table(backbone, (0.8, 0.0), ())
    monkeypatch.setattr(local_loras._Share, "add", add)
    got = backbone.predict(asked(), prepared)
    assert set(calls) == {1}
    assert_close(got[0], predict(fused(folder, (loras[0], 0.8)), (), ())[0])
    assert_close(got[1], predict(plain, (), ())[1])


def test_a_deterministic_backbone_answers_each_row_with_its_own(local):
    expected = predict(local, (0.8, 0.0), (0.0, 0.25))
    assert_close(predict(DeterministicBackbone.of(local), (0.8, 0.0), (0.0, 0.25)), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("has_norms", [False, True])
def test_every_kind_is_beside_a_layer_what_it_is_in_it(kind, has_norms):
    parts, _, change = kind()
    out, inner, *kernel = change.shape
    norms = {"dora_scale": random(out).abs().view(-1, *[1] * (change.ndim - 1)) + 0.5} if has_norms else {}
    if kernel:
        layer = nn.Conv2d(inner, out, kernel, stride=2, padding=1)
        given, lines = random(3, inner, 9, 7), (-1, 1, 1, 1)
    else:
        layer, given, lines = nn.Linear(inner, out), random(3, 5, inner), (-1, 1, 1)
    adapter = Adapter("layer", {**parts, **norms, "alpha": torch.tensor(2.5)})
    weight, before = layer.weight.detach().clone(), layer(given)
    lay_beside([[(Target(((layer, Rows("layer")),)), adapter)]])
    with with_loras(torch.tensor([[0.5], [0.0], [-1.0]]), CPU), torch.no_grad():
        got = layer(given)
    full = torch.nn.functional.conv2d if kernel else torch.nn.functional.linear
    geometry = (None, 2, 1) if kernel else ()
    expected = before + torch.tensor([0.5, 0.0, -1.0]).view(lines) * full(
        given, adapter.change_of(weight), *geometry
    )
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(got[1], before[1])
    assert torch.equal(layer(given), before)


def test_changes_are_those_of_the_weights_that_it_was_made_for(folder, plain, loras, tmp_path):
    """Norms of a DoRA mean the model's own weights, whatever is fused into these."""
    name = "lora_unet_conv_in"
    weight = plain.networks["unet"].conv_in.weight.detach()
    down, up = factors(weight, 2, 1)
    norms = weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * 1.5
    path = str(tmp_path / "dora.safetensors")
    tensors = {"lora_down.weight": down, "lora_up.weight": up, "dora_scale": norms}
    save_file({f"{name}.{part}": tensor for part, tensor in tensors.items()}, path)
    spec = ModelSpec(str(folder), loras=((loras[0], 0.8),), local_loras=(path,))
    got = load(locate(spec), CPU, torch.float32)
    one = predict(got, (0.7,), (0.7,))
    assert_close(one, predict(fused(folder, (loras[0], 0.8), (path, 0.7)), (), ()))
    assert_close(one, predict(fused(folder, (path, 0.7), (loras[0], 0.8)), (), ()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_order_of_fused_loras_does_not_matter(dtype):
    def weight(order):
        layer = nn.Linear(6, 8, dtype=dtype)
        layer.weight.data = random(8, 6).to(dtype)
        target = Target(((layer, Rows("layer")),))
        changes = [
            ([(target, Adapter("layer", {"down": factor * random(2, 6), "up": random(8, 2)}))], strength)
            for factor, strength in ((1e-3, 1.0), (7.0, 0.3), (-90.0, 0.02))
        ]
        fuse_loras([changes[place] for place in order])
        return layer.weight

    exact = random(8, 6).to(dtype).double()
    for factor, strength in ((1e-3, 1.0), (7.0, 0.3), (-90.0, 0.02)):
        exact = exact + strength * (random(8, 2) @ (factor * random(2, 6))).double()
    assert torch.equal(weight((0, 1, 2)), weight((2, 0, 1)))
    torch.testing.assert_close(
        weight((1, 2, 0)), exact.to(dtype), rtol=2e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-5
    )


def test_nan_in_a_row_s_lora_stays_in_that_row(folder, plain, loras, tmp_path):
    from safetensors.torch import load_file

    path = str(tmp_path / "broken.safetensors")
    tensors = load_file(loras[0])
    save_file({name: torch.full_like(tensor, torch.nan) for name, tensor in tensors.items()}, path)
    backbone = load(locate(ModelSpec(str(folder), local_loras=(path,))), CPU, torch.float32)
    got = predict(backbone, (), ())
    assert torch.equal(got, predict(plain, (), ()))
    prepared = with_lora_table(table(plain, (), ()), [(0.5,), ()])
    got = backbone.predict(asked(), prepared)
    assert got[0].isnan().all()
    assert torch.equal(got[1], predict(plain, (), ())[1])


@pytest.mark.parametrize("memory", ["medium", "low"])
def test_it_comes_and_leaves_with_its_layers(memory, folder, local, loras):
    backbone = load(locate(ModelSpec(str(folder), local_loras=loras)), CPU, torch.float32, memory=memory)
    rows = (0.8, 0.0), (0.0, 0.25)
    assert torch.equal(predict(backbone, *rows), predict(local, *rows))
    assert torch.equal(predict(backbone, *rows), predict(local, *rows))
