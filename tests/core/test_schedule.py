"""Schedules against diffusers' schedulers and the recorded constants."""

from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, LCMScheduler
from torch import Tensor

from smd_cli.core.flow import FlowSchedules
from smd_cli.core.samplers import SAMPLERS, SamplerSteps, ddim, euler, lcm
from smd_cli.core.schedule import Schedule, TrainingSchedule
from tests.core.families import shifted
from tests.core.models import training
from tests.golden import needs_golden, relative_error, units

TRAINING = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
INDICES = [0, 4, 12, 25, 37]
PREDICTIONS = ["epsilon", "v_prediction"]


def latents(seed: int) -> Tensor:
    return torch.randn(1, 4, 5, 6, generator=torch.Generator().manual_seed(seed))


@needs_golden
def test_lcm_has_the_constants_of_the_published_code() -> None:
    schedule, recorded = lcm(training(), INDICES), units()
    torch.testing.assert_close(schedule.timesteps.float(), recorded["schedule.timesteps"])
    torch.testing.assert_close(schedule.noise_levels, recorded["schedule.sigma"])
    torch.testing.assert_close(schedule.start.alpha, recorded["schedule.alpha_sqrt"])
    alpha, sigma = recorded["schedule.alpha_sqrt"], recorded["schedule.sigma"]
    c_out, c_skip = recorded["schedule.c_out"], recorded["schedule.c_skip"]
    torch.testing.assert_close(schedule.c_skip, c_skip + c_out / alpha)
    torch.testing.assert_close(schedule.c_out, -c_out * sigma / alpha)


def test_lcm_timesteps_are_those_of_diffusers_on_every_grid() -> None:
    for grid in range(1, 51):
        reference = LCMScheduler(**TRAINING)
        reference.set_timesteps(grid, original_inference_steps=50)
        schedule = lcm(training(), range(grid), grid=grid)
        assert schedule.timesteps.tolist() == reference.timesteps.tolist(), f"grid of {grid}"


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_lcm_denoises_and_renoises_as_diffusers(prediction: str) -> None:
    schedule = lcm(training(prediction), INDICES)
    reference = LCMScheduler(**TRAINING, prediction_type=prediction, clip_sample=False)
    reference.set_timesteps(timesteps=schedule.timesteps.tolist(), original_inference_steps=50)

    x = latents(0)
    for step, timestep in enumerate(reference.timesteps):
        predicted = latents(step + 1)
        generator = torch.Generator().manual_seed(step)
        expected = reference.step(predicted, timestep, x, generator=generator)
        estimate = schedule.estimate(x, predicted, [step])
        assert relative_error(estimate, expected.denoised) < 1e-5
        if step + 1 < len(schedule):
            x = schedule.renoise(estimate, latents(step), [step + 1])
            assert relative_error(x, expected.prev_sample) < 1e-5


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("steps", [1, 7, 20, 50])
def test_ddim_is_that_of_diffusers(steps: int, prediction: str) -> None:
    schedule = ddim(training(prediction), steps)
    reference = DDIMScheduler(
        **TRAINING, prediction_type=prediction, clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    reference.set_timesteps(steps)
    assert schedule.timesteps.tolist() == reference.timesteps.tolist()

    x = latents(0)
    for step, timestep in enumerate(reference.timesteps):
        predicted = latents(step + 1)
        expected = reference.step(predicted, timestep, x).prev_sample
        estimate = schedule.estimate(x, predicted, [step])
        assert relative_error(estimate, expected) < 1e-5
        x = estimate
        if step + 1 < steps:
            x = schedule.renoise(estimate, latents(step), [step + 1])
            torch.testing.assert_close(
                x, estimate, rtol=0, atol=0, msg="a deterministic sampler adds no noise"
            )


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # diffusers' scheduler with NumPy 2
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("steps", [1, 4, 7, 30])
def test_euler_is_that_of_diffusers(steps: int, prediction: str) -> None:
    schedule = euler(training(prediction), range(steps), grid=steps)
    reference = EulerDiscreteScheduler(**TRAINING, prediction_type=prediction, timestep_spacing="trailing")
    reference.set_timesteps(steps)
    assert schedule.timesteps.tolist() == reference.timesteps.tolist()
    assert schedule.initial_scale == pytest.approx(float(reference.init_noise_sigma))

    x = schedule.initial_scale * latents(0)
    for step, timestep in enumerate(reference.timesteps):
        shown = reference.scale_model_input(x, timestep)
        assert relative_error(schedule.scale_input(x, [step]), shown) < 1e-5
        expected = reference.step(latents(step + 1), timestep, x).prev_sample
        x = schedule.estimate(x, latents(step + 1), [step])
        assert relative_error(x, expected) < 1e-5
        if step + 1 < steps:
            following = schedule.renoise(x, latents(9), [step + 1])
            torch.testing.assert_close(following, x, rtol=0, atol=0, msg="no noise is added")


@pytest.mark.parametrize("sampler", ["euler", "lcm"])
@pytest.mark.parametrize("steps", [1, 4, 9])
def test_flow_matching_is_that_of_diffusers(steps: int, sampler: str) -> None:
    schedule = FlowSchedules(shifted).make_schedule(sampler, all_steps(steps))
    reference = FlowMatchEulerDiscreteScheduler(shift=3.0, stochastic_sampling=sampler == "lcm")
    reference.set_timesteps(steps)
    torch.testing.assert_close(schedule.timesteps, reference.timesteps, rtol=1e-6, atol=1e-3)

    x = latents(0)
    for step, timestep in enumerate(reference.timesteps):
        predicted, seed = latents(step + 1), 50 + step
        torch.manual_seed(seed)
        expected = reference.step(predicted, timestep, x).prev_sample
        x = schedule.estimate(x, predicted, [step])
        if step + 1 < steps:
            torch.manual_seed(seed)
            x = schedule.renoise(x, torch.randn(x.shape), [step + 1])
        assert relative_error(x, expected) < 1e-5


def test_flow_matching_takes_its_first_steps_for_granted_from_a_picture() -> None:
    """Of Euler's way whole steps are left out; a consistency model takes as many, nearer to the picture."""
    made = FlowSchedules(shifted).make_schedule("euler", all_steps(8, strength=0.5))
    whole = FlowSchedules(shifted).make_schedule("euler", all_steps(8))
    assert made.timesteps.tolist() == whole.timesteps[4:].tolist()
    nearer = FlowSchedules(shifted).make_schedule("lcm", SamplerSteps(8, (0, 4), (8, 8), 0.5))
    assert nearer.timesteps.tolist() == whole.timesteps[[4, 6]].tolist()


def all_steps(count: int, strength: float = 1.0) -> SamplerSteps:
    return SamplerSteps(count, tuple(range(count)), (8, 8), strength)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("kind", ["lcm", "ddim"])
def test_a_perfect_prediction_leads_to_the_latent_at_the_end_of_the_step(kind: str, prediction: str) -> None:
    schedule = both(prediction)[kind]
    clean, noise = latents(0), latents(1)
    for step in range(len(schedule)):
        alpha, sigma = schedule.start.alpha[step], schedule.start.sigma[step]
        x = schedule.noise_to_start(clean, noise, [step])
        perfect = noise if prediction == "epsilon" else alpha * noise - sigma * clean
        last = step + 1 == len(schedule)  # ends at the first training level, which counts as clean
        tolerance = 0.05 if kind == "ddim" and last else 1e-4
        estimate = schedule.estimate(x, perfect, [step])
        assert relative_error(estimate, schedule.noise_to_end(clean, noise, [step])) < tolerance
        if not last:
            following = schedule.renoise(estimate, noise, [step + 1])
            assert relative_error(following, schedule.noise_to_start(clean, noise, [step + 1])) < 1e-4


def test_rows_at_several_steps_go_their_own_ways() -> None:
    schedule, x = lcm(training(), INDICES), torch.cat([latents(seed) for seed in range(3)])
    steps, other = [3, 1, 4], x.flip(0)
    for act in (schedule.estimate, schedule.noise_to_start, schedule.noise_to_end, schedule.renoise):
        together = act(x, other, steps)
        alone = torch.cat([act(x[[row]], other[[row]], [step]) for row, step in enumerate(steps)])
        torch.testing.assert_close(together, alone, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["lcm", "ddim"])
def test_noise_falls_and_levels_keep_the_variance(kind: str) -> None:
    schedule = both("epsilon")[kind]
    assert all(before > after for before, after in pairwise(schedule.noise_levels.tolist()))
    for level in (schedule.start, schedule.end):
        torch.testing.assert_close(level.alpha.square() + level.sigma.square(), torch.ones(len(schedule)))


@pytest.mark.parametrize("count", [20, 7, 1])
def test_steps_of_deterministic_samplers_end_at_the_time_at_which_the_next_ones_start(count: int) -> None:
    schedule = ddim(training(), 20).last(count)
    assert len(schedule) == count
    assert schedule.end_timesteps.tolist() == [*schedule.timesteps[1:].tolist(), 0]
    assert schedule.timesteps[-1] == 1, "the last steps are not those nearest to the picture"


def test_steps_of_consistency_models_end_at_time_0() -> None:
    for schedule in (lcm(training(), INDICES), lcm(training(), INDICES).last(2)):
        assert schedule.end_timesteps.tolist() == [0] * len(schedule)


@pytest.mark.parametrize("indices", [[0, 0], [4, 2], [-1, 3], [0, 50]])
def test_indices_out_of_order_or_range_are_refused(indices: list[int]) -> None:
    with pytest.raises(ValueError, match=r"0\.\.49"):
        lcm(training(), indices)


@pytest.mark.parametrize("sampler", ["lcm", "ddim"])
def test_the_last_step_remains_of_the_least_strength(sampler: str) -> None:
    least = SAMPLERS[sampler](training(), SamplerSteps(5, (0, 4), (8, 8), 5e-324))
    assert (
        least.timesteps.tolist()
        == SAMPLERS[sampler](training(), SamplerSteps(5, (4,), (8, 8))).timesteps[-1:].tolist()
    )


def test_consistency_models_were_trained_on_a_grid_of_their_own() -> None:
    with pytest.raises(ValueError, match="training timesteps"):
        lcm(TrainingSchedule(training().alphas_cumprod[:40]), [0])


def test_impossible_step_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 50 steps, got 51"):
        lcm(training(), [0], grid=51)
    with pytest.raises(ValueError, match="1 to 999 steps, got 0"):
        ddim(training(), 0)


def both(prediction: str) -> dict[str, Schedule]:
    return {
        "lcm": lcm(training(prediction), INDICES),
        "ddim": ddim(training(prediction), 20),
    }
