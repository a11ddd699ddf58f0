"""The core against recorded runs of SDXL and SD3, whose masks overlap: every family takes the same step."""

import pytest
import torch

from smd_cli.core.guidance import Guidance
from smd_cli.core.step import Method
from tests.core import recorded
from tests.core.families import FamilyPredict, first_latent, noise_levels, schedule, tiny_family
from tests.golden import FAMILIES, Case, cases

# What these runs do and the core does not.
LEFT_OUT = {
    "sdxl_regional_tiled_guided": "is guided, as tests/engine/test_golden_families.py takes it",
    "sd3_regional_guided_mended": "rescales guided predictions, encodes pictures without their shift",
    "sd3_regional_single_view": "encodes pictures without their shift",
    "sd3_regional_tiled": "encodes pictures without their shift, noises backgrounds twice",
    "sd3_inpaint_single_view": "encodes pictures without their shift, noises backgrounds twice",
}
ONE_SHOT = [each for each in cases("generate", "inpaint", folder=FAMILIES) if each.id not in LEFT_OUT]


@pytest.mark.parametrize("case", ONE_SHOT)
def test_pictures_of_other_families_are_those_of_the_published_code(case: Case) -> None:
    pipeline, predict = tiny_family(case.settings["family"]), FamilyPredict(case)
    arranged = recorded.regions(case, noise_levels(case), pipeline)
    method = Method(schedule(case), Guidance(), recorded.bootstrap(case, pipeline))
    recorded.check_picture(case, first_latent(case), arranged, method, predict)
    work = arranged.work(method.guidance)
    assert predict.rows == work.model_evaluations
    assert predict.rows <= case.settings["pruned_model_evals"]
    assert work.without_savings == 2 * case.settings["reference_unet_evals"]  # without their negatives


@pytest.mark.parametrize("case", cases("generate", "inpaint", folder=FAMILIES))
def test_levels_are_those_of_the_published_code(case: Case) -> None:
    made, settings = schedule(case), case.settings
    torch.testing.assert_close(
        made.timesteps.float(), torch.tensor(settings["timesteps"]), rtol=1e-6, atol=1e-3
    )
    torch.testing.assert_close(made.start.sigma, torch.tensor(settings["sigmas"]), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(made.noise_levels, noise_levels(case), rtol=1e-6, atol=1e-6)
    assert made.initial_scale == pytest.approx(settings.get("init_noise_sigma", 1.0))


@pytest.mark.parametrize("case", cases("stream", folder=FAMILIES))
def test_overlapping_masks_are_quantized_as_recorded(case: Case) -> None:
    quantized = recorded.quantized_masks(case, noise_levels(case))
    torch.testing.assert_close(quantized, case.tensors["masks.quantized"], rtol=0, atol=1e-5)


@pytest.mark.skipif(not ONE_SHOT, reason=f"no golden files in {FAMILIES}")
def test_every_case_left_out_is_still_recorded_and_masks_overlap_in_the_others() -> None:
    assert set(LEFT_OUT) <= {parameter.id for parameter in cases("generate", "inpaint", folder=FAMILIES)}
    overlapping = [bool((parameter.values[0].masks.sum(0) > 1).any()) for parameter in ONE_SHOT]
    assert sum(overlapping) >= 5
