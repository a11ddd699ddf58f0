"""From a scene file to latents: the whole way, against recorded runs of the published implementations."""

import pytest

from smd_cli.engine.events import Clock
from smd_cli.engine.render import denoise
from tests.engine.recorded_scenes import backbone, prepared, recorded
from tests.golden import FOLDER, Case, cases, relative_error

TOLERANCE = 1e-3


@pytest.mark.parametrize("case", cases("generate", "inpaint"))
def test_a_scene_file_reproduces_the_recorded_latents(case: Case, tmp_path):
    sampler = {"guidance_scale": case.settings["guidance_scale"], "tile": case.settings["tile_size"]}
    stage = prepared(case, tmp_path, backbone(FOLDER / "tiny-sd15"), sampler)
    latents = denoise(stage, recorded(case), Clock())
    assert relative_error(latents, case.tensors["latent.final"]) < TOLERANCE
