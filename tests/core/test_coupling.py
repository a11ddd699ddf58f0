"""Coupled views: which prompts a row has and how much of each, and pictures that do not depend on the way.

Where a model adds to each pixel what the prompt there says, and nothing of it reaches another pixel, one
evaluation under shares is the mean of one evaluation a region. So views are the oracle of coupled views, for
every sampler, guidance and layout.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from smd_cli.core.bootstrap import Bootstrap
from smd_cli.core.coupling import Coupling, shares_of
from smd_cli.core.guidance import Guidance, Inputs, ModelInput, guided
from smd_cli.core.masks import quantize, soften, uncovered, whole_behind
from smd_cli.core.noise import SeededNoise
from smd_cli.core.regions import Regions, arrange_regions
from smd_cli.core.rows import Rows
from smd_cli.core.sample import sample
from smd_cli.core.samplers import SAMPLERS, SamplerSteps
from smd_cli.core.schedule import Schedule
from smd_cli.core.step import Method, denoise_step
from smd_cli.core.views import ViewChoice
from tests.core.models import ConvModel, ddim, lcm, model_input, training

HEIGHT, WIDTH, TILE, PX = 9, 14, 6, 8
SHAPE = (1, 4, HEIGHT, WIDTH)
LCM = lcm(training(), [0, 4, 12, 25, 37])
SCHEDULES = {
    "lcm": LCM,
    "ddim": ddim(training(), 5),
    "dpmpp": SAMPLERS["dpmpp"](training(), SamplerSteps(5, tuple(range(5)), (8, 8), spacing="trailing")),
}
WHITE, IMAGE = (SeededNoise(seed)("init", 0, SHAPE) for seed in (90, 91))

prompts_of_rows = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def coupling_of(counts: Sequence[int], first: int = 0) -> Coupling:
    """Rows of so many prompts each; shares that tell the prompts apart."""
    rows = tuple(row for row, count in enumerate(counts) for _ in range(count))
    return Coupling(rows, torch.arange(first, first + len(rows)).float().view(-1, 1, 1).expand(-1, 2, 3))


def numbers(coupling: Coupling) -> list[list[int]]:
    """The prompts of each row, as the shares number them."""
    found: list[list[int]] = [[] for _ in range(coupling.rows[-1] + 1)]
    for row, share in zip(coupling.rows, coupling.shares[:, 0, 0].tolist(), strict=True):
        found[row].append(int(share))
    return found


@given(prompts_of_rows, st.data())
def test_rows_that_are_taken_keep_their_prompts(counts: list[int], data: st.DataObject) -> None:
    whole = coupling_of(counts)
    taken = data.draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=6))
    assert numbers(whole.at(taken)) == [numbers(whole)[row] for row in taken]
    assert [int(whole.shares[pair, 0, 0]) for pair in whole.pairs(taken)] == [
        number for row in taken for number in numbers(whole)[row]
    ]


@given(prompts_of_rows, prompts_of_rows)
def test_rows_that_are_appended_follow_with_theirs(counts: list[int], others: list[int]) -> None:
    one, other = coupling_of(counts), coupling_of(others, first=100)
    assert numbers(one.append(other)) == numbers(one) + numbers(other)


@given(prompts_of_rows)
def test_ranks_name_every_prompt_once_with_its_row_and_no_row_twice(counts: list[int]) -> None:
    coupling, seen = coupling_of(counts), []
    for pairs, rows in coupling.ranks():
        assert len(set(rows)) == len(rows) == len(pairs)
        assert [coupling.rows[pair] for pair in pairs] == rows
        seen += pairs
    assert sorted(seen) == list(range(sum(counts)))


@given(prompts_of_rows, st.integers(0, 10**6))
def test_what_rows_are_told_beside_prompts_is_the_mean_by_area(counts: list[int], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    rows = coupling_of(counts).rows
    areas = torch.rand(len(rows), 3, 5, generator=random, dtype=torch.float64)
    vectors = torch.randn(len(rows), 7, generator=random, dtype=torch.float64)
    found = Coupling(rows, areas).mean(vectors)
    for row in range(len(counts)):
        expected = sum(
            float(areas[pair].mean()) * vectors[pair] for pair in range(len(rows)) if rows[pair] == row
        )
        torch.testing.assert_close(found[row], expected)


def test_of_one_prompt_the_mean_is_that_prompt_to_the_bit() -> None:
    vectors = torch.randn(3, 7).half()
    assert torch.equal(Coupling.single(3, torch.zeros(4, 96, 56)).mean(vectors), vectors)


@given(st.integers(1, 5), st.integers(0, 10**6))
def test_shares_sum_to_one_and_follow_the_masks(count: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    masks = torch.rand(count, 4, 5, generator=random) * (torch.rand(count, 4, 5, generator=random) > 0.5)
    shares = shares_of(masks)
    torch.testing.assert_close(shares.sum(0), torch.ones(4, 5))
    bare = masks.sum(0) == 0
    torch.testing.assert_close(shares * masks.sum(0), masks)  # in proportion where any covers
    assert (shares[:, bare] == 1 / count).all()


@given(st.integers(1, 19), st.integers(1, 19), st.data())
def test_shares_sum_to_one_at_every_resolution(height: int, width: int, data: st.DataObject) -> None:
    shares = shares_of(torch.rand(3, height, width))
    at = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    found = Coupling((0, 0, 0), shares).shares_at(at)
    assert found.shape == (3, *at)
    torch.testing.assert_close(found.sum(0), torch.ones(at))
    for rounds_up in (True, False):
        halves = [(side + rounds_up) // 2 for side in (height, width)]
        if all(halves):
            half = Coupling((0, 0, 0), shares).halved(rounds_up=rounds_up).shares
            torch.testing.assert_close(half.sum(0), torch.ones(halves))


class LocalModel:
    """Predicts a blur of the latents, and at each pixel what its prompts say there."""

    def __init__(self, prompts: int) -> None:
        self.prompts = torch.randn(prompts, 4, generator=torch.Generator().manual_seed(6))
        self.rows: list[int] = []

    def __call__(self, asked: ModelInput) -> Tensor:
        self.rows.append(len(asked))
        says = self.prompts[asked.prompts][:, :, None, None]
        if asked.coupling is None:
            said = says.expand_as(asked.latents)
        else:
            assert asked.prompts.shape == (len(asked.coupling.rows),)
            said = torch.zeros_like(asked.latents)
            for pair, row in enumerate(asked.coupling.rows):
                said[row] += says[pair] * asked.coupling.shares[pair]
        time = asked.timesteps.view(-1, 1, 1, 1) / 1000
        return 0.4 * asked.latents + 0.3 * asked.latents.roll(1, -1) * time + said


def layouts(schedule: Schedule, **how: Any) -> dict[str, Regions]:
    """Two soft regions that overlap, on a picture, on what fills the rest, before what lies behind."""
    painted = torch.zeros(2, 1, HEIGHT * PX, WIDTH * PX)
    painted[0, :, :50, :70] = 1
    painted[1, :, 24:, 50:] = 1
    soft = soften(painted, [6.0, 0.0], [1.0, 0.95])
    masks = quantize(soft, schedule.noise_levels, (HEIGHT, WIDTH), "continuous")
    filled = torch.cat([uncovered(masks), masks])
    behind = torch.cat([whole_behind(masks, 2), masks])
    return {
        "picture": arrange_regions(masks, TILE, **how).over(IMAGE),
        "white": arrange_regions(masks, TILE, **how).over(None, WHITE),
        "rest": arrange_regions(filled, TILE, **how),
        "behind": arrange_regions(behind, TILE, behind=frozenset({0}), **how),
        "new area": arrange_regions(filled, TILE, behind=frozenset({0}), **how).over(IMAGE),
    }


GUIDANCES = [Guidance(), Guidance("full", 1.5), Guidance("self", 1.5, 0.7), Guidance("initialize", 1.5)]
WAYS = [("lcm", guidance) for guidance in GUIDANCES] + [
    (name, guidance) for name in ("ddim", "dpmpp") for guidance in GUIDANCES[:2]
]


def start(noise: SeededNoise) -> Rows:
    return Rows(noise("init", 0, SHAPE), (0,), noise("init", 0, SHAPE))


def painted(regions: Regions, method: Method, model: Any) -> Tensor:
    noise = SeededNoise(5)
    return sample(start(noise), regions, method, model, noise)


def method_of(sampler: str, guidance: Guidance, bootstrapped: int) -> Method:
    bootstrap = Bootstrap(WHITE, bootstrapped, mix_steps=1.5, leak_sensitivity=0.3)
    return Method(SCHEDULES[sampler], guidance, bootstrap, batch=5)


@pytest.mark.parametrize(("bootstrapped", "wrap"), [(0, True), (2, False), (5, False)])
@pytest.mark.parametrize(("sampler", "guidance"), WAYS, ids=lambda each: getattr(each, "kind", each))
def test_where_prompts_act_pixel_by_pixel_coupled_views_paint_what_views_do(
    sampler: str, guidance: Guidance, bootstrapped: int, wrap: bool
) -> None:
    method = method_of(sampler, guidance, bootstrapped)
    coupled = layouts(method.schedule, wrap=wrap, choice=ViewChoice(coupled_from=bootstrapped))
    for name, apart in layouts(method.schedule, wrap=wrap).items():
        if name == "behind":
            method = replace(method, bootstrap=replace(method.bootstrap, show_through=True))
        models = [LocalModel(6), LocalModel(6)]
        one, other = (
            painted(regions, method, model)
            for regions, model in zip((apart, coupled[name]), models, strict=True)
        )
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-3, msg=name)
        work = [regions.work(method.guidance).model_evaluations for regions in (apart, coupled[name])]
        assert [sum(model.rows) for model in models] == work
        assert (work[1] < work[0]) is (bootstrapped < 5)


@pytest.mark.parametrize("guidance", GUIDANCES, ids=lambda guidance: guidance.kind)
def test_a_stream_that_mixes_coupled_and_bootstrapped_rows_emits_the_one_shot_picture(
    guidance: Guidance,
) -> None:
    """Rows of one batch have one prompt or several; all come out as they would alone."""
    method, model = method_of("lcm", guidance, 2), ConvModel(prompts=6)
    regions = layouts(LCM, choice=ViewChoice(coupled_from=2))["rest"]
    noise, count = SeededNoise(5), len(LCM)
    renoise = torch.cat([noise("renoise", step, SHAPE) for step in range(count)])
    ground = torch.cat([noise("bootstrap", step, SHAPE) for step in range(count)])
    rows, mixed = start(noise), []

    def predict(asked: ModelInput) -> Tensor:
        mixed.append(asked.coupling is not None and 1 in map(asked.coupling.rows.count, asked.coupling.rows))
        return model(asked)

    for tick in range(count):
        estimates = denoise_step(rows, ground[: tick + 1], regions, method, predict)
        rows = estimates.at(range(min(tick + 1, count - 1)))
        rows = start(noise).append(rows.renoised(LCM, renoise[1 : tick + 2]))
    assert any(mixed)
    torch.testing.assert_close(estimates.x[-1:], painted(regions, method, model), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_the_picture_does_not_depend_on_the_batch(batch: int) -> None:
    method, model = method_of("lcm", Guidance("full", 1.5), 1), ConvModel(prompts=6)
    regions = layouts(LCM, choice=ViewChoice(coupled_from=1))["rest"]
    one, other = (painted(regions, replace(method, batch=size), model) for size in (batch, 5))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_one_region_is_asked_about_as_without_coupling() -> None:
    full = torch.ones(1, 5, 1, HEIGHT, WIDTH)
    method, model = Method(LCM, Guidance("full", 1.5)), ConvModel(prompts=2)
    plain, coupled = (
        painted(arrange_regions(full, TILE, choice=ViewChoice(coupled_from=start)), method, model)
        for start in (None, 0)
    )
    assert torch.equal(plain, coupled)


def test_a_coupled_tile_has_the_regions_that_weigh_there_and_no_other() -> None:
    masks = torch.zeros(3, 5, 1, 4, 12)
    masks[0, ..., :3], masks[1, ..., 3:5], masks[2, 2:, ..., 9:] = 1, 1, 1
    regions = arrange_regions(masks, 4, overlap=0, choice=ViewChoice(coupled_from=1)).over(
        torch.zeros(1, 4, 4, 12)
    )
    found = [[(view.tile, view.regions, view.roll) for view in views] for views in regions.views]
    assert [place[:2] for place in found[0]] == [(0, (0,)), (0, (1,)), (1, (1,))]
    assert found[1] == [(0, (0, 1), (0, 0)), (1, (1,), (0, 0))]
    assert found[2] == [*found[1], (2, (2,), (0, 0))]
    assert [len(views) for views in regions.views] == [3, 2, 3, 3, 3]
    assert regions.work(Guidance("full", 2)).model_evaluations == 2 * 14


def test_rows_that_have_one_prompt_each_are_told_so() -> None:
    """So what is asked about a row alone does not depend on what else it was asked about with."""
    asked: list[ModelInput] = []

    def predict(each: ModelInput) -> Tensor:
        asked.append(each)
        return torch.zeros_like(each.latents)

    regions = layouts(LCM, choice=ViewChoice(coupled_from=1))["rest"]
    rows = Rows(torch.zeros(2, *SHAPE[1:]), (0, 3))
    denoise_step(rows, torch.zeros_like(rows.x), regions, Method(LCM, Guidance(), batch=1000), predict)
    (whole,) = asked
    assert whole.coupling is not None
    prompts = iter(whole.prompts.tolist())
    for row in range(len(whole)):
        count = whole.coupling.rows.count(row)
        alone = whole.at([row])
        assert alone.prompts.tolist() == [next(prompts) for _ in range(count)]
        assert (alone.coupling is None) is (count == 1)


def test_negatives_of_some_rows_are_asked_about_under_theirs() -> None:
    """Only the rows at the first step, whichever those are, with all their prompts and shares."""
    counts = (2, 1, 3)
    coupling, asked = coupling_of(counts), []
    latents = torch.randn(3, 4, 2, 3)
    views = replace(model_input(latents, torch.tensor([259, 999, 999])), prompts=torch.arange(6))
    inputs = Inputs(
        replace(views, coupling=coupling), torch.arange(10, 16), torch.zeros_like(latents), negated=[1, 2]
    )

    def predict(rows: ModelInput) -> Tensor:
        asked.append(rows)
        return rows.latents

    guided(predict, Guidance("initialize", 2.0), inputs)
    (rows,) = asked
    assert rows.prompts.tolist() == [0, 1, 2, 3, 4, 5, 12, 13, 14, 15]
    assert torch.equal(rows.latents, latents[[0, 1, 2, 1, 2]])
    assert numbers(rows.coupling) == [[0, 1], [2], [3, 4, 5], [2], [3, 4, 5]]
