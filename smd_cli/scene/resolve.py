"""From a scene to a plan: every default filled in, every path absolute, nothing left that means "default".

A plan can be written as a scene again (`Plan.to_dict`), which resolves to the same plan: a recipe keeps that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smd_cli.scene.masks import ColorMask, ImageMask, MaskSpec, RestMask
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
    Stream,
    default_indices,
)


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
    """The schedule and guidance; `tile` is a side in px or the word `native`."""

    kind: Literal["lcm", "ddim"]
    steps: int
    indices: tuple[int, ...]
    guidance_scale: float
    guidance: Literal["none", "full", "self", "initialize"]
    tile: int | Literal["native"]


@dataclass(frozen=True)
class MasksPlan:
    """How masks act; blur and strength are in each region."""

    type: Literal["discrete", "semi-continuous", "continuous"]
    cover_alpha: float


@dataclass(frozen=True)
class BackgroundPlan:
    """What is behind the regions: no prompt is the empty text, no picture the word `none`."""

    prompt: str
    negative_prompt: str
    image: Path | Literal["none"]


@dataclass(frozen=True)
class RegionPlan:
    """A prompt, its mask (with an absolute path where it has one), and how they act; `mask_std` in px."""

    name: str
    prompt: str
    negative_prompt: str
    mask: MaskSpec
    mask_strength: float
    mask_std: float
    prompt_strength: float


@dataclass(frozen=True)
class Plan:
    """A scene with every default filled in; `leak_sensitivity` 0 and `bootstrap.steps` 0 mean off."""

    name: str
    task: Literal["generate", "inpaint", "panorama", "stream"]
    canvas: Canvas
    seed: int
    model: ModelPlan
    sampler: SamplerPlan
    bootstrap: Bootstrap
    masks: MasksPlan
    background: BackgroundPlan
    regions: tuple[RegionPlan, ...]
    stream: Stream

    def to_dict(self) -> dict[str, Any]:
        """The plan as a scene, ready for JSON or YAML; it resolves to this plan again."""
        model, sampler, background = vars(self.model), vars(self.sampler), vars(self.background)
        return {
            "smd": VERSION,
            "task": self.task,
            "canvas": self.canvas.model_dump(),
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
            "background": {**background, "image": _image_text(self.background.image)},
            "regions": [{**vars(region), "mask": _mask_data(region.mask)} for region in self.regions],
            "stream": self.stream.model_dump(mode="json"),
        }


def resolve(scene: Scene, name: str, base_dir: Path) -> Plan:
    """Fill in every default of a scene; its relative paths start at `base_dir`."""
    return Plan(
        name=name,
        task=scene.task,
        canvas=scene.canvas,
        seed=scene.seed,
        model=_model(scene.model, base_dir),
        sampler=(sampler := _sampler(scene.sampler)),
        bootstrap=_bootstrap(scene.bootstrap, len(sampler.indices)),
        masks=MasksPlan(scene.masks.type, scene.masks.cover_alpha),
        background=_background(scene.background, scene.negative_prefix, base_dir),
        regions=tuple(_region(region, scene, base_dir) for region in scene.regions),
        stream=scene.stream,
    )


def _sampler(sampler: Sampler) -> SamplerPlan:
    return SamplerPlan(
        kind=sampler.kind,
        steps=sampler.steps,
        indices=sampler.indices or default_indices(sampler.kind, sampler.steps),
        guidance_scale=sampler.guidance_scale,
        guidance=sampler.guidance or ("none" if sampler.guidance_scale == 1 else "full"),
        tile=sampler.tile,
    )


def _bootstrap(bootstrap: Bootstrap, taken: int) -> Bootstrap:
    """The default number of steps gives way to a schedule that takes fewer."""
    return bootstrap.model_copy(update={"steps": min(bootstrap.steps, taken)})


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


def model_source(text: str, base_dir: Path) -> str:
    """An absolute path, where the text looks like one or a model lies there; else a name, left as it is.

    A bare word is a path only to a folder that holds a model, so that a folder that happens to be called like
    an embedded model does not hide it.
    """
    path = _absolute(text, base_dir)
    written_as_path = text.startswith(("/", "./", "../", "~")) or text.endswith((".safetensors", ".ckpt"))
    sign = path if "/" in text else path / "model_index.json"
    is_there = os.path.exists(sign)  # noqa: PTH110 - of what cannot be asked for, Path's raises
    return str(path) if written_as_path or is_there else text


def _background(background: Background, negative_prefix: str, base_dir: Path) -> BackgroundPlan:
    return BackgroundPlan(
        prompt=background.prompt.strip(),
        negative_prompt=_join(negative_prefix, background.negative_prompt),
        image=_absolute(background.image, base_dir) if background.image else "none",
    )


def _region(region: Region, scene: Scene, base_dir: Path) -> RegionPlan:
    defaults = scene.masks
    return RegionPlan(
        name=region.name,
        prompt=region.prompt.strip(),
        negative_prompt=_join(scene.negative_prefix, region.negative_prompt),
        mask=_mask(region.mask, base_dir),
        mask_strength=defaults.strength if region.mask_strength is None else region.mask_strength,
        mask_std=defaults.std if region.mask_std is None else region.mask_std,
        prompt_strength=region.prompt_strength,
    )


def _mask(mask: MaskSpec, base_dir: Path) -> MaskSpec:
    if isinstance(mask, (ImageMask, ColorMask)):
        return mask.model_copy(update={"image": str(_absolute(mask.image, base_dir))})
    return mask


def _absolute(text: str, base_dir: Path) -> Path:
    home = os.path.expanduser(text)  # noqa: PTH111 - Path's raises where there is no such home
    return (base_dir / home).absolute()


def _join(*prompts: str) -> str:
    return ", ".join(part for prompt in prompts if (part := prompt.strip().rstrip(",")))


def _image_text(image: Path | str) -> str | None:
    return None if image == "none" else str(image)


def _mask_data(mask: MaskSpec) -> dict[str, Any] | str:
    return "rest" if isinstance(mask, RestMask) else mask.model_dump(mode="json")
