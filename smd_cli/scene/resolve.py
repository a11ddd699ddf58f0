"""From a scene to a plan: every default filled in, every path absolute, nothing left that means "default".

A plan can be written as a scene again (`Plan.to_dict`), which resolves to the same plan: a recipe keeps that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smd_cli.errors import SceneError
from smd_cli.scene.masks import MaskSpec, mask_data
from smd_cli.scene.paths import absolute, absolute_mask, model_source
from smd_cli.scene.schema import (
    VERSION,
    Background,
    Bootstrap,
    Canvas,
    Lora,
    Model,
    Region,
    Sampler,
    Scene,
    default_indices,
)
from smd_cli.scene.stream_plan import StreamPlan, resolve_stream
from smd_cli.scene.values import MAX_PIXELS, MAX_SIDE, MIN_SIDE, join_prompts

Size = tuple[int, int]  # width, height in px


@dataclass(frozen=True)
class ModelPlan:
    """What paints: `base` is a name or an absolute path.

    So are `vae`, or it is the word `own`, and `config` and `lcm_lora`, or the word `family`.
    """

    base: str
    family: str
    vae: str
    loras: tuple[Lora, ...]
    config: str
    lcm_lora: str


@dataclass(frozen=True)
class SamplerPlan:
    """The schedule and guidance; `tile` is a side in px or the word `native`, `overlap` a share of it."""

    kind: Literal["lcm", "ddim"]
    steps: int
    indices: tuple[int, ...]
    guidance_scale: float
    guidance: Literal["none", "full", "self", "initialize"]
    delta: float
    tile: int | Literal["native"]
    overlap: float


@dataclass(frozen=True)
class MasksPlan:
    """How masks act; blur and strength are in each region."""

    type: Literal["discrete", "semi-continuous", "continuous"]
    cover_alpha: float


@dataclass(frozen=True)
class BackgroundPlan:
    """What is behind the regions: no prompt is the empty text, no picture the word `none`.

    `place` is where the top left corner of the unscaled picture lies in px, or says that `fit` decides.
    `strength` is how far the prompt repaints the picture, or the word `none`.
    """

    prompt: str
    negative_prompt: str
    image: Path | Literal["none"]
    fit: Literal["cover", "contain", "stretch"]
    place: tuple[int, int] | Literal["fit"]
    strength: float | Literal["none"]


@dataclass(frozen=True)
class RegionPlan:
    """A prompt, its mask (with an absolute path where it has one), and how they act.

    `shift` is x, y in shares of the canvas; `mask_std` in px.
    """

    name: str
    prompt: str
    negative_prompt: str
    mask: MaskSpec
    shift: tuple[float, float]
    mask_strength: float
    mask_std: float
    prompt_strength: float


@dataclass(frozen=True)
class Plan:
    """A scene with every default filled in; `leak_sensitivity` 0 and `bootstrap.steps` 0 mean off.

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

    def to_dict(self) -> dict[str, Any]:
        """The plan as a scene, ready for JSON or YAML; it resolves to this plan again.

        Its canvas is None where it has to follow the background picture.
        """
        model, sampler = vars(self.model), vars(self.sampler)
        follows = self.size != (self.canvas.width, self.canvas.height)
        return {
            "smd": VERSION,
            "task": self.task,
            "canvas": None if follows else self.canvas.model_dump(),
            "seed": self.seed,
            "model": {
                **model,
                "vae": None if self.model.vae == "own" else self.model.vae,
                "loras": [lora.model_dump() for lora in self.model.loras],
                "config": None if self.model.config == "family" else self.model.config,
                "lcm_lora": None if self.model.lcm_lora == "family" else self.model.lcm_lora,
            },
            "sampler": {**sampler, "indices": list(self.sampler.indices)},
            "bootstrap": self.bootstrap.model_dump(),
            "masks": dict(vars(self.masks)),
            "background": _background_data(self.background),
            "regions": [_region_data(region) for region in self.regions],
            "stream": self.stream.to_dict(),
        }


def resolve(scene: Scene, name: str, base_dir: Path, picture_size: Size | None = None) -> Plan:
    """Fill in every default of a scene; its relative paths start at `base_dir`.

    `picture_size` is that of the background picture, upright, which a scene without a canvas follows.

    Raises:
        SceneError: a picture of that size gives no canvas.
        ValueError: neither a canvas nor a picture's size is given.
    """
    canvas, size = _canvas(scene.canvas, picture_size)
    return Plan(
        name=name,
        task=scene.task,
        canvas=canvas,
        size=size,
        seed=scene.seed,
        model=_model(scene.model, base_dir),
        sampler=(sampler := _sampler(scene.sampler, scene.task)),
        bootstrap=_bootstrap(scene, len(sampler.indices)),
        masks=MasksPlan(scene.masks.type, scene.masks.cover_alpha),
        background=_background(scene.background, scene.negative_prefix, base_dir),
        regions=tuple(_region(region, scene, base_dir) for region in scene.regions),
        stream=resolve_stream(
            scene.stream, base_dir, scene.negative_prefix, has_indices=scene.sampler.indices is not None
        ),
    )


def _canvas(given: Canvas | None, picture: Size | None) -> tuple[Canvas, Size]:
    """The canvas and the size of the written picture: as given, or the smallest canvas around a picture."""
    if given:
        return given, (given.width, given.height)
    if picture is None:
        raise ValueError("a scene without a canvas follows a picture, whose size is not given")
    width, height = (-(-side // 8) * 8 for side in picture)
    if min(picture) < MIN_SIDE or max(picture) > MAX_SIDE or width * height > MAX_PIXELS:
        raise SceneError(
            f"a picture of {picture[0]}x{picture[1]} px gives no canvas, which has {MIN_SIDE} to {MAX_SIDE} "
            f"px a side and at most {MAX_PIXELS:,} pixels; give a canvas"
        )
    return Canvas(width=width, height=height), picture


def _sampler(sampler: Sampler, task: str) -> SamplerPlan:
    return SamplerPlan(
        kind=sampler.kind,
        steps=sampler.steps,
        indices=sampler.indices or default_indices(sampler.kind, sampler.steps, task),
        guidance_scale=sampler.guidance_scale,
        guidance=sampler.guidance or ("none" if sampler.guidance_scale == 1 else "full"),
        delta=sampler.delta,
        tile=sampler.tile,
        overlap=sampler.overlap,
    )


def _bootstrap(scene: Scene, taken: int) -> Bootstrap:
    """The default number of steps gives way to a schedule that takes fewer.

    It is 0 where there is no layout to find: in a panorama, and where pictures are repainted.
    """
    repaints = scene.background.strength is not None or (scene.task == "stream" and scene.stream.input)
    has_layout = scene.task == "panorama" or repaints
    off = has_layout and "steps" not in scene.bootstrap.model_fields_set
    return scene.bootstrap.model_copy(update={"steps": 0 if off else min(scene.bootstrap.steps, taken)})


def _model(model: Model, base_dir: Path) -> ModelPlan:
    return ModelPlan(
        base=model_source(model.base, base_dir),
        family=model.family,
        vae=model_source(model.vae, base_dir) if model.vae else "own",
        loras=tuple(
            lora.model_copy(update={"path": model_source(lora.path, base_dir)}) for lora in model.loras
        ),
        config=model_source(model.config, base_dir) if model.config else "family",
        lcm_lora=model_source(model.lcm_lora, base_dir) if model.lcm_lora else "family",
    )


def _background(background: Background, negative_prefix: str, base_dir: Path) -> BackgroundPlan:
    return BackgroundPlan(
        prompt=background.prompt.strip(),
        negative_prompt=join_prompts(negative_prefix, background.negative_prompt),
        image=absolute(background.image, base_dir) if background.image else "none",
        fit=background.fit,
        place=(place[0], place[1]) if (place := background.place) else "fit",
        strength=background.strength or "none",
    )


def _region(region: Region, scene: Scene, base_dir: Path) -> RegionPlan:
    defaults = scene.masks
    return RegionPlan(
        name=region.name,
        prompt=region.prompt.strip(),
        negative_prompt=join_prompts(scene.negative_prefix, region.negative_prompt),
        mask=absolute_mask(region.mask, base_dir),
        shift=(region.shift[0], region.shift[1]),
        mask_strength=defaults.strength if region.mask_strength is None else region.mask_strength,
        mask_std=defaults.std if region.mask_std is None else region.mask_std,
        prompt_strength=region.prompt_strength,
    )


def _region_data(region: RegionPlan) -> dict[str, Any]:
    return {**vars(region), "mask": mask_data(region.mask), "shift": list(region.shift)}


def _background_data(background: BackgroundPlan) -> dict[str, Any]:
    lies = {"fit": background.fit} if background.place == "fit" else {"place": list(background.place)}
    return {
        "prompt": background.prompt,
        "negative_prompt": background.negative_prompt,
        "image": None if background.image == "none" else str(background.image),
        **lies,
        "strength": None if background.strength == "none" else background.strength,
    }
