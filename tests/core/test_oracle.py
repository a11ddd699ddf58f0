"""The core against the oracle on small random problems, and the oracle against the recorded runs."""

import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from smd_cli.core.bootstrap import Bootstrap
from smd_cli.core.guidance import Guidance
from smd_cli.core.masks import cover, quantize, soften, uncovered, whole_behind
from smd_cli.core.regions import arrange_regions
from smd_cli.core.rows import Rows
from smd_cli.core.sample import sample
from smd_cli.core.schedule import TrainingSchedule
from smd_cli.core.step import Method
from smd_cli.core.views import ViewChoice
from tests.core.models import ConvModel, alphas_cumprod, lcm
from tests.golden import DOWNSCALE, Case, cases, relative_error, tiny_pipeline
from tests.oracle import Problem, render

PX = DOWNSCALE


def random_problem(seed: int) -> Problem:
    """Make up a small picture: one to three painted boxes, any tiling, any settings of the method."""
    pick, noise = random.Random(seed), torch.Generator().manual_seed(seed)
    height, width, count = pick.randint(3, 12), pick.randint(3, 12), pick.randint(1, 3)
    masks = torch.zeros(count, 1, height * PX, width * PX)
    for mask in masks:
        top, left = pick.randrange(height * PX), pick.randrange(width * PX)
        mask[0, top : top + pick.randint(8, 96), left : left + pick.randint(8, 96)] = 1
    indices = sorted(pick.sample([0, 4, 12, 25, 37], pick.randint(1, 4)))

    def canvas(rows: int = 1) -> Tensor:
        return torch.randn(rows, 4, height, width, generator=noise)

    problem = Problem(
        alphas_cumprod=alphas_cumprod(),
        indices=indices,
        masks=masks,
        tile=pick.randint(2, 13),
        white=canvas(),
        init=canvas(),
        renoise=canvas(len(indices)),
        bootstrap_noise=canvas(len(indices)),
        background=canvas() if pick.random() < 0.3 else None,
        std=[pick.choice([0.0, 1.5, 4.0]) for _ in range(count)],
        strength=[pick.choice([1.0, 0.97, 0.9]) for _ in range(count)],
        kind=pick.choice(["discrete", "semi-continuous", "continuous"]),
        cover_alpha=pick.choice([0.0, 0.3, 0.9]),
        rest=pick.random() < 0.5,
        guidance_scale=pick.choice([1.0, 1.7]),
        bootstrap_steps=pick.randint(0, 3),
        mix_steps=pick.choice([0.0, 0.5, 1.0, 1.5]),
        leak_sensitivity=pick.choice([None, 0.2, 2.0]),  # by 2, much of what is made up shows nothing
    )
    if problem.rest:
        problem.is_behind = pick.random() < 0.6
        problem.show_through = problem.is_behind and pick.random() < 0.7
    problem.is_coupled = pick.random() < 0.5
    problem.own_tiles = pick.random() < 0.5
    return problem


def render_by_core(problem: Problem, predict: ConvModel, batch: int) -> list[Tensor]:
    schedule = lcm(TrainingSchedule(problem.alphas_cumprod), problem.indices)
    softened = soften(cover(problem.masks, problem.cover_alpha), problem.std, problem.strength)
    height, width = problem.init.shape[-2:]
    masks = quantize(softened, schedule.noise_levels, (height, width), problem.kind)
    if problem.is_behind:
        masks = torch.cat(
            [whole_behind(masks, problem.bootstrap_steps if problem.show_through else 0), masks]
        )
    elif problem.rest:
        masks = torch.cat([uncovered(masks), masks])
    behind = frozenset({0} if problem.is_behind else ())
    bootstrapped = problem.bootstrap_steps
    choice = ViewChoice(
        own_until=bootstrapped if problem.own_tiles else 0,
        coupled_from=bootstrapped if problem.is_coupled else None,
    )
    regions = arrange_regions(masks, problem.tile, behind=behind, choice=choice)
    regions = regions.over(problem.background, problem.white)
    bootstrap = Bootstrap(
        problem.white,
        problem.bootstrap_steps,
        problem.mix_steps,
        problem.leak_sensitivity,
        show_through=problem.show_through,
    )
    method = Method(schedule, Guidance("full", problem.guidance_scale), bootstrap, batch)
    recorded = {"renoise": problem.renoise, "bootstrap": problem.bootstrap_noise}
    estimates: list[Tensor] = []
    sample(
        Rows(problem.init, (0,)),
        regions,
        method,
        predict,
        lambda purpose, step, shape: recorded[purpose][[step]],
        lambda step, x: estimates.append(x),
    )
    return estimates


@pytest.mark.parametrize("seed", range(60))
def test_core_makes_the_pictures_of_the_oracle(seed: int) -> None:
    problem = random_problem(seed)
    model = ConvModel(prompts=2 * (len(problem.masks) + problem.rest))
    expected = render(problem, model.one, model.coupled)
    actual = render_by_core(problem, model, batch=1 + seed % 7)
    for step, (a, b) in enumerate(zip(actual, expected, strict=True)):
        assert a.shape == b.shape
        assert relative_error(a, b) < 1e-4, f"step {step}"


@pytest.mark.parametrize("seed", range(12))
def test_regions_that_show_nothing_on_white_are_painted_as_the_oracle_paints_them(seed: int) -> None:
    problem = random_problem(seed)
    steps = 5
    noise = torch.randn(2, steps, *problem.init.shape[1:], generator=torch.Generator().manual_seed(seed))
    problem = replace(
        problem,
        indices=[0, 4, 12, 25, 37],
        renoise=noise[0],
        bootstrap_noise=noise[1],
        rest=seed % 2 == 0,  # else a picture shows through
        is_behind=seed % 2 == 0,
        background=problem.background if seed % 2 == 0 else noise[0, :1],
        show_through=True,
        bootstrap_steps=4,
        leak_sensitivity=[30.0, 300.0, 1000.0][seed % 3],  # by the last, nothing shows anything
    )
    model = ConvModel(prompts=2 * (len(problem.masks) + problem.rest))
    expected = render(problem, model.one, model.coupled)
    actual = render_by_core(problem, model, batch=1 + seed % 7)
    for step, (a, b) in enumerate(zip(actual, expected, strict=True)):
        assert relative_error(a, b) < 1e-4, f"step {step}"


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("generate", "inpaint", "panorama"))
def test_oracle_makes_the_pictures_of_the_published_code(case: Case) -> None:
    pipeline, tensors, settings = tiny_pipeline(), case.tensors, case.settings
    embeddings, count = pipeline.conditioning(case), len(case.masks)

    def model(latent: Tensor, timestep: int, prompt: int) -> Tensor:
        return pipeline.predict(latent, torch.tensor([timestep]), embeddings[[prompt]])

    problem = Problem(
        alphas_cumprod=pipeline.alphas_cumprod,
        indices=settings["schedule_indices"],
        masks=case.masks,
        tile=settings["tile_size"] // PX,
        white=pipeline.white(case),
        background=pipeline.background(case),
        init=tensors["noise.init"],
        renoise=tensors["noise.renoise"],
        bootstrap_noise=tensors.get("noise.bootstrap", torch.zeros_like(tensors["noise.renoise"])),
        guidance_scale=settings["guidance_scale"],
    )
    if case.settings["task"] != "panorama":
        problem = replace(
            problem,
            std=[settings["mask_std"]] * count,
            strength=[settings["mask_strength"]] * count,
            kind=settings["mask_type"],
            bootstrap_steps=settings["bootstrap_steps"],
            mix_steps=settings["bootstrap_mix_steps"],
            leak_sensitivity=settings["bootstrap_leak_sensitivity"],
        )
    estimates = render(problem, model)
    for step, estimate in enumerate(estimates[:-1]):
        assert relative_error(estimate, tensors[f"latent.denoised.{step}"]) < 1e-4, f"step {step}"
    assert relative_error(estimates[-1], tensors["latent.final"]) < 1e-4
