"""What a scene asks the loader of models for. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from smd_cli.errors import AssetError, Part
from smd_cli.messages import Locate, Place
from smd_cli.models.assets import Assets, locate
from smd_cli.models.spec import ModelSpec
from smd_cli.scene.paths import Reference
from smd_cli.scene.resolve import ModelPlan, Plan


def model_spec(model: ModelPlan) -> ModelSpec:
    """Return a plan's model as the loader is asked for it."""

    def source(reference: Reference | None) -> str | None:
        return None if reference is None else reference.source

    return ModelSpec(
        base=model.base.source,
        family=model.family,
        vae=source(model.vae),
        loras=tuple((lora.path.source, lora.weight) for lora in model.loras),
        config=source(model.config),
        lcm_lora=source(model.lcm_lora),
        textual_inversions=tuple((each.path.source, each.token) for each in model.textual_inversions),
    )


def named_models(model: ModelPlan) -> Iterator[tuple[str, Reference]]:
    """Yield what a plan names of its model, files, folders or places on the hub, and what each is."""
    yield "the model", model.base
    single = {
        "the autoencoder": model.vae,
        "the model's config": model.config,
        "the LCM-LoRA": model.lcm_lora,
    }
    yield from ((what, reference) for what, reference in single.items() if reference is not None)
    yield from (("a LoRA", lora.path) for lora in model.loras)
    yield from (("a textual inversion", each.path) for each in model.textual_inversions)


def needs_few_step(plan: Plan) -> bool:
    """Tell whether ordinary weights have to be made few-step ones for a plan's sampler."""
    return plan.sampler.facts.few_step and not plan.model.is_few_step


@contextmanager
def at_model(locate: Locate) -> Iterator[None]:
    """Put what is said meanwhile of parts of a model at their places in the scene."""
    try:
        yield
    except AssetError as error:
        raise error.of_model(lambda part: place_in_scene(locate, part)) from error


def place_in_scene(locate: Locate, part: Part) -> Place:
    """Return the place of a part of a `ModelSpec`; of the base, that of `model` where that is one word."""
    place, whole = locate("model", *part), locate("model")
    return whole if part == ("base",) and replace(place, key=whole.key) == whole else place


def find_model(plan: Plan, *, offline: bool, vae: str | None = None) -> Assets:
    """Find and check the files of a plan's model, or of it with another autoencoder. Raises AssetError."""
    spec = model_spec(plan.model)
    if vae is not None:
        spec = replace(spec, vae=vae)
    return locate(spec, few_step=needs_few_step(plan), offline=offline)
