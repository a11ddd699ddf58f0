"""diffusers' panorama pipeline (Bar-Tal et al., arXiv 2302.08113) on this program's weights, tiles and noise.

Import it once a model is loaded: only then are the libraries quiet about what they lack.
"""

from typing import cast

from diffusers.pipelines.deprecated.stable_diffusion_panorama.pipeline_stable_diffusion_panorama import (
    StableDiffusionPanoramaPipeline,
)
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from PIL import Image

from smd_cli.bench.programs import Program
from smd_cli.core.noise import SeededNoise
from smd_cli.core.tiling import Box
from smd_cli.engine.prepare import PreparedScene
from smd_cli.models.configs import SCHEDULER_CONFIG, read_json
from smd_cli.models.facts import NOISE
from smd_cli.models.unet import UNetModel


class EqualTiles(StableDiffusionPanoramaPipeline):  # type: ignore[misc]  # diffusers has no types
    """The pipeline on given tiles; its own are 64 latent pixels wide whatever the model."""

    boxes: tuple[Box, ...] = ()

    def get_views(
        self, panorama_height: int, panorama_width: int, circular_padding: bool = False
    ) -> list[tuple[int, int, int, int]]:
        """Return the tiles as (top, bottom, left, right) in latent pixels."""
        return [(box.top, box.bottom, box.left, box.right) for box in self.boxes]


def diffusers_panorama(scene: PreparedScene) -> Program:
    """Paint a scene of one prompt without guidance by DDIM in as many steps, as many tiles a batch.

    The scene's model is of the sd15 family. The pipeline averages tiles without ramps: on more than one tile
    its picture is another.
    """
    backbone = cast(UNetModel, scene.backbone)
    pipeline = equal_tiles(scene, backbone)
    height, width = (side * backbone.facts.downscale for side in scene.shape[-2:])
    steps = len(scene.method.schedule)

    def paint(seed: int) -> Image.Image:
        picture: Image.Image = pipeline(
            prompt_embeds=scene.table.rows([0]).embeds,
            latents=SeededNoise(seed)("init", 0, scene.shape).to(backbone.dtype),
            guidance_scale=1.0,
            num_inference_steps=steps,
            view_batch_size=scene.method.batch,
            height=height,
            width=width,
        ).images[0]
        return picture

    return Program("diffusers", paint, steps * len(pipeline.boxes), paints_the_same=False)


def equal_tiles(scene: PreparedScene, backbone: UNetModel) -> EqualTiles:
    """Build the pipeline on a scene's tiles and a backbone's own networks, and this program's DDIM."""
    path = backbone.assets.configs / SCHEDULER_CONFIG
    scheduler = DDIMScheduler(
        **NOISE.reduce(read_json(path), path),
        prediction_type=backbone.facts.prediction_type,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
    )
    pipeline = EqualTiles(
        vae=backbone.autoencoder.network,
        text_encoder=backbone.networks["text_encoder"],
        tokenizer=backbone.text_encoders[0].tokenizer.own,
        unet=backbone.networks["unet"],
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.boxes = scene.regions.tiling.boxes
    return pipeline
