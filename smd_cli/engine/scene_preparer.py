"""Preparing the scenes of a stream's frames, and its input frames, for the sampler."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from PIL import Image

from smd_cli.engine.autoencoder import encode
from smd_cli.engine.batching import Batch
from smd_cli.engine.encoder import CachedEncoder
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.pixels import to_pixels
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.engine.similarity import SimilarityFilter
from smd_cli.engine.stream_batch import FrameJob, SkippedFrame
from smd_cli.models.backbone import Backbone
from smd_cli.models.thrifty import memory_of
from smd_cli.scene.resolve import Plan

Paint = Callable[[Plan, int], CanvasImages]
"""Paints the plan of a frame, whose number is for messages."""


@dataclass(frozen=True)
class InputFrame:
    """A frame to come: the plan of its scene, and the input picture (RGB, canvas size) if there is one."""

    frame: int
    plan: Plan
    image: Image.Image | None = None


class ScenePreparer:
    """Prepares the scenes of a stream's frames; what they have in common is painted and encoded once."""

    def __init__(self, backbone: Backbone, paint: Paint, *, batch: Batch = "auto") -> None:
        self.backbone = backbone
        self.encoder = CachedEncoder(backbone)
        self._paint = paint
        self._batch = batch
        self._last: tuple[Plan, PreparedScene] | None = None

    def scene(self, plan: Plan, frame: int) -> PreparedScene:
        """Return the prepared scene of a frame's plan: the last one, where the plan is the same."""
        if self._last is None or plan != self._last[0]:
            images = self._paint(plan, frame)
            self._last = plan, prepare(plan, images, self.backbone, encoder=self.encoder, batch=self._batch)
        return self._last[1]

    @torch.inference_mode()
    def jobs(
        self, frames: Iterable[InputFrame], similarity: SimilarityFilter | None = None
    ) -> Iterator[FrameJob | SkippedFrame]:
        """Make frames ready to be rendered; input pictures that the filter stops are skipped.

        A frame whose plan is another than the last rendered one's is never skipped.
        """
        rendered: Plan | None = None
        for each in frames:
            if each.image is None:
                yield FrameJob(each.frame, self.scene(each.plan, each.frame))
                continue
            pixels = to_pixels(each.image).to(self.backbone.device)
            if similarity is not None and not similarity.passes(pixels, anyway=each.plan != rendered):
                yield SkippedFrame(each.frame)
                continue
            rendered = each.plan
            wraps, memory = each.plan.canvas.wraps, memory_of(self.backbone)
            source = encode(self.encoder, pixels, wrap=wraps, memory=memory)
            yield FrameJob(each.frame, self.scene(each.plan, each.frame), source)
