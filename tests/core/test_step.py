"""What must hold of the step and the sampler on any picture."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from smd_cli.core.bootstrap import Bootstrap
from smd_cli.core.guidance import Guidance, ModelInput
from smd_cli.core.masks import quantize, soften, uncovered, whole_behind
from smd_cli.core.noise import SeededNoise
from smd_cli.core.regions import Regions, arrange_regions
from smd_cli.core.rows import Rows
from smd_cli.core.sample import sample
from smd_cli.core.step import Method, denoise_step
from smd_cli.core.tiling import tile_canvas
from smd_cli.core.views import View
from tests.core.models import ConvModel, alphas_cumprod, ddim, lcm, training

HEIGHT, WIDTH, TILE, PX = 10, 14, 6, 8
SHAPE = (1, 4, HEIGHT, WIDTH)
SCHEDULE = lcm(training(), [0, 4, 12, 25, 37])
WHITE = SeededNoise(90)("init", 0, SHAPE)
IMAGE = SeededNoise(91)("init", 0, SHAPE)
METHOD = Method(
    SCHEDULE, Guidance("full", 1.5), Bootstrap(WHITE, steps=2, mix_steps=1.5, leak_sensitivity=0.3)
)
MODEL = ConvModel(prompts=6)


def masks(schedule=SCHEDULE) -> Tensor:
    """Two soft overlapping boxes in the corners, quantized; the canvas between them is bare."""
    painted = torch.zeros(2, 1, HEIGHT * PX, WIDTH * PX)
    painted[0, :, :50, :60] = 1
    painted[1, :, 24:, 50:] = 1
    return quantize(soften(painted, [4.0, 0.0], [1.0, 0.97]), schedule.noise_levels, (HEIGHT, WIDTH))


def regions(tile: int = TILE) -> Regions:
    return arrange_regions(masks(), tile).over(IMAGE)


def render(regions: Regions, method: Method = METHOD, predict=MODEL, seed: int = 5) -> Tensor:
    noise = SeededNoise(seed)
    return sample(starting(noise), regions, method, predict, noise)


def starting(noise: SeededNoise) -> Rows:
    return Rows(noise("init", 0, SHAPE), (0,), noise("init", 0, SHAPE))


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_the_picture_does_not_depend_on_the_batch(batch: int) -> None:
    sizes = []

    def predict(asked: ModelInput) -> Tensor:
        sizes.append(len(asked))
        return MODEL(asked)

    picture = render(regions(), replace(METHOD, batch=batch), predict)
    torch.testing.assert_close(picture, render(regions()), rtol=1e-5, atol=1e-4)
    assert max(sizes) <= 2 * batch
    assert sum(sizes) == regions().work(METHOD.guidance).model_evaluations


@pytest.mark.parametrize("show_through", [False, True])
def test_views_behind_the_others_are_asked_about_together_with_them(*, show_through: bool) -> None:
    layers = torch.cat([whole_behind(masks(), 2), masks()])
    laid = arrange_regions(layers, TILE, behind=frozenset({0}))
    bootstrap = Bootstrap(WHITE, steps=4, leak_sensitivity=0.3, show_through=show_through)
    model, calls = ConvModel(prompts=6), []

    def predict(asked: ModelInput) -> Tensor:
        calls.append(len(asked))
        return model(asked)

    picture = render(laid, Method(SCHEDULE, Guidance(), bootstrap, batch=1000), predict)
    assert calls == [len(views) for views in laid.views]
    apart = render(laid, Method(SCHEDULE, Guidance(), bootstrap, batch=1), model)
    torch.testing.assert_close(picture, apart, rtol=1e-5, atol=1e-4)


def test_views_without_weight_change_nothing() -> None:
    pruned, tiling = regions(), tile_canvas(HEIGHT, WIDTH, TILE)
    kept = {(view.step, view.regions, view.tile): view for of_step in pruned.views for view in of_step}
    everything = tuple(
        tuple(
            kept.get((step, (region,), tile), View(step, (region,), tile, box, (0, 0)))
            for tile, box in enumerate(tiling.boxes)
            for region in range(2)
        )
        for step in range(len(SCHEDULE))
    )
    unpruned = replace(pruned, views=everything)
    assert unpruned.work(METHOD.guidance).model_evaluations > 1.5 * len(kept) * 2
    torch.testing.assert_close(render(unpruned), render(pruned), rtol=1e-5, atol=1e-4)


def test_noise_is_asked_for_per_canvas_whatever_the_tiling() -> None:
    asked: dict[int, list[tuple[str, int, tuple[int, ...]]]] = {}
    for tile in (4, 6, 14):
        calls = asked.setdefault(tile, [])

        def recording(purpose, step, shape, calls=calls) -> Tensor:
            calls.append((purpose, step, tuple(shape)))
            return SeededNoise(0)(purpose, step, shape)

        sample(Rows(torch.zeros(SHAPE), (0,)), regions(tile), METHOD, MODEL, recording)
    assert asked[4] == asked[6] == asked[14]
    assert {shape for _, _, shape in asked[4]} == {SHAPE}


def test_rows_do_not_see_each_other() -> None:
    steps = (4, 0, 1, 0)
    x, noise = (
        torch.cat([SeededNoise(row)(purpose, 0, SHAPE) for row in range(4)])
        for purpose in ("init", "bootstrap")
    )
    together = denoise_step(Rows(x, steps), noise, regions(), METHOD, MODEL)
    for row, step in enumerate(steps):
        alone = denoise_step(Rows(x[[row]], (step,)), noise[[row]], regions(), METHOD, MODEL)
        torch.testing.assert_close(together.x[[row]], alone.x, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "guidance", [Guidance("full", 1.5), Guidance("self", 1.5, 0.7), Guidance("initialize", 1.5)]
)
def test_a_stream_emits_the_one_shot_picture(guidance: Guidance) -> None:
    method = replace(METHOD, guidance=guidance)
    noise, count = SeededNoise(5), len(SCHEDULE)
    renoise = torch.cat([noise("renoise", step, SHAPE) for step in range(count)])
    ground = torch.cat([noise("bootstrap", step, SHAPE) for step in range(count)])
    rows = first = starting(noise)
    for tick in range(count):
        estimates = denoise_step(rows, ground[: tick + 1], regions(), method, MODEL)
        rows = estimates.at(range(min(tick + 1, count - 1)))
        rows = first.append(rows.renoised(SCHEDULE, renoise[1 : tick + 2]))
    torch.testing.assert_close(estimates.x[-1:], render(regions(), method), rtol=1e-5, atol=1e-4)


def test_residual_guidance_steers_and_takes_fewer_evaluations() -> None:
    """All kinds give other pictures; the negative costs all views, those of the first step, or none."""
    kinds = [Guidance("none"), Guidance("self", 1.5), Guidance("initialize", 1.5), Guidance("full", 1.5)]
    pictures = [render(regions(), replace(METHOD, guidance=guidance)) for guidance in kinds]
    for place, picture in enumerate(pictures):
        assert all((picture - other).abs().max() > 0.05 for other in pictures[:place])
    views = [len(of_step) for of_step in regions().views]
    counts = [regions().work(guidance).model_evaluations for guidance in kinds]
    assert counts == [sum(views), sum(views), sum(views) + views[0], 2 * sum(views)]


def test_residual_noise_is_what_the_latents_hold_beside_a_clean_picture() -> None:
    """A model that knows the clean picture: guided by a noise that is exactly in there, nothing changes."""
    clean = SeededNoise(7)("init", 0, SHAPE)

    def knowing(asked: ModelInput) -> Tensor:
        level = alphas_cumprod()[asked.timesteps].view(-1, 1, 1, 1)
        return (asked.latents - level.sqrt() * clean) / (1 - level).sqrt()

    full = arrange_regions(torch.ones(1, 5, 1, HEIGHT, WIDTH), 20)
    noise = SeededNoise(5)("init", 0, SHAPE)
    rows = Rows(SCHEDULE.noise_to_start(clean, noise, [0]), (0,), noise)
    method = Method(SCHEDULE, Guidance("self", 3.0))
    picture = sample(rows, full, method, knowing, SeededNoise(5))
    torch.testing.assert_close(picture, clean, rtol=1e-3, atol=1e-3)


def test_a_background_brings_its_own_noise_and_no_residual() -> None:
    method = replace(METHOD, guidance=Guidance("self", 1.5))
    closed = arrange_regions(torch.zeros(2, 5, 1, HEIGHT, WIDTH), TILE).over(IMAGE)
    fresh = SeededNoise(8)("renoise", 1, SHAPE)
    estimates = denoise_step(starting(SeededNoise(5)), fresh, closed, method, unasked)
    following = estimates.renoised(SCHEDULE, fresh)
    torch.testing.assert_close(following.carried, fresh)


def test_rows_without_residual_noise_cannot_be_guided_by_it() -> None:
    method = replace(METHOD, guidance=Guidance("self", 1.5))
    with pytest.raises(ValueError, match="noise that the rows began with"):
        denoise_step(Rows(IMAGE, (0,)), IMAGE, regions(), method, MODEL)


def test_bare_canvas_shows_the_background() -> None:
    bare = masks()[:, -1].sum(0)[0] == 0
    assert bare.any()
    torch.testing.assert_close(render(regions())[0, :, bare], IMAGE[0, :, bare])


def test_a_prompted_background_leaves_nothing_bare() -> None:
    complete = arrange_regions(torch.cat([uncovered(masks()), masks()]), TILE).over(None, WHITE)
    assert complete.background is None
    bare = masks()[:, -1].sum(0)[0] == 0
    method = replace(METHOD, bootstrap=None)
    picture = render(complete, method)
    other = ConvModel(prompts=6)
    other.prompts = MODEL.prompts.clone()
    other.prompts[0] += 1  # the background's prompt
    changed = (render(complete, method, other) - picture)[0].abs().amax(0)
    assert (changed[bare] > 1e-3).all()


def test_a_step_where_no_region_is_open_shows_the_background() -> None:
    closed = arrange_regions(torch.zeros(2, 5, 1, HEIGHT, WIDTH), TILE).over(IMAGE)
    torch.testing.assert_close(render(closed, predict=unasked), IMAGE)


def test_nothing_painted_on_nothing_is_zero() -> None:
    half = torch.ones(1, 5, 1, HEIGHT, WIDTH)
    half[..., : WIDTH // 2] = 0
    picture = render(arrange_regions(half, TILE), Method(SCHEDULE, Guidance("none")))
    assert picture.isfinite().all()
    assert not picture[..., : WIDTH // 2].any()


def unasked(asked: ModelInput) -> Tensor:
    raise AssertionError("the model was asked for a view without weight")


def test_a_full_region_in_one_tile_is_plain_sampling() -> None:
    full = arrange_regions(torch.ones(1, 5, 1, HEIGHT, WIDTH), 20)
    noise = SeededNoise(5)
    x = noise("init", 0, SHAPE)
    for step, timestep in enumerate(SCHEDULE.timesteps):
        if step:
            x = SCHEDULE.renoise(x, noise("renoise", step, SHAPE), [step])
        x = SCHEDULE.estimate(x, MODEL.one(x, int(timestep), 0), [step])
    method = Method(SCHEDULE, Guidance("none"))
    torch.testing.assert_close(render(full, method), x, rtol=1e-5, atol=1e-4)


def test_models_of_half_precision_are_averaged_in_float32() -> None:
    def half(asked: ModelInput) -> Tensor:
        return MODEL(asked).bfloat16()

    picture = render(regions(), predict=half)
    assert picture.dtype == torch.float32
    assert (picture - render(regions())).abs().max() < 0.1 * picture.abs().max()


def test_deterministic_sampling_brings_the_background_along() -> None:
    """DDIM averages noisy latents, so the background is noised to their level until the last step."""
    schedule = ddim(training(), 20)
    ddim_regions = arrange_regions(masks(schedule), TILE).over(IMAGE)
    method, noise = Method(schedule, Guidance("none")), SeededNoise(5)
    bare, estimates = masks(schedule)[:, -1].sum(0)[0] == 0, []
    sample(
        starting(noise),
        ddim_regions,
        method,
        MODEL,
        noise,
        lambda _, x: estimates.append(x),
    )
    for step in (0, 9, 19):
        expected = schedule.noise_to_end(IMAGE, noise("bootstrap", step, SHAPE), [step])
        torch.testing.assert_close(estimates[step][0, :, bare], expected[0, :, bare])
    torch.testing.assert_close(estimates[-1][0, :, bare], IMAGE[0, :, bare])


def test_sampling_listens_after_each_step_and_repeats() -> None:
    noise, heard = SeededNoise(5), []
    picture = sample(
        starting(noise),
        regions(),
        METHOD,
        MODEL,
        noise,
        lambda step, x: heard.append((step, x)),
    )
    assert [step for step, _ in heard] == [0, 1, 2, 3, 4]
    assert heard[-1][1] is picture
    assert torch.equal(render(regions()), picture)
    assert not torch.equal(render(regions(), seed=6), picture)


def test_what_a_region_leaves_empty_shows_what_was_painted_behind_it() -> None:
    """A region on the left that draws in its lower half only, before a background that is whole."""
    side = 8
    masks = torch.ones(2, len(SCHEDULE), 1, side, side)
    masks[1, ..., 4:] = 0
    seen = torch.full((2, 1, side, side), -5.0)  # by prompt: the background sees the same everywhere
    seen[1, :, :4], seen[1, :, 4:] = 9.0, 2.0

    def predict(asked: ModelInput) -> Tensor:
        alphas = alphas_cumprod()[asked.timesteps.long()].view(-1, 1, 1, 1)
        return (asked.latents - alphas.sqrt() * seen[asked.prompts]) / (1 - alphas).sqrt()

    bootstrap = Bootstrap(torch.full((1, 4, side, side), 9.0), 2, 0.0, 0.2, show_through=True)
    regions = arrange_regions(masks, side, behind=frozenset({0}))
    start, noise = torch.randn(2, 1, 4, side, side, generator=torch.Generator().manual_seed(1))
    method = Method(SCHEDULE, Guidance(), bootstrap)
    first = denoise_step(Rows(start, (0,)), noise, regions, method, predict)
    last = denoise_step(first.renoised(SCHEDULE, noise), noise, regions, method, predict)
    for rows, upper in ((first, 9), (last, -5)):
        assert rows.x[..., :4, :4].mean() == pytest.approx(upper, abs=0.1)
        assert rows.x[..., 4:, :4].mean() == pytest.approx(2, abs=0.1)
        assert rows.x[..., 4:].mean() == pytest.approx(-5, abs=0.01)
    assert first.without_regions is not None
    assert last.without_regions is not None
    assert first.without_regions.x.mean() == pytest.approx(
        -5, abs=0.01
    )  # alone, as long as regions are on white
    assert torch.equal(last.without_regions.x, last.x)
