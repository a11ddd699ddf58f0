"""Model availability: the models that a scene needs, and which are on this machine.

Fetches nothing, reads no weights, and imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from smd_cli.app.model_spec import model_spec, needs_few_step
from smd_cli.errors import AssetError
from smd_cli.models.assets import Assets, ModelSpec, lcm_lora_of, locate
from smd_cli.scene.resolve import Plan

Role = Literal["base", "vae", "lora", "lcm_lora", "textual_inversion"]


@dataclass(frozen=True)
class RequiredModel:
    """A model that a scene needs; `problem` says why it cannot be used, and is empty where it can.

    `present` is None where that is not known, because the base model is missing.
    """

    role: Role
    source: str
    present: bool | None
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the model's part of a JSON document."""
        return {"role": self.role, "source": self.source, "present": self.present}


@dataclass(frozen=True)
class Availability:
    """The models that a scene needs, and their files; those of the base alone where others are missing."""

    required: tuple[RequiredModel, ...]
    assets: Assets | None


def model_availability(plan: Plan) -> Availability:
    """Look for a plan's models; the checks of `locate` decide what is present."""
    spec, few_step = model_spec(plan.model), needs_few_step(plan)
    bare = replace(spec, vae=None, loras=(), lcm_lora=None, textual_inversions=())
    base = _locate(bare)
    required = [_required("base", spec.base, base)]
    extras: list[tuple[Role, str, ModelSpec]] = [
        *(("vae", vae, replace(bare, vae=vae)) for vae in [spec.vae] if vae is not None),
        *(("lora", lora[0], replace(bare, loras=(lora,))) for lora in spec.loras),
        *(
            ("textual_inversion", each[0], replace(bare, textual_inversions=(each,)))
            for each in spec.textual_inversions
        ),
    ]
    if isinstance(base, AssetError):
        required += [RequiredModel(role, source, None) for role, source, _ in extras]
        return Availability(tuple(required), None)
    required += [_required(role, source, _locate(with_it)) for role, source, with_it in extras]
    lcm_lora = lcm_lora_of(spec, base.base, base.family)
    if few_step and lcm_lora not in (source for source, _ in spec.loras):
        found = _locate(replace(bare, lcm_lora=spec.lcm_lora), few_step=True)
        if isinstance(found, AssetError) or found.loras:
            required.append(_required("lcm_lora", lcm_lora, found))
    whole = _locate(spec, few_step=few_step)
    return Availability(tuple(required), base if isinstance(whole, AssetError) else whole)


def _required(role: Role, source: str, found: Assets | AssetError) -> RequiredModel:
    if isinstance(found, AssetError):
        return RequiredModel(role, source, present=False, problem=str(found))
    return RequiredModel(role, source, present=True)


def _locate(spec: ModelSpec, *, few_step: bool = False) -> Assets | AssetError:
    try:
        return locate(spec, few_step=few_step, offline=True)
    except AssetError as error:
        return error
