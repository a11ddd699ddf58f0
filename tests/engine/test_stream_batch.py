"""The stream engine on the embedded model: the one-shot pictures, edits, skips, and nothing that piles up."""

import gc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from smd_cli.core.noise import SeededNoise
from smd_cli.core.step import denoise_step
from smd_cli.engine.batching import Evaluator
from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.pipeline import Closed
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import denoise
from smd_cli.engine.scene_preparer import InputFrame, ScenePreparer
from smd_cli.engine.similarity import SimilarityFilter
from smd_cli.engine.stream_batch import FrameJob, RenderedFrame, SkippedFrame, StreamOptions, StreamSampler
from smd_cli.media.paint import paint_scene
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load
from smd_cli.scene.frame_times import EvenTimes
from smd_cli.scene.loader import load_text
from smd_cli.scene.prompts import PromptMix
from smd_cli.scene.resolve import Plan, resolve
from smd_cli.scene.stream_section import Similarity
from smd_cli.scene.timeline import plan_at
from tests.checkpoints.sd15 import SD15
from tests.embedded import backbone

SCENE = """
smd: 1
task: stream
canvas: {width: 64, height: 64}
seed: 5
background: {prompt: sunset}
regions:
- {name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 0.5]}, prompt_strength: 0.9}
- {name: star, prompt: a red star, mask: {ellipse: [0.6, 0.6, 0.3, 0.3]}}
"""
EDITED = """
stream:
  frames: 12
  timeline:
  - {at: 6, region: star, prompt: a blue star}
"""


def plan(text: str = "") -> Plan:
    return resolve(load_text(SCENE + text, "scene").scene, "scene", Path())


def setting(made: Plan) -> CanvasImages:
    return CanvasImages(paint_scene(made, may_leave=True).masks)


def preparer(model: Backbone | None = None) -> ScenePreparer:
    return ScenePreparer(model or backbone(), lambda made, _: setting(made))


def takes(made: Plan, frames: int, image: Image.Image | None = None):
    return (InputFrame(frame, plan_at(made, frame, EvenTimes.of(12)), image) for frame in range(frames))


@torch.inference_mode()
def streamed(
    made: Plan,
    frames: int,
    options: StreamOptions | None = None,
    *,
    sequential: bool = False,
    model: Backbone | None = None,
) -> list[Tensor]:
    sampler = StreamSampler(SeededNoise(made.seed), options or StreamOptions())
    run = sampler.sequential if sequential else sampler.batched
    done = list(run(preparer(model).jobs(takes(made, frames))))
    assert [item.frame for item in done] == list(range(frames))
    return [item.latent for item in done if isinstance(item, RenderedFrame)]


@torch.inference_mode()
def one_shot(made: Plan, model: Backbone | None = None) -> Tensor:
    return denoise(prepare(made, setting(made), model or backbone()), SeededNoise(made.seed), Clock())


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Backbone:
    """A random model that answers sooner, for tests of numbers; it predicts v, so that these stay small."""
    folder = SD15.make_folder(tmp_path_factory.mktemp("models") / "small")
    SD15.write_scheduler(folder, prediction_type="v_prediction")
    return load(locate(ModelSpec(str(folder))), torch.device("cpu"), torch.float32)


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "sampler: {guidance_scale: 1.6, guidance: full}",
        "sampler: {guidance_scale: 1.6, guidance: self, delta: 0.8}",
        "sampler: {guidance_scale: 1.6, guidance: initialize}",
        "sampler: {indices: [0]}",
        "sampler: {kind: ddim, steps: 4, spacing: trailing}",
        "sampler: {kind: tcd, guidance_scale: 1.6, guidance: self}",
        "sampler: {kind: euler, steps: 4, spacing: leading}",
        "sampler: {kind: dpmpp, steps: 5, guidance_scale: 1.6}",
        "sampler: {kind: dpmpp, steps: 5, spacing: karras}\nbootstrap: {steps: 3, show_through: true}",
        "bootstrap: {steps: 3, show_through: true}",
        "bootstrap: {steps: 3, show_through: true, own_tiles: true}\nsampler: {late: coupled, tile: 64}",
        "bootstrap: {steps: 2, show_through: true}\nsampler: {guidance_scale: 1.6, guidance: self}",
        "sampler: {late: coupled, guidance_scale: 1.6, guidance: initialize}",
        "sampler: {late: coupled, kind: dpmpp, steps: 5}\nbootstrap: {steps: 2, show_through: true}",
    ],
)
def test_every_frame_of_a_still_scene_is_the_one_shot_picture(settings, small):
    made = plan(settings)
    expected = one_shot(made, small)
    for options in (StreamOptions(), StreamOptions(buffer=3)):
        assert all(close(latent, expected) for latent in streamed(made, 7, options, model=small))


def test_on_the_embedded_model_too():
    made = plan("sampler: {guidance_scale: 1.6, guidance: full}")
    expected = one_shot(made)
    assert all(close(latent, expected) for latent in streamed(made, 7, StreamOptions(buffer=3)))


def test_a_sequential_stream_is_the_same(small):
    made = plan(EDITED)
    frames = streamed(made, 12, sequential=True, model=small)
    assert close(frames[5], one_shot(made, small))
    assert close(frames[6], one_shot(plan_at(made, 6, EvenTimes.of(12)), small))


@torch.inference_mode()
def by_hand(made: Plan, frame: int, model: Backbone, *, forgets_what_was_faint: bool = False) -> Tensor:
    """A frame of a stream that frames enter and leave one by one: each step is of the scene that leaves."""
    noise, scenes, rows = SeededNoise(made.seed), preparer(model), None
    steps = len(made.sampler.indices)
    for step in range(steps):
        leaving = max(frame - (steps - 1) + step, 0)
        scene = scenes.scene(plan_at(made, leaving, EvenTimes.of(12)), leaving)
        if rows is None:
            rows = scene.starting_rows(noise("init", 0, scene.shape))
        else:
            rows = rows.renoised(scene.method.schedule, noise("renoise", step, scene.shape))
        predict, ground = Evaluator(model, scene.table), noise("bootstrap", step, scene.shape)
        rows = denoise_step(rows, ground, scene.regions, scene.method, predict)
        if forgets_what_was_faint:
            rows = replace(rows, faint=None)
    return rows.x


@pytest.mark.parametrize("settings", ["", "sampler: {late: coupled}\n", "bootstrap: {show_through: true}\n"])
def test_an_edit_bends_the_frames_in_flight_from_its_own_frame_on(settings, small):
    made = plan(EDITED.replace("a blue star", "a blue star, shift: [-0.3, -0.2]") + settings)
    before, after = one_shot(made, small), one_shot(plan_at(made, 6, EvenTimes.of(12)), small)
    frames = streamed(made, 12, model=small)
    assert all(close(frame, before) for frame in frames[:6])
    assert all(close(frames[at], by_hand(made, at, small)) for at in range(5, 11))
    assert close(frames[10], after)
    assert not any(close(frame, before) or close(frame, after) for frame in frames[6:10])


def test_a_region_that_was_faint_stays_so_in_its_frame_whatever_is_beside_it_in_the_batch(small):
    """The sun shows less than the sensitivity on white, the star more: by 0.169 and 0.175."""
    settings = "bootstrap: {steps: 4, show_through: true, leak_sensitivity: 0.172}\n"
    made = plan(EDITED + settings)
    frames = streamed(made, 12, model=small)
    for at in (5, 6, 8, 11):
        assert close(frames[at], by_hand(made, at, small))
        assert not close(frames[at], by_hand(made, at, small, forgets_what_was_faint=True))
    clear = plan(EDITED + settings.replace("0.172", "0.16"))
    assert close(by_hand(clear, 5, small), by_hand(clear, 5, small, forgets_what_was_faint=True))


def test_with_autoflush_no_frame_is_bent(small):
    made = plan(EDITED)
    before, after = one_shot(made, small), one_shot(plan_at(made, 6, EvenTimes.of(12)), small)
    for buffer in (1, 4):
        frames = streamed(made, 12, StreamOptions(buffer, autoflush=True), model=small)
        assert all(close(frame, before) for frame in frames[:6])
        assert all(close(frame, after) for frame in frames[6:])


def test_coupled_frames_follow_masks_that_move(small):
    made = plan(
        "sampler: {indices: [0, 12, 25], late: coupled}\nbootstrap: {steps: 1}\nstream:\n  timeline:\n"
        "  - {at: 2, region: star, shift: [-0.2, 0.1]}\n"
        "  - {at: 4, region: sun, mask: {box: [0, 0, 1, 0.4]}}\n"
    )
    expected = [one_shot(plan_at(made, frame, EvenTimes.of(12)), small) for frame in range(6)]
    assert not any(close(expected[at], expected[at + 2]) for at in (0, 2))
    for frames in (
        streamed(made, 6, StreamOptions(2, autoflush=True), model=small),
        streamed(made, 6, sequential=True, model=small),
    ):
        assert all(close(frame, alone) for frame, alone in zip(frames, expected, strict=True))


@pytest.mark.parametrize("mask", ["rest", "{box: [0, 0, 0.5, 1]}"])
def test_a_background_that_shows_through_can_be_emptied_and_come_back(mask, small):
    """White shows then, as always where no prompt paints the background."""
    scene = SCENE.partition("regions:")[0] + f"regions: [{{name: sun, prompt: the sun, mask: {mask}}}]\n"
    timeline = "{at: 2, background: {prompt: ''}}, {at: 4, background: {prompt: grass}}"
    settings = (
        "sampler: {indices: [0, 10, 25], late: coupled}\n"
        "bootstrap: {steps: 2, show_through: true, own_tiles: true}\n"
    )
    text = f"{scene}{settings}stream: {{timeline: [{timeline}]}}\n"
    made = resolve(load_text(text, "scene").scene, "scene", Path())
    expected = [one_shot(plan_at(made, frame, EvenTimes.of(12)), small) for frame in range(6)]
    assert not any(close(expected[at], expected[at + 2]) for at in range(4))
    flushed = streamed(made, 6, StreamOptions(2, autoflush=True), model=small)
    assert all(close(frame, alone) for frame, alone in zip(flushed, expected, strict=True))
    bent = streamed(made, 8, model=small)
    assert all(close(frame, by_hand(made, at, small)) for at, frame in enumerate(bent))
    assert close(bent[-1], expected[-1])


@pytest.mark.parametrize("late", ["views", "coupled"])
def test_a_frame_depends_on_the_scene_and_the_seed_alone(late, small):
    """Not on how many frames there are, nor on how many share a batch as long as none is bent."""
    made = plan(f"sampler: {{late: {late}}}")
    options = StreamOptions(variation=0.3)
    long, short = streamed(made, 9, options, model=small), streamed(made, 4, options, model=small)
    buffered = streamed(made, 9, replace(options, buffer=4), model=small)
    assert all(close(a, b) for a, b in zip(long, short, strict=False))
    assert all(close(a, b) for a, b in zip(long, buffered, strict=True))


def test_variation_gives_each_frame_some_noise_of_its_own(small):
    made = plan()
    still = one_shot(made, small)
    little, much = (streamed(made, 3, StreamOptions(variation=share), model=small) for share in (0.2, 1.0))
    for frames in (little, much):
        assert not any(close(a, b) for a, b in pairwise(frames))
    near, far = (float((frames[1] - still).abs().mean()) for frames in (little, much))
    assert near < far


def test_evaluations_are_counted(small):
    made = plan()
    stage = prepare(made, setting(made), small)
    for run in ("batched", "sequential"):
        sampler = StreamSampler(SeededNoise(5), StreamOptions())
        list(getattr(sampler, run)(FrameJob(frame, stage) for frame in range(7)))
        assert sampler.work == tuple(7 * count for count in stage.work)


def test_skipped_frames_keep_their_places_and_cost_nothing(small):
    stage = prepare(plan(), setting(plan()), small)
    jobs = [
        SkippedFrame(0),
        FrameJob(1, stage),
        SkippedFrame(2),
        SkippedFrame(3),
        FrameJob(4, stage),
        FrameJob(5, stage),
        SkippedFrame(6),
    ]
    for run in ("batched", "sequential"):
        sampler = StreamSampler(SeededNoise(5), StreamOptions(buffer=2))
        done = list(getattr(sampler, run)(iter(jobs)))
        assert [item.frame for item in done] == list(range(7))
        assert [isinstance(item, SkippedFrame) for item in done] == [
            isinstance(job, SkippedFrame) for job in jobs
        ]
        assert sampler.work.model_evaluations == 3 * stage.work.model_evaluations


def test_input_frames_are_repainted_from_their_own_picture():
    made = plan("stream: {input: film.gif, strength: 0.4}")
    stage_of = preparer()
    pictures = [Image.new("RGB", (64, 64), color) for color in ("white", "black", "white")]
    frames = [InputFrame(frame, made, picture) for frame, picture in enumerate(pictures)]
    with torch.inference_mode():
        done = list(StreamSampler(SeededNoise(5), StreamOptions()).batched(stage_of.jobs(iter(frames))))
    light = [float(backbone().decode(item.latent).mean()) for item in done]
    assert light[0] == pytest.approx(light[2], abs=1e-3)
    assert light[0] > light[1] + 0.3


def test_a_still_input_is_encoded_once_and_mostly_skipped():
    made = plan("stream: {input: film.gif}")
    picture = Image.new("RGB", (64, 64), "navy")
    jobs = list(preparer().jobs(takes(made, 44, picture), SimilarityFilter(Similarity(threshold=0.9), 0)))
    assert [isinstance(job, FrameJob) for job in jobs] == [frame % 11 == 0 for frame in range(44)]
    assert len({id(job.source) for job in jobs if isinstance(job, FrameJob)}) == 1


@pytest.mark.parametrize("buffer", [1, 2])
def test_coupled_frames_that_pass_the_filter_are_those_of_a_stream_without_one(buffer, small):
    """Skipped ones leave them other neighbours in the batch, at other steps: some coupled, some not yet."""
    made = plan(
        "sampler: {indices: [8, 18, 28, 38], late: coupled}\nbootstrap: {steps: 2}\nstream: {input: a.gif}"
    )
    colors = ["navy"] * 3 + ["gold"] + ["white"] * 3 + ["gold"]
    inputs = [
        InputFrame(frame, made, Image.new("RGB", (64, 64), color)) for frame, color in enumerate(colors)
    ]

    def rendered(similarity: SimilarityFilter | None) -> dict[int, Tensor]:
        sampler = StreamSampler(SeededNoise(5), StreamOptions(buffer))
        with torch.inference_mode():
            done = list(sampler.batched(preparer(small).jobs(iter(inputs), similarity)))
        assert [item.frame for item in done] == list(range(len(colors)))
        return {item.frame: item.latent for item in done if isinstance(item, RenderedFrame)}

    every, some = rendered(None), rendered(SimilarityFilter(Similarity(threshold=0.9), 0))
    assert list(some) == [0, 3, 4, 7]
    assert all(close(latent, every[frame]) for frame, latent in some.items())
    assert not any(close(a, b) for a, b in pairwise(list(some.values())))


def test_an_edit_is_painted_however_alike_the_input_frames_are():
    made = plan("stream: {input: film.gif, timeline: [{at: 3, region: star, prompt: a blue star}]}")
    similarity = SimilarityFilter(Similarity(threshold=0.9, max_skip=5), 0)
    jobs = preparer().jobs(takes(made, 12, Image.new("RGB", (64, 64), "navy")), similarity)
    assert [job.frame for job in jobs if isinstance(job, FrameJob)] == [0, 3, 9]


def test_equal_shows_share_a_stage_and_prompts_are_encoded_once(monkeypatch):
    made = plan(EDITED)
    asked = []
    encode = backbone().encode_prompts
    monkeypatch.setattr(
        type(backbone()), "encode_prompts", lambda _, texts: asked.extend(texts) or encode(texts)
    )
    stages = [job.scene for job in preparer().jobs(takes(made, 12))]
    assert len({id(stage) for stage in stages}) == 2
    assert stages[0] is stages[5]
    assert stages[6] is stages[11]
    assert sorted(asked) == sorted(set(asked))
    assert "a blue star" in asked


def test_prompts_are_eased_between_their_embeddings():
    made = plan("stream: {timeline: [{at: 8, region: star, prompt: a blue star, ease: linear}]}")
    tables = [job.scene.table.embeds[2] for job in preparer().jobs(takes(made, 9))]
    torch.testing.assert_close(tables[2], torch.lerp(tables[0], tables[8], 0.25))
    assert not torch.allclose(tables[0], tables[8])


def test_a_region_may_leave_the_canvas_and_come_back(small):
    timeline = "{at: 4, region: star, shift: [1.5, 0], ease: linear}, {at: 8, region: star, shift: [0, 0]}"
    made = plan(f"stream: {{timeline: [{timeline}]}}")
    views = [
        {view.regions[0] for views in job.scene.regions.views for view in views}
        for job in preparer(small).jobs(takes(made, 9))
    ]
    assert views[0] == views[8] == {0, 1, 2}
    assert views[4] == {0, 1}
    assert len(streamed(made, 9, model=small)) == 9


@pytest.mark.slow
@torch.inference_mode()
def test_edits_at_every_tick_neither_leak_nor_drift():
    """300 ticks, each with other prompts, masks and numbers of regions, end where a fresh engine starts."""
    made, warm = plan(), 20

    def edited(frame: int) -> Plan:
        prompt = PromptMix.of(f"a star {frame % 7}")
        moving = replace(made.regions[1], shift=(0.002 * (frame % 50), 0.0), prompt=prompt)
        return replace(made, regions=(made.regions[0], moving)[frame % 3 == 0 :])

    preparing = preparer()
    jobs = (FrameJob(frame, preparing.scene(edited(frame), frame)) for frame in range(300))
    sampler, objects, last = StreamSampler(SeededNoise(5), StreamOptions()), {}, None
    for done in sampler.batched(jobs):
        last = done
        if done.frame in (warm, 295):
            gc.collect()
            objects[done.frame] = sum(type(found) is Tensor for found in gc.get_objects())
    assert objects[295] <= objects[warm] + 80  # what the last prompts and pictures keep

    fresh = StreamSampler(SeededNoise(5), StreamOptions())
    again = preparer()
    jobs = (FrameJob(frame, again.scene(edited(frame), frame)) for frame in range(290, 300))
    assert close(list(fresh.batched(jobs))[-1].latent, last.latent)


@pytest.mark.parametrize("way", ["batched", "sequential"])
def test_cancelled_it_evaluates_no_more(way):
    made = plan()
    sampler = StreamSampler(SeededNoise(5), StreamOptions())
    frames = getattr(sampler, way)(preparer().jobs(takes(made, 12)))
    assert next(frames).frame == 0
    sampler.cancel()
    with pytest.raises(Closed):
        next(frames)
