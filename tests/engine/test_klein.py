"""FLUX.2 klein: what diffusers' own pipeline makes of the same noise; views depend on nobody else."""

from pathlib import Path

import pytest
import torch
from diffusers import Flux2KleinPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file

from smd_cli.core.guidance import ModelInput
from smd_cli.core.noise import SeededNoise
from smd_cli.core.tiling import Box
from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import denoise
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.klein import Klein
from smd_cli.models.loading import load
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.checkpoints import klein

HEIGHT, WIDTH, STEPS = 64, 96, 3
SHAPE = (1, klein.CHANNELS, HEIGHT // 16, WIDTH // 16)
PROMPT = "a red house, snow"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[bool, Path]:
    """Checkpoints by whether they are distilled."""
    root = tmp_path_factory.mktemp("klein")
    folders = {each: klein.make_folder(root / str(each), is_distilled=each) for each in (True, False)}
    klein.make_lora(root / "lora")
    return folders


def backbone(spec: ModelSpec, **settings: bool) -> Klein:
    return load(locate(spec, offline=True, **settings), torch.device("cpu"), torch.float32)


def ours(model: Klein, sampler: str, seed: int) -> torch.Tensor:
    """This program's latents, as the autoencoder reads them."""
    text = f"smd: 1\ncanvas: {{width: {WIDTH}, height: {HEIGHT}}}\n"
    text += f"sampler: {{{sampler}, steps: {STEPS}, tile: 96}}\nbackground: {{prompt: '{PROMPT}'}}\n"
    plan = resolve(load_text(text, "scene").scene, "scene", Path())
    with torch.inference_mode():
        stage = prepare(plan, CanvasImages(()), model, batch=4)
        return model.autoencoder.to_z(denoise(stage, SeededNoise(seed), Clock()))


def theirs(folder: Path, seed: int, lora: Path | None = None, **settings) -> torch.Tensor:
    """diffusers' latents, unpacked, from the same files."""
    pipeline = Flux2KleinPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    if "stochastic_sampling" in settings:
        config = {**klein.SCHEDULER, "stochastic_sampling": settings.pop("stochastic_sampling")}
        pipeline.scheduler = FlowMatchEulerDiscreteScheduler(**config)
    if lora is not None:
        factors = load_file(lora)
        layers = {name.rpartition(".lora_")[0] for name in factors}
        for layer in layers:
            weight = pipeline.transformer.get_submodule(layer.removeprefix("transformer.")).weight
            weight.data += factors[f"{layer}.lora_B.weight"] @ factors[f"{layer}.lora_A.weight"]
    return pipeline(
        prompt=PROMPT, width=WIDTH, height=HEIGHT, num_inference_steps=STEPS, output_type="latent",
        latents=SeededNoise(seed)("init", 0, SHAPE), **{"guidance_scale": 1.0, **settings},
    ).images  # fmt: skip


def assert_equal(latents: torch.Tensor, expected: torch.Tensor) -> None:
    assert (latents - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_euler_is_diffusers_pipeline(folders):
    expected = theirs(folders[True], 11)
    assert expected.shape == (1, klein.CHANNELS // 4, HEIGHT // 8, WIDTH // 8)
    assert_equal(ours(backbone(ModelSpec(str(folders[True]))), "kind: euler", 11), expected)


def test_guidance_of_a_model_that_is_not_distilled_is_diffusers_pipeline(folders):
    model = backbone(ModelSpec(str(folders[False])))
    expected = theirs(folders[False], 12, guidance_scale=3.0)
    assert_equal(ours(model, "kind: euler, guidance_scale: 3", 12), expected)


def test_lcm_is_the_stochastic_scheduler(folders, monkeypatch):
    noise = [SeededNoise(13)("renoise", step, SHAPE) for step in range(1, STEPS)]
    draws = iter([*noise, torch.zeros(SHAPE)])  # the last one is multiplied by 0
    latents = ours(backbone(ModelSpec(str(folders[True])), few_step=True), "kind: lcm", 13)
    module = "diffusers.schedulers.scheduling_flow_match_euler_discrete.randn_tensor"
    monkeypatch.setattr(module, lambda *args, **kwargs: next(draws).flatten(2).transpose(1, 2))
    expected = theirs(folders[True], 13, stochastic_sampling=True)
    assert next(draws, None) is None
    assert_equal(latents, expected)


def test_a_lora_is_diffusers_pipeline_with_it(folders):
    lora = folders[True].with_name("lora") / "pytorch_lora_weights.safetensors"
    expected, plain = theirs(folders[True], 14, lora), theirs(folders[True], 14)
    model = backbone(ModelSpec(str(folders[True]), loras=((str(lora), 1.0),)))
    assert_equal(ours(model, "kind: euler", 14), expected)
    assert (plain - expected).abs().max() > 0.1


def test_a_view_depends_on_no_other_and_on_no_place_of_its_tile(folders):
    model = backbone(ModelSpec(str(folders[True])))
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn((3, klein.CHANNELS, 4, 4), generator=generator)
    boxes = (Box(0, 0, 4, 4), Box(4, 0, 8, 4), Box(2, 2, 6, 6))
    times = torch.tensor([900.0, 500.0, 20.0])
    asked = ModelInput(latents, times, torch.zeros(3), torch.arange(3), boxes, (8, 8))
    with torch.inference_mode():
        table = model.prepare(model.encode_prompts([PROMPT, "x " * 300, ""]))
        together = model.predict(asked, table)
        for row in range(3):
            alone = model.predict(asked.at([row]), table.rows([row]))
            torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-4)
        elsewhere = ModelInput(latents[:1], times[:1], torch.zeros(1), torch.arange(1), boxes[2:], (8, 8))
        assert torch.equal(
            model.predict(elsewhere, table.rows([0])), model.predict(asked.at([0]), table.rows([0]))
        )
        short = model.encode_prompts([PROMPT])
    assert torch.equal(short.embeds[0], model.encode_prompts([PROMPT]).embeds[0])
    torch.testing.assert_close(short.embeds[0], table.embeds[0], rtol=1e-4, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.1
