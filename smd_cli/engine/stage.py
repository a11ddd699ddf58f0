"""A stage: a scene made ready for a model, with everything that does not depend on the seed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from smd_cli.core.bootstrap import Bootstrap
from smd_cli.core.regions import Regions, Work
from smd_cli.core.step import Method
from smd_cli.engine.autoencoder import encode
from smd_cli.engine.batching import Batch, views_at_once
from smd_cli.engine.blend import Keep, keep_picture
from smd_cli.engine.layout import Layout, lay_out
from smd_cli.engine.masks import Setting
from smd_cli.engine.pixels import to_pixels
from smd_cli.models.backbone import Backbone
from smd_cli.models.conditioning import Conditioning, prompt_table
from smd_cli.scene.prompts import mixed
from smd_cli.scene.resolve import Plan

Encode = Callable[[list[str]], Conditioning]
WHITE_PROMPT = "simple white background image"


@dataclass(frozen=True)
class Stage:
    """What the sampler needs of a scene, on the backbone's device.

    `shape` is that of the canvas's latents, (1, C, h, w); `table` holds the regions' positive prompts, then
    their negatives. `source` (1, C, h, w) is the clean latent that image-to-image starts from; `keep` is what
    stays of the background picture; `size` is the written picture's (width, height) px.
    """

    backbone: Backbone
    method: Method
    regions: Regions
    table: Conditioning
    shape: tuple[int, ...]
    source: Tensor | None
    keep: Keep | None
    size: tuple[int, int]
    wraps: bool

    @property
    def work(self) -> Work:
        """Model evaluations of one picture, and what they would be without savings."""
        return self.regions.work(self.method.guidance)


def set_stage(plan: Plan, setting: Setting, backbone: Backbone, *, batch: Batch = "auto") -> Stage:
    """Encode a scene's prompts and pictures and arrange its regions; `batch` views are evaluated at once."""
    layout = lay_out(plan, setting, backbone.facts, backbone.alphas_cumprod)
    wraps = plan.canvas.wrap == "x"
    picture = None
    if setting.background is not None:
        picture = encode(backbone, to_pixels(setting.background).to(backbone.device), wrap=wraps)
    repainted = plan.background.strength is not None
    background = None if repainted else picture
    white = _white(plan, layout, backbone, needed=background is None and not layout.regions.is_complete)
    return Stage(
        backbone=backbone,
        method=_method(plan, layout, white, batch=views_at_once(batch, layout, backbone)),
        regions=layout.regions.to(backbone.device).over(background, white),
        table=backbone.prepare(_prompts(plan, setting, backbone.encode_prompts)),
        shape=layout.shape,
        source=picture if repainted else None,
        keep=keep_picture(plan, setting, layout.soft, backbone.device),
        size=plan.size,
        wraps=wraps,
    )


def _white(plan: Plan, layout: Layout, backbone: Backbone, *, needed: bool) -> Tensor | None:
    """Encode a white picture, where regions are bootstrapped on it or it shows."""
    if not needed and plan.bootstrap.steps == 0:
        return None
    pixels = torch.ones(1, 3, plan.canvas.height, plan.canvas.width, device=backbone.device)
    return encode(backbone, pixels, wrap=plan.canvas.wrap == "x")


def _method(plan: Plan, layout: Layout, white: Tensor | None, *, batch: int) -> Method:
    settings = plan.bootstrap
    if white is None or settings.steps == 0:
        return Method(layout.schedule, layout.guidance, None, batch)
    bootstrap = Bootstrap(
        white,
        settings.steps,
        settings.mix_steps,
        settings.leak_sensitivity or None,
        show_through=settings.show_through,
    )
    return Method(layout.schedule, layout.guidance, bootstrap, batch)


def _prompts(plan: Plan, setting: Setting, encode: Encode) -> Conditioning:
    """Encode the prompts in the order of the masks, then the negatives; each may lean to the background's."""
    background, regions = plan.background, plan.regions
    halves = [
        (background.prompt.replaced("", WHITE_PROMPT), [region.prompt for region in regions]),
        (background.negative_prompt, [region.negative_prompt for region in regions]),
    ]
    table = []
    for of_background, of_regions in halves:
        table += [of_background] if setting.is_painted(plan) else []
        table += [
            mixed((of_background, 1 - region.prompt_strength), (own, region.prompt_strength))
            for own, region in zip(of_regions, regions, strict=True)
        ]
    return prompt_table(encode, [prompt.weights for prompt in table])
