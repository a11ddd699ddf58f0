"""The noise that a stream's frames start from: some shared, some their own, always of unit variance."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from smd_cli.core.guidance import Guidance, ModelInput
from smd_cli.core.regions import arrange_regions
from smd_cli.core.step import Method
from smd_cli.engine.prepare import PreparedScene
from smd_cli.engine.stream_batch import FrameJob, StreamOptions, StreamSampler
from smd_cli.models.conditioning import Conditioning
from tests.core.models import lcm, training

SIDE = 8
SHAPE = (1, 4, SIDE, SIDE)


@dataclass
class Watched:
    """A model that predicts nothing and keeps the latents that it is shown."""

    shown: list[Tensor] = field(default_factory=list)
    device = torch.device("cpu")

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        self.shown.extend(asked.latents)
        return torch.zeros_like(asked.latents)


def scene(model: Watched) -> PreparedScene:
    """One region over the whole canvas, one tile, one step: the model is shown what a frame starts from."""
    return PreparedScene(
        backbone=model,
        method=Method(lcm(training(), [0]), Guidance()),
        regions=arrange_regions(torch.ones(1, 1, 1, SIDE, SIDE), SIDE),
        table=Conditioning(torch.zeros(2, 1, 1)),
        shape=SHAPE,
        source=None,
        preserved=None,
        size=(8 * SIDE, 8 * SIDE),
        wraps=False,
    )


def waves(purpose: str, step: int, shape: tuple[int, ...]) -> Tensor:
    """Draw stripes of ±1: rows for the shared noise, columns for frame 0, wider columns for frame 1.

    Each has a variance of exactly 1, and no two are correlated.
    """
    along = torch.arange(SIDE).expand(SIDE, SIDE)
    stripes = {("init", 0): along.T % 2, ("frame", 0): along % 2, ("frame", 1): along // 2 % 2}
    return (2.0 * stripes.get((purpose, step), torch.zeros(SIDE, SIDE)) - 1).expand(shape)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("run", ["batched", "sequential"])
def test_frames_keep_unit_variance_however_much_of_the_noise_is_their_own(run: str, share: float) -> None:
    model = Watched()
    sampler, made = StreamSampler(waves, StreamOptions(variation=share)), scene(model)
    list(getattr(sampler, run)(FrameJob(frame, made) for frame in range(2)))
    shared, own = waves("init", 0, SHAPE)[0], [waves("frame", frame, SHAPE)[0] for frame in range(2)]
    for start, mine, other in zip(model.shown, own, reversed(own), strict=True):
        assert start.square().mean() == pytest.approx(1), "the model was trained on noise of unit variance"
        assert (start * mine).mean() == pytest.approx(share, abs=1e-6)
        assert (start * other).mean() == pytest.approx(0, abs=1e-6)
        assert (start * shared).mean() >= 0
