"""What a scene asks the loader of models for. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from smd_cli.errors import AssetError, Part
from smd_cli.messages import Place
from smd_cli.models.assets import Assets, locate
from smd_cli.models.captioner_files import CaptionerFiles, find_captioner
from smd_cli.models.spec import LOCAL_LORAS, T5, TINY_VAE, ModelSpec, asked_for
from smd_cli.scene.loras import Lora
from smd_cli.scene.paths import Reference
from smd_cli.scene.resolve import Plan
from smd_cli.scene.tree import Loc

if TYPE_CHECKING:
    from smd_cli.app.scenes import OpenedScene


def local_loras(plan: Plan) -> Iterator[tuple[Loc, Lora]]:
    """Yield the LoRAs that the background and single regions have, at first and by keyframes, with places."""
    lists: list[tuple[Loc, Sequence[Lora]]] = [(("background",), plan.background.loras)]
    lists += [(("regions", index), region.loras) for index, region in enumerate(plan.regions)]
    for index, keyframe in enumerate(plan.stream.timeline if plan.task == "stream" else ()):
        loc: Loc = ("stream", "timeline", index, *(() if keyframe.region else ("background",)))
        lists.append((loc, keyframe.get("loras") or ()))
    for loc, loras in lists:
        yield from (((*loc, "loras", index), lora) for index, lora in enumerate(loras))


def model_spec(plan: Plan) -> ModelSpec:
    """Return a plan's model as the loader is asked for it."""
    model = plan.model

    def source(reference: Reference | None) -> str | None:
        return None if reference is None else reference.source

    return ModelSpec(
        base=model.base.source,
        family=model.family,
        vae=TINY_VAE if model.vae and model.vae.text == TINY_VAE else source(model.vae),
        loras=tuple((lora.path.source, lora.weight) for lora in model.loras),
        config=source(model.config),
        lcm_lora=source(model.lcm_lora),
        textual_inversions=tuple((each.path.source, each.token) for each in model.textual_inversions),
        local_loras=tuple(sorted({lora.path.source for _, lora in local_loras(plan)})),
        left_out=(T5,) if model.t5 == "none" else (),
        t5_length=model.t5_length,
    )


def named_models(plan: Plan) -> Iterator[tuple[str, Reference]]:
    """Yield what a plan names of its model, files, folders or places on the hub, and what each is."""
    model = plan.model
    yield "the model", model.base
    single = {
        "the autoencoder": model.vae,
        "the model's config": model.config,
        "the LCM-LoRA": model.lcm_lora,
        "the captioner": model.captioner,
    }
    yield from ((what, reference) for what, reference in single.items() if reference is not None)
    yield from (("a LoRA", lora.path) for lora in model.loras)
    yield from (("a LoRA", lora.path) for _, lora in local_loras(plan))
    yield from (("a textual inversion", each.path) for each in model.textual_inversions)


def serves(loaded: ModelSpec, wanted: ModelSpec) -> bool:
    """Tell whether a loaded model is the wanted one, or has more LoRAs beside it, for other regions."""
    is_same = replace(loaded, local_loras=()) == replace(wanted, local_loras=())
    return is_same and set(wanted.local_loras) <= set(loaded.local_loras)


def needs_few_step(plan: Plan) -> bool:
    """Tell whether ordinary weights have to be made few-step ones for a plan's sampler."""
    return plan.sampler.facts.few_step and not plan.model.is_few_step


@contextmanager
def at_model(scene: OpenedScene) -> Iterator[None]:
    """Put what is said meanwhile of parts of a model at their places in the scene."""
    try:
        yield
    except AssetError as error:
        raise error.of_model(lambda part: place_in_scene(scene, part)) from error


def place_in_scene(scene: OpenedScene, part: Part) -> Place:
    """Return the place of a part of a `ModelSpec`; of the base, that of `model` where that is one word.

    A LoRA that several regions have is where the first of them names it.
    """
    locate = scene.locate
    if part[:1] == (LOCAL_LORAS,):
        return next(locate(*loc) for loc, lora in local_loras(scene.plan) if lora.path.source == part[1])
    place, whole = locate("model", *part), locate("model")
    return whole if part == ("base",) and replace(place, key=whole.key) == whole else place


def find_scene_captioner(plan: Plan, *, offline: bool) -> CaptionerFiles | None:
    """Find and check what makes a plan's caption; None: it has a prompt. Raises AssetError."""
    if plan.model.captioner is None:
        return None
    reference = plan.model.captioner.source
    with asked_for(reference, "captioner"):
        return find_captioner(reference, offline=offline)


def find_model(plan: Plan, *, offline: bool, vae: str | None = None) -> Assets:
    """Find and check the files of a plan's model, or of it with another autoencoder. Raises AssetError."""
    spec = model_spec(plan)
    if vae is not None:
        spec = replace(spec, vae=vae)
    return locate(spec, few_step=needs_few_step(plan), offline=offline)
