"""Deterministic rendering: the same bits whatever the batch, the threads, and what else is in flight.

Which kernels sum in another order for another shape depends on the machine, so there is also a model that
rounds otherwise in every case, on any machine.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch
from torch import Tensor

from smd_cli.core.guidance import ModelInput
from smd_cli.core.noise import SeededNoise
from smd_cli.engine.deterministic import DeterministicBackbone, fixed_order
from smd_cli.engine.events import Clock, ignore_events
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import denoise, render
from smd_cli.engine.scene_preparer import InputFrame, ScenePreparer
from smd_cli.engine.stream_batch import RenderedFrame, StreamOptions, StreamSampler
from smd_cli.media.paint import paint_scene
from smd_cli.models.backbone import Backbone
from smd_cli.models.conditioning import Conditioning
from smd_cli.scene.frame_times import EvenTimes
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import Plan, resolve
from smd_cli.scene.timeline import plan_at
from tests.core.models import model_input
from tests.embedded import backbone

SCENE = """
smd: 1
canvas: {width: 96, height: 64}
seed: 5
sampler: {indices: [0, 25], tile: 64, guidance: full, guidance_scale: 1.5, late: coupled}
bootstrap: {steps: 1, leak_sensitivity: 0.2}
masks: {std: 4}
background: {prompt: sunset}
regions:
- {name: sun, prompt: the (sun:1.2), mask: {box: [0, 0, 0.5, 0.5]}, prompt_strength: 0.9}
- {name: star, prompt: a red star, mask: {ellipse: [0.6, 0.6, 0.3, 0.3]}}
"""
EDIT = """
task: stream
stream:
  frames: 6
  autoflush: true
  timeline:
  - {at: 3, region: star, prompt: a blue star}
"""


@dataclass(frozen=True)
class Careless:
    """The embedded model, whose answers change with the rows asked about at once, and with the threads."""

    inner: Backbone

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        encoded = self.inner.encode_prompts(prompts)
        return Conditioning(rounded(encoded.embeds), counts=encoded.counts)

    def prepare(self, table: Conditioning) -> Conditioning:
        prepared = self.inner.prepare(table)
        return Conditioning(prepared.embeds, keys=tuple(map(rounded, prepared.keys)), counts=prepared.counts)

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        return rounded(self.inner.predict(asked, conditioning))

    def decode(self, latents: Tensor, *, precise: bool = False) -> Tensor:
        return rounded(self.inner.decode(latents, precise=precise))


def rounded(answer: Tensor) -> Tensor:
    return answer * (1 + 1e-3 * len(answer) + 1e-2 * torch.get_num_threads())


@cache
def model(kind: str) -> DeterministicBackbone:
    with threads(3):
        return DeterministicBackbone.of(backbone() if kind == "embedded" else Careless(backbone()))


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def plan(text: str = "") -> Plan:
    return resolve(load_text(SCENE + text, "scene").scene, "scene", Path())


def setting(made: Plan) -> CanvasImages:
    return CanvasImages(paint_scene(made).masks)


def painted(kind: str, batch: int) -> bytes:
    with fixed_order(model(kind)):
        scene = prepare(plan(), setting(plan()), model(kind), batch=batch)
        return render(scene, 5, Clock(ignore_events)).image.tobytes()


def streamed(kind: str, options: StreamOptions, *, batch: int = 8, mode: str = "batched") -> list[Tensor]:
    made = plan(EDIT)
    with fixed_order(model(kind)):
        preparer = ScenePreparer(model(kind), lambda made, _: setting(made), batch=batch)
        frames = (InputFrame(frame, plan_at(made, frame, EvenTimes(8))) for frame in range(6))
        rendered = getattr(StreamSampler(SeededNoise(5), options), mode)(preparer.jobs(frames))
        return [each.latent for each in rendered if isinstance(each, RenderedFrame)]


@pytest.mark.parametrize("kind", ["embedded", "careless"])
def test_a_picture_has_the_same_bits_whatever_the_batch_and_the_threads(kind):
    pictures = []
    for batch, count in ((8, 2), (1, 1), (2, 3), (3, 2), (5, 1)):
        with threads(count):
            pictures.append(painted(kind, batch))
    assert len(set(pictures)) == 1


@pytest.mark.parametrize("kind", ["embedded", "careless"])
@pytest.mark.parametrize(
    ("options", "how"),
    [
        pytest.param(StreamOptions(), {"batch": 3}, marks=pytest.mark.slow),
        (StreamOptions(buffer=2), {}),
        pytest.param(StreamOptions(), {"mode": "sequential"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_frames_of_a_stream_have_the_bits_of_the_picture_that_is_made_alone(kind, options, how):
    options = StreamOptions(options.buffer, autoflush=True)
    frames = streamed(kind, options, **how)
    made = plan(EDIT)
    with fixed_order(model(kind)):
        for at in (0, 3):
            alone = prepare(
                plan_at(made, at, EvenTimes(8)), setting(plan_at(made, at, EvenTimes(8))), model(kind)
            )
            latent = denoise(alone, SeededNoise(5), Clock(ignore_events))
            assert all(torch.equal(frame, latent) for frame in frames[at : at + 3])


@dataclass
class Meeting:
    """A model whose evaluations wait for one another."""

    at: Barrier
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    threads: list[int] = field(default_factory=list)

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        self.at.wait(timeout=60)
        self.threads.append(torch.get_num_threads())
        return asked.latents


def test_what_is_computed_beside_the_model_runs_on_one_thread_as_do_threads_that_begin_meanwhile():
    with threads(3), ThreadPoolExecutor(1) as later:
        with fixed_order(backbone()):
            assert torch.get_num_threads() == 3
        with fixed_order(model("embedded")):
            assert (torch.get_num_threads(), later.submit(torch.get_num_threads).result()) == (1, 1)
        assert torch.get_num_threads() == 3


def test_rows_are_evaluated_side_by_side_on_a_thread_each():
    with threads(3):
        meeting = Meeting(Barrier(3))
        deterministic = DeterministicBackbone.of(meeting)
        rows = model_input(torch.randn(3, 4, 2, 2), torch.arange(3))
        assert torch.equal(deterministic.predict(rows, Conditioning(torch.randn(3, 2, 2))), rows.latents)
        assert meeting.threads == [1, 1, 1]
        assert torch.get_num_threads() == 3


def test_rows_evaluated_at_once_attend_to_their_own_prompts():
    """The prompts' keys and values are handed to the layers in each thread by itself."""
    prompts = [f"a {colour} house" for colour in ("red", "blue", "green", "white", "black", "pink")]
    rows = model_input(
        torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.full((6,), 700)
    )
    with threads(3), torch.inference_mode():
        side_by_side = DeterministicBackbone.of(backbone())
        table = side_by_side.prepare(side_by_side.encode_prompts(prompts))
        together = backbone().predict(rows, backbone().prepare(backbone().encode_prompts(prompts)))
        torch.testing.assert_close(side_by_side.predict(rows, table), together, atol=1e-4, rtol=1e-4)


def test_an_error_of_one_row_is_raised_and_threads_stay_usable():
    class Broken(Meeting):
        def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
            if asked.timesteps[0] == 1:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return asked.latents

    deterministic = DeterministicBackbone.of(Broken(Barrier(1)))
    rows = model_input(torch.randn(4, 4, 2, 2), torch.arange(4))
    with pytest.raises(RuntimeError, match="allocate"):
        deterministic.predict(rows, Conditioning(torch.randn(4, 2, 2)))
    good = model_input(torch.randn(4, 4, 2, 2), torch.zeros(4))
    assert torch.equal(deterministic.predict(good, Conditioning(torch.randn(4, 2, 2))), good.latents)
