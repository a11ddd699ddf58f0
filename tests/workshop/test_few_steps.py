"""The distillation: guided paths and their starts, the consistency function, guidance distillation."""

import dataclasses

import pytest
import torch
from diffusers import DDIMScheduler
from safetensors.torch import save_file

from smd_cli.workshop.train.config import Budget, Config
from smd_cli.workshop.train.consistency import boundary, consistency, student_step
from smd_cli.workshop.train.fold import guided_consistency
from smd_cli.workshop.train.paths import Walker, ddim_path, read_paths
from smd_cli.workshop.train.starts import STARTS, STUDENT_TIMESTEPS, PathStart, path_start, student_steps
from smd_cli.workshop.train.unet import ConditionedUNet, alpha_sigma, alphas_cumprod, cleaned, training_betas
from smd_cli.workshop.train.visibility import BOOTSTRAPPED_TIMESTEPS
from tests.workshop.parts import picture_batch, sees_three, tiny_text, tiny_unet


def test_the_consistency_function_is_the_identity_at_the_first_timestep():
    c_skip, c_out = boundary(torch.tensor([0, 999]))
    assert c_skip[0].item() == 1
    assert c_out[0].item() == 0
    assert c_out[1].item() == pytest.approx(1, abs=1e-6)


def test_a_student_step_adds_fresh_noise_to_its_estimate():
    alphas = alphas_cumprod()
    timesteps = torch.tensor([999] * 20 + [400] * 20)
    z = torch.randn(40, 4, 16, 16, generator=torch.Generator().manual_seed(2))
    states = torch.zeros(40, 7, 16)
    on, earlier = student_step(sees_three, z, timesteps, states, torch.Generator().manual_seed(3))
    assert (earlier < timesteps).all()
    assert earlier[:20].float().std() > 200
    alpha, sigma = alpha_sigma(earlier, alphas)
    noise = (on - 3 * alpha) / sigma
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert abs((noise * z).mean()) < 0.02


def test_distilled_guidance_is_that_of_samplers():
    """The network predicts its prompt's number as noise; c_skip is negligible at these timesteps."""
    z = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(6))
    said, unsaid = torch.full((3, 7, 16), 2.0), torch.full((3, 7, 16), 0.5)

    def says(z, timesteps, encoder_hidden_states, **_):
        return (encoder_hidden_states.mean((1, 2))[:, None, None, None].expand_as(z),)

    timesteps = torch.tensor([999, 500, 100])
    seen = guided_consistency(says, z, timesteps, (said, unsaid), 1.8)
    noise = torch.full_like(z, 0.5 + 1.8 * 1.5)
    torch.testing.assert_close(seen, cleaned(z, noise, timesteps, alphas_cumprod()), atol=1e-2, rtol=1e-3)
    assert torch.equal(
        guided_consistency(says, z, timesteps, (said, unsaid), 1.0), consistency(says, z, timesteps, said)
    )


def test_a_path_equals_guided_ddim_steps_of_diffusers():
    unet = tiny_unet()
    rng = torch.Generator().manual_seed(3)
    z = torch.randn(2, 4, 8, 8, generator=rng)
    named, unnamed = torch.randn(2, 2, 7, 16, generator=rng)
    betas = training_betas().tolist()
    scheduler = DDIMScheduler(trained_betas=betas, clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(4)
    expected, seen = z, []
    with torch.no_grad():
        for t in scheduler.timesteps:
            seen.append(expected)
            said, unsaid = (unet(expected, t, encoder_hidden_states=s).sample for s in (named, unnamed))
            noise = unsaid + 3 * (said - unsaid) if t >= 600 else said
            expected = scheduler.step(noise, t, expected).prev_sample
    points, end = ddim_path(unet, z, scheduler.timesteps.tolist(), (named, unnamed), 3.0)
    assert torch.allclose(points, torch.stack(seen), atol=1e-4)
    assert torch.allclose(end, expected, atol=1e-4)
    assert (end - z).abs().mean() > 0.1


def test_paths_start_where_they_should_and_use_the_timesteps_of_samplers():
    batch = picture_batch(3, torch.tensor([[0.0, 0.25, 0.5, 0.75]]))
    rng = torch.Generator().manual_seed(0)
    of_noise, of_region, of_drawn, of_bootstrapped = (
        [path_start(batch, picture, rng) for _ in range(40)]
        for picture in ("noise", "region", "drawn", "bootstrapped")
    )
    asked = {19 + 20 * number for number in range(50)}
    for whole in (of_noise, of_region):
        assert set().union(*(start.timesteps for start in whole)) == asked
        steps = [start.timesteps for start in whole]
        assert all(each[0] == 999 and each == sorted(each, reverse=True) for each in steps)
    assert abs(torch.stack([start.z for start in of_noise]).mean()) < 0.02
    in_regions = torch.stack([start.z for start in of_region])
    corner = 5 * alphas_cumprod()[999].sqrt().item()
    assert 0.55 * corner < in_regions[..., 6:].mean() < 0.9 * corner
    assert abs(in_regions[..., 3:5, 1:3].mean()) < 0.05
    assert all((start.regions == 1).all() for start in of_noise)
    assert any((start.regions == 0).any() for start in of_region)
    assert min(start.timesteps[0] for start in of_drawn) < 500
    assert {
        BOOTSTRAPPED_TIMESTEPS[0] <= start.timesteps[0] < BOOTSTRAPPED_TIMESTEPS[1]
        for start in of_bootstrapped
    } == {True}
    assert len({start.timesteps[0] for start in of_bootstrapped}) > 10
    for starts, shown in ((of_drawn, 5), (of_bootstrapped, 7)):
        for z, steps, *_ in starts:
            assert set(steps) < asked
            assert z.mean() == pytest.approx(shown * alphas_cumprod()[steps[0]].sqrt().item(), abs=0.2)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_student_steps_change_the_region_and_keep_its_surroundings(count):
    rng = torch.Generator().manual_seed(4)
    z, states = torch.randn(16, 4, 16, 16, generator=rng), torch.zeros(16, 7, 16)
    regions = torch.zeros(16, 1, 16, 16)
    regions[..., :8] = 1
    begun = PathStart(z, list(range(999, 0, -60)), regions, torch.full_like(z, -2.0))
    asked = []

    def student(z, timesteps, **kept):
        asked.append(timesteps[0].item())
        return sees_three(z, timesteps, **kept)

    on, left, *_ = student_steps(student, begun, states, count, rng)
    assert len(asked) == count
    assert asked[:1] == [999][:count]
    assert left == [t for t in begun.timesteps if t <= left[0]]
    if count == 0:
        assert torch.equal(on, z)
        return
    assert STUDENT_TIMESTEPS[0] <= left[0] < STUDENT_TIMESTEPS[1]
    assert all(STUDENT_TIMESTEPS[0] <= t < STUDENT_TIMESTEPS[1] for t in asked[1:])
    alpha, sigma = alpha_sigma(torch.tensor(left[:1]), alphas_cumprod())
    noise = (on - alpha * torch.where(regions > 0, 3.0, -2.0)) / sigma
    assert abs(noise.mean()) < 0.03
    assert noise.std() == pytest.approx(1, abs=0.03)


def test_paths_continue_from_student_steps_and_finished_ones_are_kept(tmp_path):
    """Batches of a finished round are kept; those of the next round use the student as it is by then."""
    teacher = ConditionedUNet(tiny_unet(), tiny_text()).requires_grad_(False)
    data = {
        "latents": torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(1)),
        "ids": torch.randint(1, 60, (8, 77), generator=torch.Generator().manual_seed(2)),
        "caption_complete": torch.ones(8, dtype=torch.bool),
        "boxes": torch.zeros(8, 4),
    }
    data["bootstrapped"] = data["latents"]
    config = dataclasses.replace(Config(), distill=Budget(2, 1, 1e-3))

    def ends(student, folder, *counts):
        walker = Walker(teacher, student, data, torch.zeros(77, dtype=torch.long), config)
        return [walker.walk(folder, count).ends for count in counts][-1]

    def sees_white(z, timesteps, **_):
        alpha, sigma = alpha_sigma(timesteps, alphas_cumprod())
        return ((z - 9 * alpha) / sigma,)

    every = 2 * len(STARTS)
    one = ends(sees_three, tmp_path / "one", every)
    other = ends(sees_white, tmp_path / "other", every)
    differs = (one != other).flatten(1).any(1).view(len(STARTS), 2).all(1).tolist()
    assert differs == [start.steps > 0 for start in STARTS]
    mixed = tmp_path / "mixed"
    ends(sees_three, mixed, every // 2)
    assert torch.equal(ends(sees_white, mixed, every), torch.cat([one[: every // 2], other[every // 2 :]]))


def test_every_point_comes_with_the_prompt_and_the_end_of_its_path(tmp_path):
    """Two files with two paths each; the value of a point encodes its path and its timestep."""
    files = [tmp_path / "0.safetensors", tmp_path / "1.safetensors"]
    for number, (file, timesteps) in enumerate(zip(files, ([999, 500], [800, 400, 100]), strict=True)):
        path = torch.arange(2) + 2 * number
        points = path + torch.tensor(timesteps)[:, None] / 1024
        save_file(
            {
                "z": points[..., None, None, None].half(),
                "timesteps": torch.tensor(timesteps),
                "end": path[:, None, None, None].half(),
                "ids": path[:, None].expand(2, 77).contiguous(),
            },
            file,
        )
    z, timesteps, ids, ends = read_paths(files).batch(400, torch.Generator().manual_seed(1))
    assert torch.equal(ids[:, 0].float(), ends.flatten())
    assert torch.allclose(z.flatten(), ends.flatten() + timesteps / 1024, atol=2e-3)
    assert set(ids[:, 0].tolist()) == {0, 1, 2, 3}
    assert (timesteps == 999).sum() > 2 * (timesteps == 100).sum() > 0
