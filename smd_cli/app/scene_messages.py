"""What opening a scene tells before anything is rendered: notes and warnings, but for those of its images."""

from __future__ import annotations

from collections.abc import Iterator

from smd_cli.app.learned_words import lint_words
from smd_cli.app.prompt_lengths import note_lengths
from smd_cli.messages import Message
from smd_cli.scene.lints import lint
from smd_cli.scene.loader import LoadedScene
from smd_cli.scene.prompt_syntax import lint_prompts
from smd_cli.scene.resolve import Plan
from smd_cli.scene.seeds import RANDOM, has_random
from smd_cli.scene.text_lints import lint_texts

_SHOWN_SEEDS = 10


def warnings_of(loaded: LoadedScene, plan: Plan, *, is_recipe: bool = False) -> Iterator[Message]:
    """Yield what is likely a mistake, or gets lost.

    A value without effect is nobody's mistake where a model recommends it, or a recipe has it as it has all.
    """
    yield from lint_texts(loaded.tree)
    recommended = loaded.filled.values()
    for each in lint(plan, loaded.locate):
        place = each.place
        is_written = place is None or place.is_option or not is_recipe
        if is_written and (place is None or place.key not in recommended):
            yield each
    yield from lint_prompts(loaded.scene, loaded.locate)
    yield from lint_words(loaded.scene, plan.model, loaded.locate)
    if loaded.scene.model.captioner and plan.model.captioner is None:
        yield loaded.locate("model", "captioner").says("has no effect without background.prompt: auto")


def notes_of(loaded: LoadedScene, plan: Plan) -> Iterator[Message]:
    """Yield what was left to chance, is still to be made, or is adapted to the model."""
    if leaves_to_chance(loaded):
        seeds = loaded.scene.seed
        shown = ", ".join(map(str, seeds[:_SHOWN_SEEDS])) + ", …" * (len(seeds) > _SHOWN_SEEDS)
        yield loaded.locate("seed").says(f"{RANDOM} this time: {shown}")
    if plan.model.captioner:
        text = f"a caption of the picture, which {plan.model.captioner.source} makes before rendering"
        yield loaded.locate("background", "prompt").says(text)
    yield from note_lengths(loaded.scene, plan, loaded.locate)


def leaves_to_chance(loaded: LoadedScene) -> bool:
    """Tell whether a scene leaves a seed to chance."""
    given = loaded.tree.child("seed")
    return given is not None and has_random(given.plain())
