"""Direction: from the shows of a stream to their stages, and from its input frames to cues."""

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
from smd_cli.scene.timeline import Show, plan_at

Paint = Callable[[Plan], Setting]


@dataclass(frozen=True)
class Take:
    """A frame to come: what is shown then, and the input frame (RGB, canvas size) if there is one."""

    frame: int
    show: Show
    image: Image.Image | None = None


class Director:
    """Sets the stages of a stream's shows; what they have in common is painted and encoded once."""

    def __init__(self, plan: Plan, backbone: Backbone, paint: Paint, *, batch: Batch = "auto") -> None:
        self.plan = plan
        self.backbone = Remembering(backbone)
        self._paint = paint
        self._batch = batch
        self._show: Show | None = None
        self._stage: Stage | None = None

    def stage(self, show: Show) -> Stage:
        """Return the stage of a show: the last one, where the show is the same."""
        if self._stage is None or show != self._show:
            plan = plan_at(self.plan, show)
            setting = self._paint(plan)
            self._stage = set_stage(plan, setting, self.backbone, batch=self._batch, show=show)
            self._show = show
        return self._stage

    @torch.inference_mode()
    def cues(self, takes: Iterable[Take], unlike: SimilarityFilter | None = None) -> Iterator[Cue | Skip]:
        """Make frames ready to be painted; input frames that the filter stops are skipped.

        A frame whose show is another than the last painted one's is never skipped.
        """
        painted: Show | None = None
        for take in takes:
            if take.image is None:
                yield Cue(take.frame, self.stage(take.show))
                continue
            pixels = to_pixels(take.image).to(self.backbone.device)
            if unlike is not None and not unlike.passes(pixels, anyway=take.show != painted):
                yield Skip(take.frame)
                continue
            painted = take.show
            source = encode(self.backbone, pixels, wrap=self.plan.canvas.wrap == "x")
            yield Cue(take.frame, self.stage(take.show), source)
