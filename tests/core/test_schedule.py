"""Schedules against diffusers' schedulers and the recorded constants."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    TCDScheduler,
)
from torch import Tensor

from smd_cli.core.flow import FlowSchedules
from smd_cli.core.samplers import SAMPLERS, SamplerSteps
from smd_cli.core.schedule import Schedule, TrainingSchedule
from tests.core.families import shifted
from tests.core.models import ddim, lcm, training
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


SPACINGS = ["leading", "trailing", "linspace"]
KINDS = [
    ("ddim", "leading"),
    ("ddim", "trailing"),
    ("tcd", None),
    *(("euler", spacing) for spacing in SPACINGS),
    *(("dpmpp", spacing) for spacing in (*SPACINGS, "karras")),
]
"""Samplers and their spacings, but for lcm, which renoises with noise that its scheduler draws before."""

TRAININGS = [("epsilon", False), ("v_prediction", False), ("v_prediction", True)]
"""What models predict, and whether their schedule ends in noise alone."""


def reference(kind: str, spacing: str | None, prediction: str, *, zero_snr: bool = False) -> Any:
    """diffusers' scheduler of a sampler."""
    settings = {**TRAINING, "prediction_type": prediction, "rescale_betas_zero_snr": zero_snr}
    if kind == "tcd":
        return TCDScheduler(**settings, set_alpha_to_one=False)
    if spacing == "karras":
        return DPMSolverMultistepScheduler(**settings, use_karras_sigmas=True)
    spaced = {**settings, "timestep_spacing": spacing, "steps_offset": 1}
    if kind == "ddim":
        return DDIMScheduler(**spaced, clip_sample=False, set_alpha_to_one=False)
    return (EulerDiscreteScheduler if kind == "euler" else DPMSolverMultistepScheduler)(**spaced)


def made(kind: str, spacing: str | None, steps: int, trained: TrainingSchedule, **more: Any) -> Schedule:
    asked = {"spacing": spacing or "trailing", **({"gamma": 0.3} if kind == "tcd" else {}), **more}
    return SAMPLERS[kind](trained, SamplerSteps(steps, tuple(range(steps)), (8, 8), **asked))


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # diffusers' schedulers with NumPy 2
@pytest.mark.parametrize(("prediction", "zero_snr"), TRAININGS)
@pytest.mark.parametrize("steps", [1, 2, 4, 7, 30])
@pytest.mark.parametrize(("kind", "spacing"), KINDS)
def test_samplers_are_those_of_diffusers(
    kind: str,
    spacing: str | None,
    steps: int,
    prediction: str,
    zero_snr: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every latent of the way, under predictions of no sense.

    diffusers computes in float64: in float32 its Euler loses 1e-4 where 4096 times the noise cancels out.
    """
    if (kind, spacing, steps) == ("euler", "linspace", 1):
        pytest.skip("diffusers' only step is then at the timestep 0, which has hardly any noise")
    scheduler = reference(kind, spacing, prediction, zero_snr=zero_snr)
    scheduler.set_timesteps(steps)
    if kind != "ddim":
        scheduler.set_begin_index(0)  # karras can repeat a timestep
    if kind in ("euler", "dpmpp"):
        scheduler.sigmas = scheduler.sigmas.double()
    schedule = made(kind, spacing, steps, training(prediction, zero_snr=zero_snr))
    ours, theirs = schedule.timesteps.double(), scheduler.timesteps.double()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert schedule.initial_scale == pytest.approx(float(scheduler.init_noise_sigma))
    fresh = latents(99)
    monkeypatch.setattr("diffusers.schedulers.scheduling_tcd.randn_tensor", lambda *args, **kwargs: fresh)

    x = schedule.initial_scale * latents(0)
    theirs = x.double()
    carried = latents(98)  # of no effect in the first step
    for step, timestep in enumerate(scheduler.timesteps):
        predicted = latents(step + 1)
        shown = scheduler.scale_model_input(theirs, timestep)
        assert relative_error(schedule.scale_input(x, [step]), shown.float()) < 1e-5
        theirs = scheduler.step(predicted.double(), timestep, theirs).prev_sample
        if schedule.multistep:
            x, carried = schedule.estimate_after(x, predicted, carried, [step]).unbind(1)
        else:
            x = schedule.estimate(x, predicted, [step])
        if step + 1 < steps:
            x = schedule.renoise(x, fresh, [step + 1])
        assert relative_error(x, theirs.float()) < 1e-5


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_gamma_is_how_much_noise_of_a_step_is_new(gamma: float, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler, schedule = reference("tcd", None, "epsilon"), made("tcd", None, 4, training(), gamma=gamma)
    scheduler.set_timesteps(4)
    fresh = latents(99)
    monkeypatch.setattr("diffusers.schedulers.scheduling_tcd.randn_tensor", lambda *args, **kwargs: fresh)
    x = latents(0)
    for step, timestep in enumerate(scheduler.timesteps[:3]):
        theirs = scheduler.step(latents(step + 1), timestep, x, eta=gamma)
        x = schedule.estimate(x, latents(step + 1), [step])
        assert relative_error(x, theirs.pred_noised_sample) < 1e-5, "not averaged where gamma says"
        x = schedule.renoise(x, fresh, [step + 1])
        assert relative_error(x, theirs.prev_sample) < 1e-5


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize(("kind", "spacing"), [each for each in KINDS if each[0] != "tcd"])
def test_timesteps_are_those_of_diffusers_on_every_grid(kind: str, spacing: str) -> None:
    for steps in range(2, 101):
        scheduler = reference(kind, spacing, "epsilon")
        scheduler.set_timesteps(steps)
        ours = made(kind, spacing, steps, training()).timesteps.double()
        theirs = scheduler.timesteps.double()[:steps]  # NumPy's rounding can add one beyond the last
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-3, msg=f"grid of {steps}")


def test_picked_steps_of_euler_start_at_the_noise_of_the_whole_grid() -> None:
    """As published for SDXL-Lightning; each ends where the next picked one starts."""
    whole = made("euler", "trailing", 8, training())
    some = SAMPLERS["euler"](training(), SamplerSteps(8, (2, 5), (8, 8)))
    assert some.timesteps.tolist() == whole.timesteps[[2, 5]].tolist()
    assert some.end.sigma.tolist() == [whole.start.sigma[5], 0]
    assert some.initial_scale == whole.initial_scale


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("steps", [6, 7])
def test_a_multistep_sampler_that_starts_from_a_picture_has_no_step_before(steps: int) -> None:
    """Its first step is of first order, as diffusers' is when it starts within the grid."""
    schedule = made("dpmpp", "linspace", steps, training(), strength=0.5)
    scheduler = reference("dpmpp", "linspace", "epsilon")
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(steps - steps // 2)
    x = theirs = latents(0)
    carried = latents(98)
    for step in range(steps // 2):
        timestep = scheduler.timesteps[steps - steps // 2 + step]
        assert schedule.timesteps[step] == timestep
        theirs = scheduler.step(latents(step + 1), timestep, theirs).prev_sample
        x, carried = schedule.estimate_after(x, latents(step + 1), carried, [step]).unbind(1)
        assert relative_error(x, theirs) < 1e-5


@pytest.mark.parametrize(("kind", "spacing"), [("lcm", None), *KINDS])
def test_predicted_noise_tells_nothing_where_only_noise_is_left(kind: str, spacing: str | None) -> None:
    schedule = made(kind, spacing, 4, training("epsilon", zero_snr=True))
    starts_in_noise_alone = int(schedule.timesteps[0]) == 999
    undefined = range(4) if spacing == "karras" else [0] * starts_in_noise_alone
    assert schedule.undefined_steps() == list(undefined)
    assert starts_in_noise_alone is (spacing != "leading")
    assert not made(kind, spacing, 4, training("v_prediction", zero_snr=True)).undefined_steps()


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
    schedule = made("ddim", "leading", 20, training(), strength=count / 20)
    assert len(schedule) == count
    assert schedule.end_timesteps.tolist() == [*schedule.timesteps[1:].tolist(), 0]
    assert schedule.timesteps[-1] == 1, "the last steps are not those nearest to the picture"


def test_steps_of_consistency_models_end_at_time_0() -> None:
    for schedule in (lcm(training(), INDICES), made("lcm", None, 4, training(), strength=0.3)):
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
    with pytest.raises(ValueError, match="1 to 999 steps fit the spacing leading, got 0"):
        ddim(training(), 0)


def both(prediction: str) -> dict[str, Schedule]:
    return {
        "lcm": lcm(training(prediction), INDICES),
        "ddim": ddim(training(prediction), 20),
    }
