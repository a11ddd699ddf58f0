"""Every sampler on small SD1.5 and SD2 models makes what diffusers' pipeline makes of the same noise."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionPipeline,
    TCDScheduler,
)
from torch import Tensor

from smd_cli.core.noise import SeededNoise
from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import denoise
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.checkpoints.sd15 import SD2, SD15, Version
from tests.golden import relative_error

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # schedulers with NumPy 2

SHAPE, SEED, STEPS = (1, 4, 8, 8), 11, 3
PROMPT, NEGATIVE = "a red house, snow", "a blue circle"
V, NOISE_ALONE = {"prediction_type": "v_prediction"}, {"rescale_betas_zero_snr": True}
TRAININGS: dict[str, dict[str, Any]] = {"epsilon": {}, "v": V, "v from noise alone": {**V, **NOISE_ALONE}}
SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "kind: lcm, steps: 3": (LCMScheduler, {}),
    "kind: tcd, steps: 3": (TCDScheduler, {}),
    "kind: tcd, steps: 3, gamma: 1": (TCDScheduler, {}),
    "kind: ddim, steps: 3": (DDIMScheduler, {"timestep_spacing": "leading"}),
    "kind: ddim, steps: 3, spacing: trailing": (DDIMScheduler, {"timestep_spacing": "trailing"}),
    "kind: euler, steps: 3": (EulerDiscreteScheduler, {"timestep_spacing": "trailing"}),
    "kind: euler, steps: 3, spacing: leading": (EulerDiscreteScheduler, {"timestep_spacing": "leading"}),
    "kind: euler, steps: 3, spacing: linspace": (EulerDiscreteScheduler, {"timestep_spacing": "linspace"}),
    "kind: dpmpp, steps: 3": (DPMSolverMultistepScheduler, {"timestep_spacing": "linspace"}),
    "kind: dpmpp, steps: 3, spacing: leading": (DPMSolverMultistepScheduler, {"timestep_spacing": "leading"}),
    "kind: dpmpp, steps: 3, spacing: trailing": (
        DPMSolverMultistepScheduler,
        {"timestep_spacing": "trailing"},
    ),
    "kind: dpmpp, steps: 3, spacing: karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
}
"""diffusers' schedulers of what a scene can ask for, with all that its pipelines set in them."""


class Models:
    """Small models, made once: a folder for each version, the same folder with what it was trained for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders = {version: version.make_folder(root / str(version.width)) for version in (SD15, SD2)}
        self._loaded: dict[Any, Backbone] = {}
        self._pipelines: dict[Path, StableDiffusionPipeline] = {}

    def trained(self, version: Version, name: str) -> Path:
        """A folder whose scheduler's config says how the model was trained."""
        folder = self.root / f"{version.width} {name}"
        if not folder.exists():
            shutil.copytree(self.folders[version], folder)
            version.write_scheduler(folder, **TRAININGS[name])
        return folder

    def pipeline(self, folder: Path) -> StableDiffusionPipeline:
        """diffusers' pipeline with the model's own scheduler."""
        if folder not in self._pipelines:
            self._pipelines[folder] = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
        made = self._pipelines[folder]
        return StableDiffusionPipeline(**made.components, requires_safety_checker=False)

    def loaded(self, base: Path, **more: Any) -> Backbone:
        key = (base, tuple(more.items()))
        if key not in self._loaded:
            assets = locate(ModelSpec(str(base), **more), offline=True)
            self._loaded[key] = load(assets, torch.device("cpu"), torch.float32)
        return self._loaded[key]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


def ours(backbone: Backbone, sampler: str) -> Tensor:
    text = f"smd: 1\ncanvas: {{width: 64, height: 64}}\nsampler: {{{sampler}}}\n"
    text += f"background: {{prompt: '{PROMPT}', negative_prompt: '{NEGATIVE}'}}\n"
    plan = resolve(load_text(text, "scene").scene, "scene", Path())
    with torch.inference_mode():
        return denoise(prepare(plan, CanvasImages(()), backbone), SeededNoise(SEED), Clock())


def theirs(pipeline: StableDiffusionPipeline, scheduler: Any, steps: int, **settings: Any) -> Tensor:
    pipeline.scheduler = scheduler
    pipeline.set_progress_bar_config(disable=True)
    given = {"num_inference_steps": steps, "guidance_scale": 1.0, "output_type": "latent", **settings}
    init = SeededNoise(SEED)("init", 0, SHAPE)
    found: Tensor = pipeline(
        PROMPT, negative_prompt=NEGATIVE, width=64, height=64, latents=init, **given
    ).images
    return found


def scheduler_of(sampler: str, pipeline: StableDiffusionPipeline) -> Any:
    """The scheduler made as users make it, from the model's own."""
    kind, settings = SCHEDULERS[sampler]
    return kind.from_config(pipeline.scheduler.config, **settings)


@pytest.fixture(autouse=True)
def fresh_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give diffusers' stochastic schedulers the noise that this program draws."""
    draws = iter(SeededNoise(SEED)("renoise", step, SHAPE) for step in range(1, 100))
    for name in ("lcm", "tcd"):
        monkeypatch.setattr(
            f"diffusers.schedulers.scheduling_{name}.randn_tensor", lambda *_, **__: next(draws)
        )


@pytest.mark.parametrize(
    ("trained", "guidance"), [("epsilon", 1.0), ("epsilon", 2.5), ("v", 2.5), ("v from noise alone", 1.0)]
)
@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_samplers_make_what_diffusers_pipeline_makes(
    models: Models, sampler: str, trained: str, guidance: float
) -> None:
    folder = models.trained(SD15, trained)
    found = ours(models.loaded(folder), f"{sampler}, guidance_scale: {guidance}")
    pipeline = models.pipeline(folder)
    eta = {"eta": 1.0 if "gamma: 1" in sampler else 0.3} if "tcd" in sampler else {}
    expected = theirs(pipeline, scheduler_of(sampler, pipeline), STEPS, guidance_scale=guidance, **eta)
    # from 4096 times the noise, diffusers rounds so much; tests/core/test_schedule.py compares in float64
    rounding = 1e-3 if "euler" in sampler and trained == "v from noise alone" else 1e-4
    assert relative_error(found, expected) < rounding


@pytest.mark.parametrize("layout", ["folder", "file", "folder with a LoRA", "file with a LoRA"])
@pytest.mark.parametrize("version", [SD15, SD2], ids=["sd15", "sd2"])
def test_all_layouts_are_the_model_that_diffusers_loads(
    models: Models, tmp_path: Path, version: Version, layout: str
) -> None:
    folder = models.folders[version]
    more: dict[str, Any] = {}
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    if "LoRA" in layout:
        lora = version.make_lora(tmp_path)
        more["loras"] = ((str(lora), 0.8),)
        for component, name, down, up in version.lora_changes():
            weight = getattr(pipeline, component).get_submodule(name).weight
            weight.data += 0.8 * 0.5 * up @ down
    if "file" in layout:
        base, more["config"] = version.make_file(tmp_path), str(folder)
    else:
        base = folder
    backbone = models.loaded(base, **more)
    assert backbone.facts.family == ("sd15" if version is SD15 else "sd2")
    sampler = "kind: ddim, steps: 3"
    expected = theirs(pipeline, scheduler_of(sampler, pipeline), STEPS, guidance_scale=2.5)
    assert relative_error(ours(backbone, f"{sampler}, guidance_scale: 2.5"), expected) < 1e-4


@pytest.mark.parametrize(
    "sampler", ["kind: euler, steps: 1", "kind: lcm, steps: 1", "kind: lcm, indices: [0]"]
)
def test_one_step_is_that_of_the_turbo_pipeline(models: Models, sampler: str) -> None:
    """From timestep 999, whichever of both samplers."""
    folder = models.folders[SD2]
    pipeline = models.pipeline(folder)
    kind = EulerDiscreteScheduler if "euler" in sampler else LCMScheduler
    scheduler = kind.from_config(pipeline.scheduler.config, timestep_spacing="trailing")
    expected = theirs(pipeline, scheduler, 1)
    assert scheduler.timesteps.tolist() == [999]
    assert relative_error(ours(models.loaded(folder), sampler), expected) < 1e-4
