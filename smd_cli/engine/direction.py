"""Direction: from the plans of a stream's frames to their stages, and from its input frames to cues."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from PIL import Image

from smd_cli.engine.autoencoder import encode
from smd_cli.engine.batching import Batch
from smd_cli.engine.masks import Setting
from smd_cli.engine.pixels import to_pixels
from smd_cli.engine.similarity import SimilarityFilter
from smd_cli.engine.stage import Stage, set_stage
from smd_cli.engine.stream import Cue, Skip
from smd_cli.models.backbone import Backbone
from smd_cli.models.remembering import Remembering
from smd_cli.scene.resolve import Plan

Paint = Callable[[Plan], Setting]


@dataclass(frozen=True)
class Take:
    """A frame to come: the plan of its scene, and the input frame (RGB, canvas size) if there is one."""

    frame: int
    plan: Plan
    image: Image.Image | None = None


class Director:
    """Sets the stages of a stream's frames; what they have in common is painted and encoded once."""

    def __init__(self, plan: Plan, backbone: Backbone, paint: Paint, *, batch: Batch = "auto") -> None:
        self.plan = plan
        self.backbone = Remembering(backbone)
        self._paint = paint
        self._batch = batch
        self._staged: Plan | None = None
        self._stage: Stage | None = None

    def stage(self, plan: Plan) -> Stage:
        """Return the stage of a frame's plan: the last one, where the plan is the same."""
        if self._stage is None or plan != self._staged:
            self._stage = set_stage(plan, self._paint(plan), self.backbone, batch=self._batch)
            self._staged = plan
        return self._stage

    @torch.inference_mode()
    def cues(self, takes: Iterable[Take], unlike: SimilarityFilter | None = None) -> Iterator[Cue | Skip]:
        """Make frames ready to be painted; input frames that the filter stops are skipped.

        A frame whose plan is another than the last painted one's is never skipped.
        """
        painted: Plan | None = None
        for take in takes:
            if take.image is None:
                yield Cue(take.frame, self.stage(take.plan))
                continue
            pixels = to_pixels(take.image).to(self.backbone.device)
            if unlike is not None and not unlike.passes(pixels, anyway=take.plan != painted):
                yield Skip(take.frame)
                continue
            painted = take.plan
            source = encode(self.backbone, pixels, wrap=self.plan.canvas.wrap == "x")
            yield Cue(take.frame, self.stage(take.plan), source)
