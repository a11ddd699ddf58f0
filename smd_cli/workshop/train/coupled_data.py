"""What the last stage learns from: scenes that the program bootstraps, and drawn pale things."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from smd_cli.media.files import replacing
from smd_cli.models.assets import locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load
from smd_cli.models.spec import ModelSpec
from smd_cli.workshop.train.config import Config
from smd_cli.workshop.train.coupled import CoupledLessons, encode_coupled
from smd_cli.workshop.train.late import LateParts
from smd_cli.workshop.train.left import FIRST_SEED, SceneLesson, lessons_of_scenes
from smd_cli.workshop.train.pale import Drawer

KINDS = ("left", "pale", "alone")


def program_of(folder: Path) -> Backbone:
    """Load an exported model as the program does for few steps."""
    assets = locate(ModelSpec(str(folder)), few_step=True, offline=True)
    return load(assets, torch.device("cpu"), torch.float32)


def coupled_lessons(
    model: Path, student: UNet2DConditionModel, parts: LateParts, config: Config
) -> tuple[CoupledLessons, CoupledLessons, dict[str, Tensor]]:
    """Return lessons of scenes and of pale things, and things alone as `hard_lessons` has them.

    They are read from the stage's folder, or made with the student, whose exported model is in the folder
    `model`, and stored there.
    """
    path = config.stage("coupled") / "lessons.safetensors"
    if not path.exists():
        made = _make(model, student, parts, config)
        with replacing(path) as temporary:
            save_file({f"{kind}.{name}": x for kind in KINDS for name, x in made[kind].items()}, temporary)
    stored = {name: tensor.to(student.device) for name, tensor in load_file(path).items()}
    left, pale, alone = (
        {name.removeprefix(f"{kind}."): x for name, x in stored.items() if name.startswith(f"{kind}.")}
        for kind in KINDS
    )
    return CoupledLessons(**left), CoupledLessons(**pale), alone


def _make(
    model: Path, student: UNet2DConditionModel, parts: LateParts, config: Config
) -> dict[str, dict[str, Tensor]]:
    rng = random.Random(config.seed)  # noqa: S311 - lessons, not secrets
    drawer = Drawer(student, parts.states, parts.codec, rng, torch.Generator().manual_seed(config.seed))
    seeds = range(FIRST_SEED, FIRST_SEED + config.coupled_scenes)
    scenes = list(lessons_of_scenes(program_of(model), parts.codec, seeds))
    left = [lesson for lessons, _ in scenes for lesson in lessons]
    grounds = [ground for _, behind in scenes for ground in behind]
    pale = [drawer.lesson(rng.choice(grounds)) for _ in range(config.coupled_pale)]
    latents, regions, words = zip(*(drawer.alone() for _ in range(config.coupled_alone)), strict=True)
    return {
        "left": _encoded(left, parts),
        "pale": _encoded(pale, parts),
        "alone": {
            "latents": torch.stack(latents).half().contiguous(),
            "regions": torch.stack(regions)[:, None],
            "ids": parts.ids(words),
        },
    }


def _encoded(lessons: Sequence[SceneLesson], parts: LateParts) -> dict[str, Tensor]:
    return encode_coupled(lessons, parts.ids([words for lesson in lessons for words in lesson.words]))
