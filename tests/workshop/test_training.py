"""The training in miniature: each stage runs and resumes, and the exported model loads."""

import dataclasses
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from smd_cli.errors import UsageError
from smd_cli.models.lora import fuse_loras, read_lora
from smd_cli.models.sd15 import FAMILY
from smd_cli.workshop.train import __main__ as training
from smd_cli.workshop.train import drawing, loop, painted, text
from smd_cli.workshop.train.adapter import adapt, load_adapter, save_adapter
from smd_cli.workshop.train.config import Budget, Config
from smd_cli.workshop.train.unet import alphas_cumprod, build, compile_unet
from tests.workshop.parts import WEIGHTS_FOLDER, tiny_unet

WEIGHTS = "diffusion_pytorch_model.safetensors"


def small_unet():
    """A UNet for 32x32 latents that takes a run's prompts and is trained in seconds, also without bf16."""
    return tiny_unet(sample_size=32, block_out_channels=(16, 16), cross_attention_dim=text.WIDTH)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    tiny = Budget(2, 2, 1e-3)
    stages = ("autoencoder", "decoder", "text", "unet_small", "unet_large", "fold", "late", "coupled")
    config = dataclasses.replace(
        Config(),
        folder=tmp_path_factory.mktemp("flatland"),
        pool=4,
        crop=32,
        captions=200,
        small_pictures=4,
        large_pictures=4,
        paths=4,
        late_things=2,
        late_lessons=2,
        late_hard=2,
        coupled_scenes=2,
        coupled_pale=2,
        coupled_alone=2,
        distill=Budget(2, 1, 1e-3),
        **dict.fromkeys(stages, tiny),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "build", small_unet)
        patch.setattr(painted, "BATCH", 8)
        patch.setattr(painted, "ROUNDS", 1)
        yield config, training.run(config)


def test_an_untrained_unet_has_the_shape_of_the_published_one():
    published = json.loads((WEIGHTS_FOLDER / "unet" / "config.json").read_text())
    untrained = json.loads(build().to_json_string())
    named = [name for name in published if not name.startswith("_")]
    assert "block_out_channels" in named
    assert {name: untrained[name] for name in named} == {name: published[name] for name in named}


def test_several_processes_draw_the_same_pictures_in_the_same_order(monkeypatch):
    alone = [picture.caption for picture in drawing.draw_pictures(range(9), 8)]
    monkeypatch.setattr(drawing, "FEW", 0)
    monkeypatch.setattr(drawing, "WAVE", 4)
    assert [picture.caption for picture in drawing.draw_pictures(range(9), 8)] == alone
    assert len(set(alone)) > 5


@pytest.mark.filterwarnings("ignore")
def test_every_stage_logs_and_the_export_loads_with_its_adapter(run):
    from smd_cli.models.assets import ModelSpec, locate
    from smd_cli.models.loading import load

    config, folder = run
    for stage in (
        "autoencoder",
        "decoder",
        "text",
        "unet-small",
        "unet-large",
        "distill",
        "fold",
        "late",
        "coupled",
    ):
        lines = (config.folder / stage / "log.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["step"] == 2
    assets = locate(ModelSpec(str(folder)), few_step=True, offline=True)
    assert [path.parent for path, _ in assets.loras] == [folder / "lcm_lora"]
    backbone = load(assets, torch.device("cpu"), torch.float32)
    assert not backbone.facts.few_step
    assert backbone.facts.native_size == 256
    assert torch.allclose(backbone.schedules.training.alphas_cumprod, alphas_cumprod(), atol=1e-6)
    latents = backbone.encode_image(torch.ones(1, 3, 64, 64))
    assert latents.shape == (1, 4, 8, 8)
    assert backbone.decode(latents).shape == (1, 3, 64, 64)


@pytest.mark.filterwarnings("ignore")
def test_a_finished_run_is_resumed_without_training_again(run):
    config, _ = run
    lessons = [config.folder / "late" / f"{kind}.safetensors" for kind in ("painted", "hard")]
    before = (config.folder / "distill" / "log.jsonl").read_text()
    made = [path.stat().st_mtime_ns for path in lessons]
    training.run(config)
    assert (config.folder / "distill" / "log.jsonl").read_text() == before
    assert [path.stat().st_mtime_ns for path in lessons] == made


@pytest.mark.filterwarnings("ignore")
def test_a_folder_begun_with_other_settings_is_refused_and_unchanged(run):
    config, folder = run
    before = (folder / "unet" / WEIGHTS).read_bytes()
    for other, says in (
        ({"seed": 1}, "seed 0, not 1"),
        ({"base": folder}, "base None, not "),
        ({"fold": Budget(3, 2, 1e-3)}, "fold "),
    ):
        with pytest.raises(UsageError, match=says):
            training.run(dataclasses.replace(config, **other))
    assert (folder / "unet" / WEIGHTS).read_bytes() == before


def test_a_base_without_a_model_is_refused_before_anything_is_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["train", "--folder", str(tmp_path / "run"), "--base", str(tmp_path)])
    with pytest.raises(SystemExit) as refused:
        training.main()
    assert refused.value.code == 2
    assert "no exported model" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore")
def test_training_continues_from_an_exported_base(run, tmp_path):
    """The encoder stays frozen; UNet, text encoder and adapter are trained further; no earlier stage runs."""
    config, base = run
    shutil.copytree(config.folder / "distill" / "paths", tmp_path / "distill" / "paths")
    (tmp_path / "late").mkdir()
    for lessons in ("painted.safetensors", "hard.safetensors"):
        shutil.copy(config.folder / "late" / lessons, tmp_path / "late")
    nothing = dataclasses.replace(config.distill, steps=0)
    onward = dataclasses.replace(
        config, folder=tmp_path, base=base, distill=nothing, fold=nothing, late=nothing, coupled=nothing
    )
    folder = training.run(onward)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "unet-large",
        "distill",
        "fold",
        "late",
        "coupled",
        "decoder",
        "flatland",
    }
    old, new = (load_file(place / "vae" / WEIGHTS) for place in (base, folder))
    assert all(torch.equal(old[name], new[name]) for name in old if name.startswith("encoder."))
    old, new = (load_file(place / "unet" / WEIGHTS) for place in (base, folder))
    assert not all(torch.equal(old[name], new[name]) for name in old)
    old, new = (
        load_file(place / "lcm_lora" / "pytorch_lora_weights.safetensors") for place in (base, folder)
    )
    assert any(factor.any() for name, factor in old.items() if name.endswith("lora_B.weight"))
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_the_program_loads_an_adapter_as_it_was_trained(tmp_path):
    adapted = adapt(tiny_unet(), rank=3, seed=1)
    for name, factor in adapted.named_parameters():
        if name.endswith(".up"):
            torch.nn.init.normal_(factor, std=0.1)
    assert all(parameter.requires_grad == ("original" not in n) for n, parameter in trainable(adapted))
    save_adapter(adapted, tmp_path)
    inputs = torch.randn(1, 4, 8, 8), torch.tensor(500), torch.randn(1, 7, 16)
    with torch.no_grad():
        expected, plain = (unet(*inputs).sample for unet in (adapted, tiny_unet()))
        fused = tiny_unet()
        path = tmp_path / "pytorch_lora_weights.safetensors"
        fuse_loras([(read_lora(path, {"unet": fused}, FAMILY), 1.0)])
        assert (expected - plain).abs().mean() > 0.1 * expected.abs().mean()
        assert torch.allclose(fused(*inputs).sample, expected, atol=2e-3)
        learning_on = adapt(tiny_unet(), rank=3, seed=2)
        load_adapter(learning_on, tmp_path)
        assert torch.allclose(learning_on(*inputs).sample, expected, atol=2e-3)


def trainable(network: torch.nn.Module):
    """The parameters of the adapted layers."""
    return [pair for pair in network.named_parameters() if "parametrizations" in pair[0]]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_unet_has_gradients_at_every_level_and_for_the_prompt(tmp_path, monkeypatch):
    """Compiled as training does it, by torch's own compiler: others do not lose the gradients."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))

    def gradients(compiled: bool) -> dict[str, torch.Tensor]:
        torch._dynamo.reset()
        unet = tiny_unet()
        if compiled:
            compile_unet(unet)
        rng = torch.Generator().manual_seed(2)
        states = torch.randn(2, 7, 16, generator=rng).requires_grad_(True)
        latents = torch.randn(2, 4, 8, 8, generator=rng)
        with torch.autocast("cpu", torch.bfloat16):
            noise = unet(latents, torch.tensor([5, 600]), encoder_hidden_states=states).sample
        noise.float().square().mean().backward()
        return {"states": states.grad} | {name: p.grad for name, p in unet.named_parameters()}

    eager, compiled = gradients(compiled=False), gradients(compiled=True)
    for name, gradient in eager.items():
        if gradient.norm() > 1e-5:
            assert (compiled[name] - gradient).norm() < 0.1 * gradient.norm(), name


def test_training_resumes_from_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    budget = Budget(6, 8, 0.1)

    def one_run(folder, stop=None):
        torch.manual_seed(0)
        module = torch.nn.Linear(4, 1)
        seen = []

        def loss(module, step):
            if step == stop:
                raise KeyboardInterrupt
            seen.append(step)
            rows = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
            return (module(rows) - rows.sum(1, keepdim=True)).square().mean()

        average = loop.MovingAverage(module, 0.9)
        return loop.train(module, loss, budget=budget, folder=folder, average=average).weight, seen

    with pytest.raises(KeyboardInterrupt):
        one_run(tmp_path / "halves", stop=3)
    resumed, seen = one_run(tmp_path / "halves")
    assert seen == [3, 4, 5]
    whole, _ = one_run(tmp_path / "whole")
    assert torch.equal(resumed, whole)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stages", [("distill", "fold"), ("fold", "late"), ("late", "coupled")])
def test_the_last_stages_change_the_adapter_alone(run, stages):
    before, after = (loop.read_state(run[0].folder / stage / loop.STATE, "average") for stage in stages)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("parametrizations.weight.0" in name for name in changed)
