"""Every sampler on small SD1.5 and SD2 models makes what diffusers' pipeline makes of the same noise."""

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from diffusers import DDIMScheduler, EulerDiscreteScheduler, LCMScheduler, StableDiffusionPipeline

from tests.checkpoints.sd15 import SD2, SD15, Version
from tests.engine.pipelines import SCHEDULERS, STEPS, Picture, backbone_of, compare

V, NOISE_ALONE = {"prediction_type": "v_prediction"}, {"rescale_betas_zero_snr": True}
TRAININGS: dict[str, dict[str, Any]] = {"epsilon": {}, "v": V, "v from noise alone": {**V, **NOISE_ALONE}}


class Model:
    """A small model in a folder, and the pipeline that diffusers makes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _loaded(self) -> StableDiffusionPipeline:
        return StableDiffusionPipeline.from_pretrained(self.folder, safety_checker=None)

    def pipeline(self, scheduler: Any, **settings: Any) -> StableDiffusionPipeline:
        """A pipeline with a scheduler made from the model's own."""
        parts = {
            **self._loaded.components,
            "scheduler": scheduler.from_config(self._loaded.scheduler.config, **settings),
        }
        return StableDiffusionPipeline(**parts, requires_safety_checker=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Model]:
    """Both versions, and SD1.5 by what it was trained for, which its scheduler's config says."""
    root = tmp_path_factory.mktemp("models")
    made: dict[Any, Model] = {
        version: Model(version.make_folder(root / str(version.width))) for version in (SD15, SD2)
    }
    for name, says in TRAININGS.items():
        folder = shutil.copytree(made[SD15].folder, root / name)
        SD15.write_scheduler(folder, **says)
        made[name] = Model(folder)
    return made


@pytest.mark.parametrize(
    ("trained", "guidance"), [("epsilon", 1.0), ("epsilon", 2.5), ("v", 2.5), ("v from noise alone", 1.0)]
)
@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_samplers_make_what_diffusers_pipeline_makes(
    models: dict[Any, Model], sampler: str, trained: str, guidance: float
) -> None:
    if "linspace" in sampler and trained == "v from noise alone":
        pytest.skip(
            "from 4096 times the noise diffusers rounds by more; test_schedule.py compares in float64"
        )
    model = models[trained]
    eta = {"eta": 1.0 if "gamma: 1" in sampler else 0.3} if "tcd" in sampler else {}
    picture = Picture(model.folder, f"{sampler}, guidance_scale: {guidance}")
    kind, settings = SCHEDULERS[sampler]
    pipeline = model.pipeline(kind, **settings)
    compare(picture, pipeline, num_inference_steps=STEPS, guidance_scale=guidance, **eta)


@pytest.mark.parametrize("layout", ["folder", "file", "folder with a LoRA", "file with a LoRA"])
@pytest.mark.parametrize("version", [SD15, SD2], ids=["sd15", "sd2"])
def test_all_layouts_are_the_model_that_diffusers_loads(
    models: dict[Any, Model], tmp_path: Path, version: Version, layout: str
) -> None:
    folder, choices = models[version].folder, dict[str, Any]()
    pipeline = Model(folder).pipeline(DDIMScheduler)
    if "LoRA" in layout:
        lora = version.make_lora(tmp_path)
        choices["loras"] = ((str(lora), 0.8),)
        pipeline.load_lora_weights(tmp_path, weight_name=lora.name)
        pipeline.fuse_lora(lora_scale=0.8)
    base = folder
    if "file" in layout:
        base, choices["config"] = version.make_file(tmp_path), str(folder)
    picture = Picture(base, "kind: ddim, steps: 3, guidance_scale: 2.5", choices=choices)
    compare(picture, pipeline, num_inference_steps=STEPS, guidance_scale=2.5)
    assert backbone_of(picture).facts.family == ("sd15" if version is SD15 else "sd2")


@pytest.mark.parametrize(
    "sampler", ["kind: euler, steps: 1", "kind: lcm, steps: 1", "kind: lcm, indices: [0]"]
)
def test_one_step_is_that_of_the_turbo_pipeline(models: dict[Any, Model], sampler: str) -> None:
    """From timestep 999, whichever of both samplers."""
    kind = EulerDiscreteScheduler if "euler" in sampler else LCMScheduler
    pipeline = models[SD2].pipeline(kind, timestep_spacing="trailing")
    compare(Picture(models[SD2].folder, sampler), pipeline, num_inference_steps=1, guidance_scale=1.0)
    assert pipeline.scheduler.timesteps.tolist() == [999]
