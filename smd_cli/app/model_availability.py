"""Model availability: the models that a scene needs, and which are on this machine.

Fetches nothing, reads no weights, and imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from smd_cli.app.model_spec import (
    find_scene_captioner,
    local_loras,
    model_spec,
    needs_few_step,
    place_in_scene,
)
from smd_cli.app.scenes import OpenedScene
from smd_cli.errors import AssetError, Part
from smd_cli.messages import Message, Place, as_called
from smd_cli.models.assets import Assets, locate
from smd_cli.models.files import NotHereError
from smd_cli.models.lora_choice import lcm_lora_of
from smd_cli.models.networks import NoAutoencoderError
from smd_cli.models.sources import open_files
from smd_cli.models.spec import LOCAL_LORAS, TINY_VAE, ModelSpec
from smd_cli.scene.resolve import Plan
from smd_cli.scene.tree import Loc

_CONFIG: Part = ("config",)
"""What gives a base model its configs, which has no role of its own."""

Role = Literal["base", "vae", "lora", "lcm_lora", "textual_inversion", "captioner"]


@dataclass(frozen=True)
class RequiredModel:
    """A model that a scene needs.

    Attributes:
        role: what for.
        source: what the scene names, or the model or its family does.
        place: where the scene names it, or the model that needs it.
        present: it can be used. None: something is there, but not the base model, so that nobody knows.
        problem: why it cannot be used; None where it can.
        is_there: its files are on this machine, even if it cannot be used.
        use: of a LoRA, its weights, and what they are for.
    """

    role: Role
    source: str
    place: Place
    present: bool | None
    problem: Message | None = None
    is_there: bool = True
    use: str = ""

    @property
    def state(self) -> str:
        """Say in a word or two whether it is here."""
        if self.present is None:
            return "not known"
        return "here" if self.present else "cannot be used" if self.is_there else "missing"

    def to_dict(self) -> dict[str, Any]:
        """Return the model's part of a JSON document."""
        return {
            "role": self.role,
            "source": self.source,
            "present": self.present,
            "use": self.use,
            **self.place.to_dict(),
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Availability:
    """The models that a scene needs, and their files; those of the base alone where others are missing.

    `conflict` is what is wrong with models that are good one by one, if anything is.
    """

    required: tuple[RequiredModel, ...]
    assets: Assets | None
    conflict: AssetError | None = None


def model_availability(scene: OpenedScene) -> Availability:
    """Look for a scene's models; the checks of a run decide what is present."""
    found = _models(scene)
    if scene.plan.model.captioner is None:
        return found
    try:
        captioner: object = find_scene_captioner(scene.plan, offline=True)
    except AssetError as error:
        captioner = error
    look = _Look(scene).for_("captioner", scene.plan.model.captioner.source, ("captioner",), captioner)
    return replace(found, required=(*found.required, look))


def _models(scene: OpenedScene) -> Availability:
    spec, few_step = model_spec(scene.plan), needs_few_step(scene.plan)
    bare, base = _base(spec)
    look = _Look(scene)
    required = [look.for_("base", spec.base, ("base",), base)]
    extras = list(_extras(spec, bare, base))
    if isinstance(base, AssetError):
        required += [look.unproven(role, source, part) for role, source, part, _ in extras]
        return Availability(tuple(required), None)
    required += [look.for_(role, source, part, _locate(with_it)) for role, source, part, with_it in extras]
    lcm_lora = lcm_lora_of(spec, base.base, base.family)
    if few_step and lcm_lora and lcm_lora not in (source for source, _ in spec.loras):
        found = _locate(replace(bare, lcm_lora=spec.lcm_lora), few_step=True)
        if isinstance(found, AssetError) or found.loras:
            needed = look.for_("lcm_lora", lcm_lora, spec.lora_part(len(spec.loras)), found)
            required.append(replace(needed, use="fused at 1"))
    whole = _locate(spec, few_step=few_step)
    if not isinstance(whole, AssetError):
        return Availability(tuple(required), whole)
    return Availability(tuple(required), base, whole if all(each.present for each in required) else None)


def _extras(
    spec: ModelSpec, bare: ModelSpec, base: Assets | AssetError
) -> Iterator[tuple[Role, str, Part, ModelSpec]]:
    """Yield what is listed beside a base model: its role, source and part, and the bare model with it."""
    if spec.vae == TINY_VAE and not isinstance(base, AssetError):  # else nobody knows which that is
        yield "vae", base.family.tiny_autoencoder or TINY_VAE, ("vae",), replace(bare, vae=spec.vae)
    elif spec.vae not in (None, TINY_VAE):
        yield "vae", str(spec.vae), ("vae",), replace(bare, vae=spec.vae)
    for index, lora in enumerate(spec.loras):
        yield "lora", lora[0], ("loras", index), replace(bare, loras=(lora,))
    for reference in spec.local_loras:
        yield "lora", reference, (LOCAL_LORAS, reference), replace(bare, local_loras=(reference,))
    for index, each in enumerate(spec.textual_inversions):
        part = "textual_inversions", index
        yield "textual_inversion", each[0], part, replace(bare, textual_inversions=(each,))


def _base(spec: ModelSpec) -> tuple[ModelSpec, Assets | AssetError]:
    """Look for the base model alone, or with the autoencoder that takes its own one's place."""
    bare = replace(spec, vae=None, loras=(), lcm_lora=None, textual_inversions=(), local_loras=())
    base = _locate(bare)
    if isinstance(base, NoAutoencoderError | NotHereError) and spec.vae is not None:
        bare = replace(bare, vae=spec.vae)
        base = _locate(bare)
    return bare, base


@dataclass(frozen=True)
class _Look:
    """Says what was found for the parts of a scene's model."""

    scene: OpenedScene

    def for_(self, role: Role, source: str, part: Part, found: object) -> RequiredModel:
        """Return a part that was looked for."""
        place = place_in_scene(self.scene, part)
        model = RequiredModel(role, as_called(source), place, present=True, use=_use(self.scene.plan, part))
        if not isinstance(found, AssetError):
            return model
        at_fault = place_in_scene(self.scene, _CONFIG) if _CONFIG in found.parts else place
        problem, is_there = found.at(at_fault).problems[0], _not_there(source) is None
        return replace(model, present=False, problem=problem, is_there=is_there)

    def unproven(self, role: Role, source: str, part: Part) -> RequiredModel:
        """Look for a part whose fit to the base model cannot be told."""
        place, error = place_in_scene(self.scene, part), _not_there(source)
        model = RequiredModel(role, as_called(source), place, present=None, use=_use(self.scene.plan, part))
        if error is None:
            return model
        return replace(model, present=False, problem=place.says(str(error)), is_there=False)


def _not_there(source: str) -> Exception | None:
    """Return why nothing is on this machine where a reference leads to, or None."""
    try:
        open_files(source, offline=True)
    except (AssetError, OSError) as error:
        return error
    return None


def _use(plan: Plan, part: Part) -> str:
    """Say with which weights a LoRA is used, and for what; of all else nothing."""
    match part:
        case ("loras", int(index)):
            return f"fused at {plan.model.loras[index].weight:g}"
        case (kind, str(source)) if kind == LOCAL_LORAS:
            found = [(loc, lora.weight) for loc, lora in local_loras(plan) if lora.path.source == source]
            return ", ".join(dict.fromkeys(f"{weight:g} on {_owner(plan, loc)}" for loc, weight in found))
    return ""


def _owner(plan: Plan, loc: Loc) -> str:
    """Name the region, or the background, that has a LoRA."""
    match loc:
        case ("regions", int(index), *_):
            return plan.regions[index].name
        case ("stream", "timeline", int(index), *_):
            keyframe = plan.stream.timeline[index]
            return f"{keyframe.region or 'background'} from {keyframe.at}"
    return "background"


def _locate(spec: ModelSpec, *, few_step: bool = False) -> Assets | AssetError:
    try:
        return locate(spec, few_step=few_step, offline=True)
    except AssetError as error:
        return error
