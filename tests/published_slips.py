"""Slips of the published code for SD3, around this program: recorded runs show those that were not mended."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from smd_cli.core.centering import roll, unroll
from smd_cli.core.guidance import ModelInput
from smd_cli.core.schedule import Schedule
from smd_cli.engine.prepare import PreparedScene
from smd_cli.models.conditioning import Conditioning
from tests.golden import Case

UNSHIFTED = {
    "sd3_regional_single_view",
    "sd3_regional_tiled",
    "sd3_regional_guided_mended",
    "sd3_inpaint_single_view",
    "sd3_stream_none",
}
TWICE_NOISED = {"sd3_regional_tiled", "sd3_inpaint_single_view", "sd3_stream_none"}


@dataclass
class Unshifted:
    """A backbone whose pictures are encoded without the shift that its decoder adds."""

    backbone: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backbone, name)

    def encode_image(self, pixels: Tensor, *, precise: bool = False) -> Tensor:
        config = self.backbone.networks["vae"].config
        return (
            self.backbone.encode_image(pixels, precise=precise) + config.shift_factor * config.scaling_factor
        )


class TwiceNoised(Schedule):
    """A schedule whose backgrounds come noised to the next level, which renoising then noises again.

    At the last step they are clean; in a stream they are nothing there.
    """

    is_stream = False

    def noise_to_end(self, clean: Tensor, noise: Tensor, steps) -> Tensor:
        following = Schedule.noise_to_start
        made = [
            following(self, clean, noise[[row]], [step + 1])
            if step + 1 < len(self)
            else clean * (not self.is_stream)
            for row, step in enumerate(steps)
        ]
        return torch.cat(made)


class TwiceNoisedStream(TwiceNoised):
    is_stream = True


@dataclass
class AlwaysCentred:
    """A backbone that is shown regions in the middle of their views in steps that bootstrap no more, too."""

    backbone: Any
    stage: PreparedScene

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backbone, name)

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        schedule, views = self.stage.method.schedule, self.stage.regions.views
        steps = [int((schedule.timesteps == time).nonzero()) for time in asked.timesteps]
        rolls = [
            (0, 0) if step < self.stage.method.bootstrap.steps else views[step][region].roll
            for step, region in zip(steps, asked.prompts.tolist(), strict=True)
        ]
        latents = torch.stack([roll(x, by) for x, by in zip(asked.latents, rolls, strict=True)])
        predicted = self.backbone.predict(replace(asked, latents=latents), conditioning)
        return torch.stack([unroll(x, by) for x, by in zip(predicted, rolls, strict=True)])


def slipping(case: Case, schedule: Schedule) -> Schedule:
    """Return a schedule as a recorded run has it."""
    if case.name not in TWICE_NOISED:
        return schedule
    kind = TwiceNoisedStream if case.settings["task"] == "stream" else TwiceNoised
    return kind(**{each.name: getattr(schedule, each.name) for each in fields(schedule)})


def with_slips(case: Case, stage: PreparedScene) -> PreparedScene:
    """Return a prepared scene with the slips of a recorded run, but for how its pictures were encoded."""
    stage = replace(stage, method=replace(stage.method, schedule=slipping(case, stage.method.schedule)))
    if case.name == "sd3_stream_none":
        prompts = case.settings["prompts"]
        pooled = stage.backbone.encode_prompts(prompts).pooled
        table = replace(stage.table, pooled=torch.cat([pooled, stage.table.pooled[len(prompts) :]]))
        stage = replace(stage, table=table, backbone=AlwaysCentred(stage.backbone, stage))
    return stage
