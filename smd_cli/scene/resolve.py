"""From a scene to a plan: every default filled in.

A plan can be written as a scene again (`Plan.to_dict`), which resolves to the same plan: a recipe keeps that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from smd_cli.errors import SceneError
from smd_cli.scene.background import AUTO, BackgroundPlan, resolve_background
from smd_cli.scene.loras import Lora
from smd_cli.scene.model_section import ANY_FAMILY, CAPTIONER, Model, TextualInversion
from smd_cli.scene.paths import Reference
from smd_cli.scene.plan_values import Context, scene_value
from smd_cli.scene.prompts import PromptMix
from smd_cli.scene.region import RegionPlan, resolve_region
from smd_cli.scene.samplers import SAMPLERS, GuidanceKind, SamplerFacts, SamplerName, Spacing, sampler_facts
from smd_cli.scene.schema import VERSION, Bootstrap, Canvas, Sampler, Scene
from smd_cli.scene.stream_plan import StreamPlan, resolve_stream
from smd_cli.scene.values import MAX_PIXELS, MAX_SIDE, MIN_SIDE

Size = tuple[int, int]  # width, height in px
OWN_VAE = "own"  # what `model.vae` says of a model's own autoencoder, which it has anyway
NO_LORA = "none"  # what a scene's `model.lcm_lora` says of weights that are few-step ones already


@dataclass(frozen=True)
class ModelPlan:
    """The diffusion model.

    Attributes:
        vae: another autoencoder; None: the model's own.
        config: where a single file has its configs and tokenizer from; None: the family's published ones.
        lcm_lora: the LoRA for sampling in few steps; None: the model's own, else the family's.
        is_few_step: the scene says that the weights are few-step ones and need no such LoRA.
        t5: whether SD3's third text encoder is used where the model has it.
        t5_length: tokens that it reads at a time.
        captioner: what makes the caption that is to be the background's prompt; None: there is a prompt.
    """

    base: Reference
    family: str
    vae: Reference | None
    loras: tuple[Lora, ...]
    textual_inversions: tuple[TextualInversion, ...]
    config: Reference | None
    lcm_lora: Reference | None
    is_few_step: bool
    t5: Literal["auto", "none"]
    t5_length: int
    captioner: Reference | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a scene's section."""
        values = {key: scene_value(value) for key, value in vars(self).items() if key != "is_few_step"}
        if self.captioner is None:
            del values["captioner"]
        return {**values, "lcm_lora": NO_LORA} if self.is_few_step else values


@dataclass(frozen=True)
class SamplerPlan:
    """The schedule, guidance and tiles.

    `tile` is a side in px, or the word `native`, which only the model can resolve; `overlap` is a fraction of
    it. `spacing` is None where the sampler has a grid of its own, `gamma` where that is not to be chosen.
    """

    kind: SamplerName
    steps: int
    indices: tuple[int, ...]
    spacing: Spacing | None
    gamma: float | None
    guidance_scale: float
    guidance: GuidanceKind
    delta: float
    guidance_rescale: float
    late: Literal["views", "coupled"]
    tile: int | Literal["native"]
    overlap: float

    @property
    def facts(self) -> SamplerFacts:
        """Return what is known of the sampler."""
        return SAMPLERS[self.kind]


@dataclass(frozen=True)
class MasksPlan:
    """How masks act; blur and strength are in each region."""

    type: Literal["discrete", "semi-continuous", "continuous"]
    cover_alpha: float


@dataclass(frozen=True)
class Plan:
    """A scene with every default filled in; `leak_sensitivity` 0 and `bootstrap.steps` 0 mean off.

    It is the plan of one picture: where a scene names several seeds, `seed` is the first of them.

    `size` is that of the written picture: the canvas's, but where the canvas follows a picture whose sides
    are no multiples of 8; the canvas is then the next larger one that the method can work on.
    """

    name: str
    task: Literal["generate", "inpaint", "panorama", "stream"]
    canvas: Canvas
    size: Size
    seed: int
    model: ModelPlan
    sampler: SamplerPlan
    bootstrap: Bootstrap
    masks: MasksPlan
    background: BackgroundPlan
    regions: tuple[RegionPlan, ...]
    stream: StreamPlan

    @property
    def coupled_from(self) -> int | None:
        """Return the first step, from 0, at which a tile is one view of all its regions; None: never."""
        taken = len(self.sampler.indices)
        is_late = self.sampler.late == "coupled" and self.bootstrap.steps < taken
        return self.bootstrap.steps if is_late else None

    def with_caption(self, caption: str) -> Plan:
        """Return the plan with a caption of the background picture as the background's prompt.

        It is the plan of a scene that says so itself.
        """
        text = f"{caption}." if caption == AUTO else caption  # or that scene would ask for a caption again
        background = replace(self.background, prompt=PromptMix.of(text))
        return replace(self, background=background, model=replace(self.model, captioner=None))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a scene, ready for JSON or YAML; it resolves to this plan again.

        Its canvas is None where it has to follow the background picture. Of a prompt in transition, which a
        scene cannot say, it has the text that the prompt changes to.
        """
        follows = self.size != (self.canvas.width, self.canvas.height)
        return {
            "smd": VERSION,
            "task": self.task,
            "canvas": None if follows else scene_value(self.canvas),
            "seed": self.seed,
            "model": self.model.to_dict(),
            "sampler": _section(self.sampler),
            "bootstrap": scene_value(self.bootstrap),
            "masks": _section(self.masks),
            "background": self.background.to_dict(),
            "regions": [_section(region) for region in self.regions],
            "stream": self.stream.to_dict(),
        }


def resolve(
    scene: Scene, name: str, base_dir: Path, picture_size: Size | None = None, family: str = ANY_FAMILY
) -> Plan:
    """Fill in every default of a scene; its relative paths start at `base_dir`.

    `picture_size` is that of the background picture, upright, which a scene without a canvas follows;
    `family` that of its model, where the scene does not name it.

    Raises:
        SceneError: a picture of that size gives no canvas.
        ValueError: neither a canvas nor a picture's size is given.
    """
    canvas, size = _canvas(scene.canvas, picture_size)
    named = scene.model.family
    sampler = _sampler(scene.sampler, scene.task, family if named == ANY_FAMILY else named)
    context = Context(base_dir, scene.negative_prefix)
    return Plan(
        name=name,
        task=scene.task,
        canvas=canvas,
        size=size,
        seed=scene.seed[0],
        model=_model(scene.model, base_dir, captions=scene.background.prompt.strip() == AUTO),
        sampler=sampler,
        bootstrap=_bootstrap(scene, len(sampler.indices)),
        masks=MasksPlan(scene.masks.type, scene.masks.cover_alpha),
        background=resolve_background(scene.background, context),
        regions=tuple(resolve_region(region, scene.masks, context) for region in scene.regions),
        stream=resolve_stream(scene.stream, context, has_indices=scene.sampler.indices is not None),
    )


def _section(part: SamplerPlan | MasksPlan | RegionPlan) -> dict[str, Any]:
    """Return a part of a plan as a scene's section with the same keys."""
    return {key: scene_value(value) for key, value in vars(part).items()}


def _canvas(canvas: Canvas | None, picture: Size | None) -> tuple[Canvas, Size]:
    """Return the canvas, by default the smallest around a picture, and the size of the written picture."""
    if canvas:
        return canvas, (canvas.width, canvas.height)
    if picture is None:
        raise ValueError("a scene without a canvas follows a picture, whose size is not given")
    width, height = (-(-side // 8) * 8 for side in picture)
    if min(picture) < MIN_SIDE or max(picture) > MAX_SIDE or width * height > MAX_PIXELS:
        raise SceneError(
            f"a picture of {picture[0]}x{picture[1]} px gives no canvas, which has {MIN_SIDE} to {MAX_SIDE} "
            f"px a side and at most {MAX_PIXELS:,} pixels; give a canvas"
        )
    return Canvas(width=width, height=height), picture


def _sampler(sampler: Sampler, task: str, family: str) -> SamplerPlan:
    facts = sampler_facts(sampler.kind, family)
    steps = sampler.steps or facts.steps
    return SamplerPlan(
        kind=facts.name,
        steps=steps,
        indices=sampler.indices or facts.default_indices(steps, task),
        spacing=sampler.spacing or facts.spacing,
        gamma=facts.gamma if sampler.gamma is None else sampler.gamma,
        guidance_scale=sampler.guidance_scale,
        guidance=sampler.guidance or ("none" if sampler.guidance_scale == 1 else "full"),
        delta=sampler.delta,
        guidance_rescale=sampler.guidance_rescale,
        late=sampler.late,
        tile=sampler.tile,
        overlap=sampler.overlap,
    )


def _bootstrap(scene: Scene, taken: int) -> Bootstrap:
    """Fill in the share of bootstrapped steps, and limit them to the steps taken.

    By default it is off in panoramas, and where pictures are repainted, whose layout it would ignore.
    """
    given = scene.bootstrap
    usual = usual_bootstrap(taken, shows_through=given.show_through)
    repaints = scene.background.strength is not None or (scene.task == "stream" and scene.stream.input)
    off = scene.task == "panorama" or repaints
    steps = given.steps if "steps" in given.model_fields_set else 0 if off else usual.steps
    mix_steps = given.mix_steps if "mix_steps" in given.model_fields_set else usual.mix_steps
    return given.model_copy(update={"steps": min(steps, taken), "mix_steps": mix_steps})


def usual_bootstrap(taken: int, *, shows_through: bool) -> Bootstrap:
    """Return how pictures of so many steps are bootstrapped that say nothing else of it.

    For two fifths of the steps, as in MultiDiffusion (2302.08113), white behind three quarters of them; where
    the background shows through, `mix_steps` has no effect, and stays what it is.
    """
    few = Bootstrap()
    steps = max(few.steps, taken * 2 // 5)
    mix_steps = few.mix_steps if shows_through else few.mix_steps / few.steps * steps
    return Bootstrap(steps=steps, mix_steps=mix_steps)


def _model(model: Model, base_dir: Path, *, captions: bool) -> ModelPlan:
    def at(reference: Reference | None) -> Reference | None:
        return reference and reference.at(base_dir)

    is_few_step = model.lcm_lora is not None and model.lcm_lora.text == NO_LORA
    return ModelPlan(
        base=model.base.at(base_dir),
        family=model.family,
        vae=None if model.vae and model.vae.text == OWN_VAE else at(model.vae),
        loras=tuple(lora.model_copy(update={"path": lora.path.at(base_dir)}) for lora in model.loras),
        textual_inversions=tuple(
            each.model_copy(update={"path": each.path.at(base_dir)}) for each in model.textual_inversions
        ),
        config=at(model.config),
        lcm_lora=None if is_few_step else at(model.lcm_lora),
        is_few_step=is_few_step,
        t5=model.t5,
        t5_length=model.t5_length,
        captioner=(model.captioner or Reference(CAPTIONER)).at(base_dir) if captions else None,
    )
