"""What of a picture is visible at each timestep, the noise schedule, and the loss weights."""

import pytest
import torch
from diffusers import DDIMScheduler

from smd_cli.workshop.train.unet import alphas_cumprod, cleaned, loss_weight, noised, noised_with_target
from smd_cli.workshop.train.visibility import (
    BOOTSTRAPPED_TIMESTEPS,
    draw_regions,
    draw_timesteps,
    visibility,
    visible_latents,
)
from tests.workshop.parts import picture_batch


def test_hidden_parts_are_pure_noise_and_are_trained_all_the_same():
    """The target noise leads from visible latents to the whole picture; means do not reveal the rest."""
    alphas, rng = alphas_cumprod(), torch.Generator().manual_seed(0)
    latents, noise = torch.full((2, 4, 32, 32), 5.0), torch.randn(2, 4, 32, 32, generator=rng)
    timesteps = torch.tensor([999, 900])
    visible = torch.ones(2, 1, 32, 32)
    visible[..., :16] = 0
    z, wanted = noised_with_target(latents, visible * latents, noise, timesteps, alphas)
    assert torch.allclose(cleaned(z, wanted, timesteps, alphas), latents, atol=1e-3)
    assert z[..., :16].mean().abs() < 0.05
    assert z[0, ..., 16:].mean() == pytest.approx(5 * alphas[999].sqrt().item(), abs=0.05)


def test_regions_surround_single_objects_and_are_the_whole_picture_otherwise():
    rng = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[0.25, 0.5, 0.5, 0.75], [0, 0, 0, 0], [0.1, 0.1, 0.9, 0.9]]).repeat(40, 1)
    regions = draw_regions(boxes, torch.zeros(120, 4, 32, 32), rng)
    assert regions[1::3].min() == regions[2::3].min() == 1
    shares = regions[::3].mean(dim=(1, 2, 3))
    around = shares < 1
    assert 20 < around.sum() < 38
    assert 0.03 < shares[around].min() < 0.1 < shares[around].max() < 0.2
    assert (regions[::3][around][:, 0, 18:22, 10:14] == 1).all()


def test_bootstrapped_versions_are_shown_at_their_timesteps_alone():
    timesteps = torch.arange(1000)
    shown = visible_latents(
        picture_batch(1000, torch.zeros(1, 4), 2), timesteps, torch.Generator().manual_seed(0)
    )
    left = shown[:, 0, 0, 0] == 7
    after = (timesteps >= BOOTSTRAPPED_TIMESTEPS[0]) & (timesteps < BOOTSTRAPPED_TIMESTEPS[1])
    assert not left[~after].any()
    assert left[after].float().mean() == pytest.approx(0.6, abs=0.06)
    assert (shown[:880][~left[:880]] == 5).all()
    assert (shown[960:] == 0).all()
    assert (shown[880:960, 0, 0, 0] == 0).float().mean() == pytest.approx(0.3, abs=0.15)


def test_at_the_highest_timesteps_only_the_surroundings_of_a_region_are_visible():
    regions = torch.zeros(4, 1, 8, 8)
    regions[..., :4] = 1
    regions[3] = 1
    timesteps = torch.tensor([999, 920, 500, 999])
    visible = visibility(regions, timesteps, torch.Generator().manual_seed(0))
    assert visible[0, ..., :4].max() == 0
    assert visible[0, ..., 4:].min() == 1
    assert visible[1, ..., :4].min() == 1
    assert 0.4 <= visible[1, ..., 4:].max() < 1
    assert visible[2].min() == 1
    assert visible[3].max() == 0


def test_the_loss_weight_rises_again_at_the_highest_noise_levels():
    snr = torch.tensor([500.0, 50.0, 5.0, 1.0, 0.01, 0.005])
    weight = loss_weight(snr, most=5.0)
    assert weight[:2] == pytest.approx(5 / snr[:2], rel=0.02)
    assert weight[3].item() == pytest.approx(2**0.5)
    assert weight[5] / weight[4] == pytest.approx(2**0.5, rel=0.01)
    of_picture = weight * snr  # an error in the noise is one of 1/snr in the picture
    assert (of_picture.diff() < 0).sum() == 3


def test_high_timesteps_are_likelier_and_never_drawn_for_incomplete_captions():
    told = torch.arange(8000) % 2 == 0
    timesteps = draw_timesteps(told, 1000, torch.Generator().manual_seed(0))
    assert 0 <= timesteps.min() < 100
    assert (timesteps[told] == 999).float().mean() == pytest.approx(0.11, abs=0.02)
    assert timesteps[told].float().median() > 650
    assert timesteps[~told].max() < 700


def test_clean_inverts_noising():
    alphas = alphas_cumprod()
    timesteps = torch.tensor([10, 500, 999])
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    z = noised(clean, noise, timesteps, alphas)
    assert torch.allclose(cleaned(z, noise, timesteps, alphas), clean, atol=1e-4)
    assert torch.equal(noised(clean, noise, torch.full((3,), -1), alphas), clean)


def test_the_schedule_has_four_times_the_signal_to_noise_ratio_of_stable_diffusion():
    theirs = DDIMScheduler(1000, 0.00085, 0.012, "scaled_linear").alphas_cumprod
    ours = alphas_cumprod()
    assert torch.allclose(ours / (1 - ours), 4 * theirs / (1 - theirs), rtol=1e-3)
