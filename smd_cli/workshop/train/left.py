"""Lessons of what the program itself leaves before its late steps, and of what should become of it.

A bootstrap that lets the background show through leaves crumbs of white at the edges of things and takes away
of pale ones, in a way that no drawn patch of white is like. So scenes are bootstrapped by the program. Their
right pictures are known: the things as the same scene shows them where all steps are bootstrapped on white,
cut out and laid over what the background alone becomes.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from smd_cli.core.noise import SeededNoise
from smd_cli.core.sample import sample
from smd_cli.engine.batching import Evaluator
from smd_cli.engine.prepare import PreparedScene
from smd_cli.models.backbone import Backbone
from smd_cli.workshop.quality.methods import Variant, prepare_variant
from smd_cli.workshop.quality.random_scenes import RandomScene, draw_scene
from smd_cli.workshop.train.latents import Codec
from smd_cli.workshop.train.painted import CELL, random_prompt
from smd_cli.workshop.world import captions
from smd_cli.workshop.world.cutout import SOLID, coverage, laid_over, without_specks
from smd_cli.workshop.world.picture import SCENIC

FIRST_SEED = 700_000
"""Seed of the first scene, far from those of benchmarks."""

LEAST_SHOWN = 8
"""Latent pixels that a thing has to cover; else it was lost."""

LEAST_SHARE = 4
"""Latent pixels of a tile that a region has to have to matter there."""


BEHIND = (*SCENIC, *("white",) * 2)
"""Backgrounds of the scenes."""


class Way(NamedTuple):
    """A way to sample: indices of the grid, how many are bootstrapped, and two late ones to train at."""

    indices: tuple[int, ...]
    bootstrapped: int
    late: tuple[int, int]

    @property
    def settings(self) -> dict[str, Any]:
        """The scene keys that ask for it."""
        return {
            "sampler.indices": list(self.indices),
            "sampler.late": "coupled",
            "bootstrap.steps": self.bootstrapped,
            "bootstrap.show_through": True,
            "bootstrap.own_tiles": True,
            "bootstrap.leak_sensitivity": 0.1,
            "masks.std": 4.0,
        }

    @property
    def all_on_white(self) -> dict[str, Any]:
        """The scene keys that paint the same things on white to the end."""
        steps = len(self.indices)
        return self.settings | {
            "bootstrap.steps": steps,
            "bootstrap.mix_steps": float(steps),
            "bootstrap.show_through": False,
            "bootstrap.leak_sensitivity": 0.0,
        }


WAYS = (Way((0, 4, 10, 18, 28, 38), 4, (28, 38)), Way((0, 4, 10, 18, 26, 30), 5, (30, 40)))


class SceneLesson(NamedTuple):
    """A tile of a scene before its first late step.

    Attributes:
        shown: the estimate after the bootstrap, latents (4, h, w).
        latents: what it should become, (4, h, w).
        words: the prompts of the R regions in it, the background's first.
        shares: how much of each latent pixel they have, (R, h, w).
        late: indices of the late steps that see it.
    """

    shown: Tensor
    latents: Tensor
    words: tuple[str, ...]
    shares: Tensor
    late: tuple[int, int]


class PaintedGround(NamedTuple):
    """A tile of a background alone: its words, latents (4, h, w) when a bootstrap ends, and its picture."""

    words: str
    begun: Tensor
    picture: np.ndarray


def lesson_scene(seed: int) -> RandomScene:
    """Draw a random scene whose things can be told from white, worded as in training."""
    rng = random.Random(seed)  # noqa: S311 - lessons, not secrets
    scene = draw_scene(seed)
    words = captions.background_words(rng, rng.choice(BEHIND))
    regions = [region | {"prompt": random_prompt(rng)} for region in scene.document["regions"]]
    return replace(scene, document=scene.document | {"background": {"prompt": words}, "regions": regions})


class Rendered(NamedTuple):
    """A prepared scene, and its estimates (1, 4, H, W) after each step."""

    stage: PreparedScene
    estimates: list[Tensor]


def _rendered(scene: RandomScene, settings: dict[str, Any], backbone: Backbone) -> Rendered:
    stage = prepare_variant(Variant("left", "left", settings), scene, backbone, "auto")
    noise, estimates = SeededNoise(scene.seed), []

    def on_step(_: int, estimate: Tensor) -> None:
        estimates.append(estimate.cpu())

    with torch.no_grad():
        rows = stage.starting_rows(noise("init", 0, stage.shape))
        sample(rows, stage.regions, stage.method, Evaluator(backbone, stage.table), noise, on_step)
    return Rendered(stage, estimates)


def scene_lessons(
    backbone: Backbone, codec: Codec, scene: RandomScene, way: Way
) -> tuple[list[SceneLesson], list[PaintedGround]]:
    """Render a scene as far as a way bootstraps it; return the lessons of its tiles, and its background's.

    Tiles with a region that shows nothing on white are left out.
    """
    rendered = _rendered(scene, way.settings, backbone)
    no_ground = replace(scene, document=scene.document | {"background": {"prompt": ""}})
    alone = _rendered(no_ground, way.all_on_white, backbone)
    no_regions = replace(scene, document=scene.document | {"regions": []})
    ground = _rendered(no_regions, {"sampler.indices": list(way.indices)}, backbone)
    begun, shown = (each.estimates[way.bootstrapped - 1] for each in (ground, rendered))
    behind = codec.decode(ground.estimates[-1])[0]
    picture, missing = _on_ground(alone, codec, behind)
    latents = codec.encode(picture[None])
    words = [scene.document["background"]["prompt"], *(r["prompt"] for r in scene.document["regions"])]
    regions, lessons, grounds = rendered.stage.regions, [], []
    for view in regions.views[way.bootstrapped]:
        shares = regions.shares(view).cpu()
        seen = {
            region for region, share in zip(view.regions, shares, strict=True) if share.sum() > LEAST_SHARE
        }
        if seen & missing:
            continue
        told = tuple(words[region] for region in view.regions)
        lessons.append(SceneLesson(view.box.of(shown)[0], view.box.of(latents)[0], told, shares, way.late))
        down, right = (slice(a * CELL, b * CELL) for a, b in (view.box[:2], view.box[2:]))
        grounds.append(PaintedGround(words[0], view.box.of(begun)[0], behind[down, right]))
    return lessons, grounds


def _on_ground(alone: Rendered, codec: Codec, ground: np.ndarray) -> tuple[np.ndarray, set[int]]:
    """Lay the things of a scene on white over a ground; return that, and which regions show nothing.

    Regions count from 1, as they do in front of a background that has a prompt.
    """
    on_white, regions = codec.decode(alone.estimates[-1])[0], alone.stage.regions
    covered = without_specks(coverage(on_white))
    solid = torch.from_numpy((covered > SOLID).astype(np.float32))
    shown = (regions.masks[:, -1, 0] * avg_pool2d(solid[None], CELL)).sum((1, 2))
    missing = {region for region, cells in enumerate(shown.tolist(), start=1) if cells < LEAST_SHOWN}
    return laid_over(on_white, covered, ground), missing


def lessons_of_scenes(
    backbone: Backbone, codec: Codec, seeds: Sequence[int]
) -> Iterator[tuple[list[SceneLesson], list[PaintedGround]]]:
    """Yield the lessons of the scenes of some seeds, in the ways of `WAYS`, and their backgrounds."""
    for seed in seeds:
        yield scene_lessons(backbone, codec, lesson_scene(seed), WAYS[seed % len(WAYS)])
