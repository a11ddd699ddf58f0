"""Model availability: the models that a scene needs, and which are on this machine.

Fetches nothing, reads no weights, and imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from smd_cli.app.model_spec import model_spec, needs_few_step
from smd_cli.errors import AssetError
from smd_cli.models.assets import Assets, ModelSpec, lcm_lora_of, locate
from smd_cli.models.networks import NoAutoencoderError
from smd_cli.models.sources import open_files
from smd_cli.scene.resolve import Plan

Role = Literal["base", "vae", "lora", "lcm_lora", "textual_inversion"]


@dataclass(frozen=True)
class RequiredModel:
    """A model that a scene needs; `problem` says why it cannot be used, and is empty where it can.

    `present` is None where something is there, but not the base model, so that nobody knows whether it fits.
    """

    role: Role
    source: str
    present: bool | None
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the model's part of a JSON document."""
        return {
            "role": self.role,
            "source": self.source,
            "present": self.present,
            "problem": self.problem or None,
        }


@dataclass(frozen=True)
class Availability:
    """The models that a scene needs, and their files; those of the base alone where others are missing."""

    required: tuple[RequiredModel, ...]
    assets: Assets | None


def model_availability(plan: Plan) -> Availability:
    """Look for a plan's models; the checks of `locate` decide what is present."""
    spec, few_step = model_spec(plan.model), needs_few_step(plan)
    bare, base = _base(spec)
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
        required += [_unproven(role, source) for role, source, _ in extras]
        return Availability(tuple(required), None)
    required += [_required(role, source, _locate(with_it)) for role, source, with_it in extras]
    lcm_lora = lcm_lora_of(spec, base.base, base.family)
    if few_step and lcm_lora not in (source for source, _ in spec.loras):
        found = _locate(replace(bare, lcm_lora=spec.lcm_lora), few_step=True)
        if isinstance(found, AssetError) or found.loras:
            required.append(_required("lcm_lora", lcm_lora, found))
    whole = _locate(spec, few_step=few_step)
    return Availability(tuple(required), base if isinstance(whole, AssetError) else whole)


def _base(spec: ModelSpec) -> tuple[ModelSpec, Assets | AssetError]:
    """Look for the base model alone, or with the autoencoder that it lacks."""
    bare = replace(spec, vae=None, loras=(), lcm_lora=None, textual_inversions=())
    base = _locate(bare)
    if isinstance(base, NoAutoencoderError) and spec.vae is not None:
        bare = replace(bare, vae=spec.vae)
        base = _locate(bare)
    return bare, base


def _required(role: Role, source: str, found: Assets | AssetError) -> RequiredModel:
    if isinstance(found, AssetError):
        return RequiredModel(role, source, present=False, problem=str(found))
    return RequiredModel(role, source, present=True)


def _unproven(role: Role, source: str) -> RequiredModel:
    """Look for a model whose fit to the base model cannot be told."""
    try:
        open_files(source, offline=True)
    except (AssetError, OSError) as error:
        return RequiredModel(role, source, present=False, problem=str(error))
    return RequiredModel(role, source, present=None)


def _locate(spec: ModelSpec, *, few_step: bool = False) -> Assets | AssetError:
    try:
        return locate(spec, few_step=few_step, offline=True)
    except AssetError as error:
        return error
