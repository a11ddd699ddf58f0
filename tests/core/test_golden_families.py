"""The core against recorded runs of SDXL and SD3, whose masks overlap: every family takes the same step."""

import pytest
import torch

from smd_cli.core.guidance import Guidance
from smd_cli.core.step import Method
from tests.core import recorded
from tests.core.families import FamilyPredict, first_latent, noise_levels, schedule, tiny_family
from tests.golden import FAMILIES, Case, cases
from tests.published_slips import UNSHIFTED, slipping

ONE_SHOT = cases("generate", "inpaint", folder=FAMILIES)


def guidance(case: Case) -> Guidance:
    settings = case.settings
    if settings["guidance_scale"] <= 1:
        return Guidance()
    return Guidance("full", settings["guidance_scale"], rescale=settings["guidance_rescale"])


@pytest.mark.parametrize("case", ONE_SHOT)
def test_pictures_of_other_families_are_those_of_the_published_code(case: Case) -> None:
    """With its slips, where a run was recorded with them."""
    pipeline = tiny_family(case.settings["family"], is_shifted=case.name not in UNSHIFTED)
    predict = FamilyPredict(case)
    arranged = recorded.regions(case, noise_levels(case), pipeline)
    method = Method(slipping(case, schedule(case)), guidance(case), recorded.bootstrap(case, pipeline))
    recorded.check_picture(case, first_latent(case), arranged, method, predict)
    work = arranged.work(method.guidance)
    assert predict.rows == work.model_evaluations
    assert predict.rows <= case.settings["pruned_model_evals"]
    without_negatives = 2 if method.guidance.is_off else 1  # unguided runs have not evaluated them
    assert work.without_savings == without_negatives * case.settings["reference_unet_evals"]


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
def test_masks_overlap() -> None:
    overlapping = [bool((parameter.values[0].masks.sum(0) > 1).any()) for parameter in ONE_SHOT]
    assert sum(overlapping) >= 5
