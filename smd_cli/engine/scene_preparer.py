"""Preparing the scenes of a stream's frames, and its input frames, for the sampler."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from PIL import Image

from smd_cli.engine.autoencoder import encode
from smd_cli.engine.batching import Batch
from smd_cli.engine.encoder import CachedEncoder
from smd_cli.engine.pixels import to_pixels
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.engine.similarity import SimilarityFilter
from smd_cli.engine.soft_masks import CanvasImages
from smd_cli.engine.stream_batch import FrameJob, SkippedFrame
from smd_cli.models.backbone import Backbone
from smd_cli.scene.resolve import Plan
from smd_cli.scene.timeline import Show, plan_at

Paint = Callable[[Plan], CanvasImages]


@dataclass(frozen=True)
class InputFrame:
    """A frame to come: the scene as it is then, and the input picture (RGB, canvas size) if there is one."""

    frame: int
    show: Show
    image: Image.Image | None = None


class ScenePreparer:
    """Prepares the scenes of a stream; what they have in common is painted and encoded once."""

    def __init__(self, plan: Plan, backbone: Backbone, paint: Paint, *, batch: Batch = "auto") -> None:
        self.plan = plan
        self.backbone = backbone
        self.encoder = CachedEncoder(backbone)
        self._paint = paint
        self._batch = batch
        self._show: Show | None = None
        self._scene: PreparedScene | None = None

    def scene(self, show: Show) -> PreparedScene:
        """Return the prepared scene of a plan: the last one, where the plan is the same."""
        if self._scene is None or show != self._show:
            plan = plan_at(self.plan, show)
            images = self._paint(plan)
            self._scene = prepare(
                plan, images, self.backbone, encoder=self.encoder, batch=self._batch, show=show
            )
            self._show = show
        return self._scene

    @torch.inference_mode()
    def jobs(
        self, frames: Iterable[InputFrame], similarity: SimilarityFilter | None = None
    ) -> Iterator[FrameJob | SkippedFrame]:
        """Make frames ready to be rendered; input pictures that the filter stops are skipped.

        A frame whose scene is another than the last rendered one's is never skipped.
        """
        rendered: Show | None = None
        for each in frames:
            if each.image is None:
                yield FrameJob(each.frame, self.scene(each.show))
                continue
            pixels = to_pixels(each.image).to(self.backbone.device)
            if similarity is not None and not similarity.passes(pixels, anyway=each.show != rendered):
                yield SkippedFrame(each.frame)
                continue
            rendered = each.show
            source = encode(self.encoder, pixels, wrap=self.plan.canvas.wrap == "x")
            yield FrameJob(each.frame, self.scene(each.show), source)
