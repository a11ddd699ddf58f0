"""Preparing a scene for a model: everything that does not depend on the seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smd_cli.core.bootstrap import Bootstrap
from smd_cli.core.regions import Regions, Work
from smd_cli.core.rows import Rows
from smd_cli.core.step import Method
from smd_cli.engine.autoencoder import encode
from smd_cli.engine.batching import Batch, views_at_once
from smd_cli.engine.device import exclusive
from smd_cli.engine.encoder import CachedEncoder, Encoder
from smd_cli.engine.layers import CanvasImages, Layer
from smd_cli.engine.layout import Layout, make_layout
from smd_cli.engine.pixels import to_pixels
from smd_cli.engine.preserved_background import PreservedBackground, preserve_background
from smd_cli.models.backbone import Backbone
from smd_cli.models.conditioning import Conditioning, prompt_table
from smd_cli.models.local_loras import LoraWeights, with_lora_table
from smd_cli.models.thrifty import memory_of
from smd_cli.scene.resolve import Plan


@dataclass(frozen=True)
class PreparedScene:
    """What the sampler needs of a scene, on the backbone's device.

    `shape` is that of the canvas's latents, (1, C, h, w); `table` holds the regions' positive prompts, then
    their negatives. `source` (1, C, h, w) is the clean latent that pictures start from, where they do not
    start from noise; `preserved` is the background picture where it stays; `size` is the written picture's
    (width, height) px.
    """

    backbone: Backbone
    method: Method
    regions: Regions
    table: Conditioning
    shape: tuple[int, ...]
    source: Tensor | None
    preserved: PreservedBackground | None
    size: tuple[int, int]
    wraps: bool

    @property
    def work(self) -> Work:
        """Return the model evaluations of one picture, and what they would be without savings."""
        return self.regions.work(self.method.guidance)

    def starting_rows(self, noise: Tensor, source: Tensor | None = None) -> Rows:
        """Return the rows before their first step, from noise (N, C, h, w).

        `source` (N, C, h, w) is the clean latent that they start from, by default the scene's own.
        """
        noise = noise.to(self.backbone.device)
        clean = self.source if source is None else source
        schedule, steps = self.method.schedule, (0,) * len(noise)
        x = schedule.initial_scale * noise if clean is None else schedule.noise_to_start(clean, noise, steps)
        return Rows(x, steps, noise)


@torch.inference_mode()
def prepare(
    plan: Plan,
    images: CanvasImages,
    backbone: Backbone,
    *,
    encoder: Encoder | None = None,
    batch: Batch = "auto",
) -> PreparedScene:
    """Encode a scene's prompts and pictures and arrange its regions; `batch` views are evaluated at once.

    `encoder` is that of the backbone, where earlier scenes have used one. Raises as `engine.render.render`.
    """
    if plan.model.captioner:
        raise ValueError("the background's prompt is to be a caption, which has to be made before")
    encoder = encoder or CachedEncoder(backbone)
    layout = make_layout(plan, images, backbone.facts, backbone.schedules)
    wraps = plan.canvas.wraps
    picture, memory = None, memory_of(backbone)
    if images.background is not None:
        picture = encode(encoder, to_pixels(images.background).to(backbone.device), wrap=wraps, memory=memory)
    repainted = plan.background.strength is not None
    background = None if repainted else picture
    white = None
    if plan.bootstrap.steps or (background is None and not layout.regions.is_complete):
        white = _white(plan, encoder, backbone)
    prompts = _prompts(layout.layers, encoder, tuple(backbone.assets.local_loras))
    with exclusive(backbone.device):
        table = backbone.prepare(prompts)
    return PreparedScene(
        backbone=backbone,
        method=_method(plan, layout, white, batch=views_at_once(batch, layout, backbone)),
        regions=layout.regions.to(backbone.device).over(background, white),
        table=table,
        shape=layout.shape,
        source=picture if repainted or plan.sampler.indices[0] else None,
        preserved=preserve_background(plan, images, backbone.device),
        size=plan.size,
        wraps=wraps,
    )


def _white(plan: Plan, encoder: Encoder, backbone: Backbone) -> Tensor:
    """Encode a white picture: regions are bootstrapped on it, and it shows where nothing is painted."""
    pixels = torch.ones(1, 3, plan.canvas.height, plan.canvas.width, device=backbone.device)
    return encode(encoder, pixels, wrap=plan.canvas.wraps, memory=memory_of(backbone))


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


def _prompts(layers: Sequence[Layer], encoder: Encoder, loras: Sequence[str]) -> Conditioning:
    """Encode the prompts in the order of the layers, then the negatives; `loras` are the model's local ones.

    What a layer's prompt is mixed of is encoded with the layer's LoRAs.
    """
    rows = [(layer.prompt, _lora_weights(layer, loras)) for layer in layers]
    rows += [(layer.negative_prompt, _lora_weights(layer, loras)) for layer in layers]

    def encode(texts: list[tuple[str, LoraWeights]]) -> Conditioning:
        return Conditioning.joined([encoder.encode_prompts([text], weights) for text, weights in texts])

    mixes = [[((text, weights), share) for text, share in prompt.weights] for prompt, weights in rows]
    return with_lora_table(prompt_table(encode, mixes), [weights for _, weights in rows])


def _lora_weights(layer: Layer, loras: Sequence[str]) -> LoraWeights:
    """Return the weight that each of a model's local LoRAs has for a layer; () where all are 0."""
    sums = dict.fromkeys(loras, 0.0)
    for lora in layer.loras:
        sums[lora.path.source] += lora.weight
    return tuple(sums.values()) if any(sums.values()) else ()
