"""Lessons of what the student paints itself: its things on patches of white, and the same things on a ground.

The first steps of a region leave a thing on white. The later ones have to keep it as it is while the white
becomes ground, and no drawn thing is like those that the student paints. So the student paints things on
white in all of its steps, which makes them whole; they are cut out and laid over grounds. A lesson shows what
the first steps had left, and its target is the whole thing on the ground.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from smd_cli.workshop.train.consistency import consistency
from smd_cli.workshop.train.latents import BATCH, Codec
from smd_cli.workshop.train.starts import GRID
from smd_cli.workshop.train.unet import TRAIN_STEPS, alphas_cumprod, noised
from smd_cli.workshop.world import captions, people
from smd_cli.workshop.world.backgrounds import BACKGROUNDS
from smd_cli.workshop.world.cutout import coverage, laid_over
from smd_cli.workshop.world.palette import SHAPE_COLORS
from smd_cli.workshop.world.picture import COLORED, PEOPLE, SCENIC, SHAPES, SUPERSAMPLE

SIZE, CELL = 256, 8
"""Side of a picture and of a latent cell, px."""

INDICES = ((0, 8, 18, 28, 38), (0, 4, 12, 20, 35))
"""Steps of the student, as indices of the grid of timesteps."""

FIRST_STEPS = 3
"""After this many of them a thing on white is as a lesson shows it."""

SIDES, ASPECTS = (72, 168), (0.6, 1.6)
"""Shortest and longest side of a region, px, and its width by its height."""

DARK_ENOUGH = (*SHAPES * 3, *("star", "sun", "flower") * 2, "tree", "house", "owl", "cat", "moon")
"""Things that can be told from white; there are a third as many people besides."""

ROUNDS = 5
"""How often the student paints every background."""

LEAST_COVERED = 0.01
"""Share of the picture that has to be covered; else nothing was painted."""


class PaintedThing(NamedTuple):
    """A thing that the student painted in a region in the middle of a white picture.

    Attributes:
        words: its prompt.
        region: cells of the region, (h, w) bool.
        begun: latents after the first steps, (4, h, w).
        picture: the picture after all steps, (H, W, 3) uint8.
        covered: how much of each pixel the thing covers, (H, W).
    """

    words: str
    region: Tensor
    begun: Tensor
    picture: np.ndarray
    covered: np.ndarray

    def moved(self, down: int, right: int) -> "PaintedThing":
        """Return the same thing elsewhere, so many cells away; what leaves the picture comes in opposite."""
        cells, pixels = (down, right), (down * CELL, right * CELL)
        return PaintedThing(
            self.words,
            self.region.roll(cells, (-2, -1)),
            self.begun.roll(cells, (-2, -1)),
            np.roll(self.picture, pixels, (0, 1)),
            np.roll(self.covered, pixels, (0, 1)),
        )


class Ground(NamedTuple):
    """A background: its words, latents (4, h, w) after the first steps, and picture (H, W, 3) uint8."""

    words: str
    begun: Tensor
    picture: np.ndarray


class Lesson(NamedTuple):
    """Things on patches of white before a ground, and what that should become.

    Attributes:
        picture: the things on the ground, (H, W, 3) uint8: the target.
        shown: latents of the things on patches of white, (4, h, w).
        caption: the prompt of a thing, of the ground, or of both.
        fade: how far from the target to `shown` a sampler is, 0 to 1: late steps begin where others ended.
    """

    picture: np.ndarray
    shown: Tensor
    caption: str
    fade: float


def random_region(rng: random.Random, size: int = SIZE) -> Tensor:
    """Draw a box, an ellipse or a polygon in the middle of a picture; return its cells (h, w) bool."""
    while True:
        w, h = rng.randint(*SIDES), rng.randint(*SIDES)
        if ASPECTS[0] < w / h < ASPECTS[1]:
            break
    half = size / 2
    box = (half - w / 2, half - h / 2, half + w / 2, half + h / 2)
    mask = Image.new("L", (size, size), 0)
    draw, shape = ImageDraw.Draw(mask), rng.choice(("box", "ellipse", "polygon"))
    if shape == "box":
        draw.rectangle(box, fill=255)
    elif shape == "ellipse":
        draw.ellipse(box, fill=255)
    else:
        corners, turn = rng.randint(5, 8), rng.uniform(0, math.tau)
        angles = [turn + math.tau * i / corners for i in range(corners)]
        draw.polygon([(half + w / 2 * math.cos(a), half + h / 2 * math.sin(a)) for a in angles], fill=255)
    return torch.from_numpy(np.asarray(mask.reduce(CELL)) > 127)


def random_prompt(rng: random.Random) -> str:
    """Return the words for a thing that can be told from white."""
    kind = rng.choice((*DARK_ENOUGH, *PEOPLE[:2] * 3))
    if kind in PEOPLE:
        person = people.random_person(rng, kind)
        while person.clothes == "white shirt" or person.hair == "white":
            person = people.random_person(rng, kind)
        return captions.person_words(rng, person)
    return captions.thing_words(rng, kind, rng.choice(list(SHAPE_COLORS)) if kind in COLORED else None)


@dataclass(frozen=True)
class Artist:
    """Makes lessons with a student.

    Attributes:
        student: the UNet with its adapter.
        states: of prompts, (N, 77, C).
        codec: the student's autoencoder.
        rng: of all choices.
        noise: of the student's noise.
    """

    student: nn.Module
    states: Callable[[Sequence[str]], Tensor]
    codec: Codec
    rng: random.Random
    noise: torch.Generator

    @cached_property
    def white(self) -> Tensor:
        """The latents (1, 4, h, w) of a white picture."""
        return self.codec.encode(np.full((1, SIZE, SIZE, 3), 255, np.uint8))

    @torch.no_grad()
    def estimate(self, clean: Tensor, states: Tensor, timestep: int) -> Tensor:
        """Return what the student makes of latents (N, 4, h, w), noised to a timestep, under states."""
        timesteps = torch.full((len(clean),), timestep, device=states.device)
        noise = torch.randn(clean.shape, generator=self.noise).to(states.device)
        z = noised(clean.to(states.device), noise, timesteps, alphas_cumprod())
        z = z.contiguous(memory_format=torch.channels_last)
        with torch.autocast(z.device.type, torch.bfloat16):
            return consistency(self.student, z, timesteps, states)


class Painter(Artist):
    """Paints things and grounds with a student, and makes lessons of them."""

    def things(self, count: int) -> list[PaintedThing]:
        """Paint `count` things in regions on white; leave those out that stayed white."""
        words = [random_prompt(self.rng) for _ in range(count)]
        regions = torch.stack([random_region(self.rng) for _ in words])
        begun, done = self._sample(words, regions[:, None])
        pictures = self.codec.decode(done)
        painted = zip(words, regions, begun, pictures, map(coverage, pictures), strict=True)
        return [PaintedThing(*parts) for parts in painted if (parts[-1] > 0.5).mean() > LEAST_COVERED]

    def grounds(self) -> list[Ground]:
        """Paint every background once."""
        words = [captions.background_words(self.rng, name) for name in SCENIC]
        begun, done = self._sample(words, torch.ones(len(words), 1, SIZE // CELL, SIZE // CELL) > 0)
        return [Ground(*parts) for parts in zip(words, begun, self.codec.decode(done), strict=True)]

    def lesson(self, things: Sequence[PaintedThing], grounds: Sequence[Ground]) -> Lesson:
        """Lay one to three things over a ground that the student painted, or over a drawn one."""
        rng = self.rng
        ground = rng.choice(grounds) if rng.random() < 0.5 else drawn_ground(rng, self.codec)
        chosen = [rng.choice(things) for _ in range(rng.choice((1, 1, 2, 2, 3)))]
        picture, shown = ground.picture, ground.begun
        for thing in chosen:
            moved = thing.moved(*random_move(rng, thing.region))
            picture = laid_over(moved.picture, moved.covered, picture)
            shown = shown.lerp(moved.begun, moved.region.float())
        words = rng.choice(chosen).words
        caption = rng.choice((words, words, ground.words, captions.finish(rng, words, ground.words)))
        return Lesson(picture, shown, caption, 1.0 if rng.random() < 0.6 else rng.uniform(0.25, 1))

    def _sample(self, words: Sequence[str], regions: Tensor) -> tuple[Tensor, Tensor]:
        """Take all steps in regions (N, 1, h, w) on white; return estimates after the first and the last."""
        states = self.states(words)
        white, regions = self.white.to(states.device), regions.to(states.device)
        estimate, estimates = torch.where(regions, 0.0, white), []
        for index in self.rng.choice(INDICES):
            painted = self.estimate(estimate, states, timestep_of(index))
            estimate = torch.where(regions, painted, white)
            estimates.append(estimate.cpu())
        return estimates[FIRST_STEPS - 1], estimates[-1]


def timestep_of(index: int) -> int:
    """Return the timestep of an index of the grid that few-step samplers choose theirs from."""
    return TRAIN_STEPS - 1 - index * TRAIN_STEPS // GRID


def drawn_ground(rng: random.Random, codec: Codec) -> Ground:
    """Draw a ground."""
    name = rng.choice(SCENIC)
    image = Image.new("RGB", (SIZE * SUPERSAMPLE,) * 2)
    BACKGROUNDS[name](image, rng)
    picture = np.asarray(image.reduce(SUPERSAMPLE))
    return Ground(captions.background_words(rng, name), codec.encode(picture[None])[0], picture)


def random_move(rng: random.Random, region: Tensor) -> tuple[int, int]:
    """Return by how many cells, downwards and to the right, a region (h, w) moves to a random place."""
    moves = []
    for axis, side in enumerate(region.shape):
        taken = region.any(1 - axis).nonzero()
        moves.append(rng.randint(-int(taken[0]), side - 1 - int(taken[-1])))
    return moves[0], moves[1]


def encode_lessons(painter: Painter, things: int, lessons: int) -> tuple[dict[str, Tensor], list[str]]:
    """Paint things, make lessons of them and encode these; return tensors (N, 4, h, w) float16 and captions.

    The tensors are "latents", the targets, and "shown", what bootstrapped steps had left.
    """
    painted = [thing for _ in range(0, things, BATCH) for thing in painter.things(BATCH)]
    grounds = [ground for _ in range(ROUNDS) for ground in painter.grounds()]
    made = [painter.lesson(painted, grounds) for _ in range(lessons)]
    targets = torch.cat([painter.codec.encode(lesson.picture[None]) for lesson in made])
    shown = [target.lerp(lesson.shown, lesson.fade) for target, lesson in zip(targets, made, strict=True)]
    tensors = {"latents": targets.half().contiguous(), "shown": torch.stack(shown).half().contiguous()}
    return tensors, [lesson.caption for lesson in made]
