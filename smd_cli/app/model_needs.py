"""What a scene needs of models, how much of it is here, and fetching the rest. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from smd_cli.app.model_availability import Availability, Role, model_availability
from smd_cli.app.model_spec import at_model, find_model, find_scene_captioner, model_spec
from smd_cli.app.scenes import OpenedScene
from smd_cli.errors import AssetError
from smd_cli.messages import Message
from smd_cli.models.choice import config_names, is_model_folder, wanted_names
from smd_cli.models.download import check_room
from smd_cli.models.families import all_families
from smd_cli.models.files import Files
from smd_cli.models.hub import cache_folder, pinned
from smd_cli.models.lora_choice import LCM_LORA
from smd_cli.models.sources import open_files
from smd_cli.models.spec import ModelSpec

NeededRole = Role | Literal["config"]


@dataclass(frozen=True)
class Need:
    """Something that a scene needs.

    Attributes:
        role: what for; `config` is what gives a single file its configs and tokenizer.
        source: what the scene names, or the model or its family does.
        present: it can be used. None: nobody knows without the base model.
        here: bytes of it on this machine; None: not known.
        missing: bytes that a pull would fetch; None: not known.
        pinned: where it lies on the hub, with its commit; '' for what does not, or is not known.
        problem: why it cannot be used; None where it can.
    """

    role: NeededRole
    source: str
    present: bool | None
    here: int | None
    missing: int | None
    pinned: str
    problem: Message | None

    def to_dict(self) -> dict[str, Any]:
        """Return its part of a JSON document."""
        return {
            "role": self.role,
            "source": self.source,
            "pinned": self.pinned or None,
            "present": self.present,
            "here_bytes": self.here,
            "missing_bytes": self.missing,
            "problem": self.problem and self.problem.to_dict(),
        }


def needs(scene: OpenedScene, *, offline: bool) -> tuple[Need, ...]:
    """Return what a scene needs, at every point of its matrix; nothing is fetched.

    Of what is not here the hub is asked for names and sizes, unless `offline`. What follows from a base model
    that is not here, such as whether it needs an LCM-LoRA, is not known.
    """
    found: dict[tuple[str, str], Need] = {}
    for point in scene.points:
        at_point = scene.at_point(point)
        for each in _needs(at_point, model_availability(at_point), offline=offline):
            found.setdefault((each.role, each.source), each)
    return tuple(found.values())


def _needs(scene: OpenedScene, availability: Availability, *, offline: bool) -> Iterator[Need]:
    base = availability.required[0].source
    for each in availability.required:
        need = Need(each.role, each.source, each.present, 0, 0, "", each.problem)
        is_inside = each.source == f"{base}/{LCM_LORA}"  # and so counted with the base
        yield need if is_inside else _weighed(need, model_spec(scene.plan), offline=offline)
    config = _config(scene, availability)
    if config:
        present = None if availability.assets is None else True
        need = Need("config", config, present, 0, 0, "", None)
        yield _weighed(need, model_spec(scene.plan), offline=offline)


def _config(scene: OpenedScene, availability: Availability) -> str:
    """Return what gives a single file its configs, as far as that is known; '' for a model folder."""
    named, assets = scene.plan.model.config, availability.assets
    if assets and not assets.base.file:
        return ""
    return named.source if named else assets.family.config if assets else ""


def _weighed(need: Need, spec: ModelSpec, *, offline: bool) -> Need:
    """Add how many bytes are here, how many a pull would fetch, and where they lie on the hub."""
    try:
        files = open_files(need.source, offline=offline or bool(need.present))
        names = _names(need.role, files, spec)
    except (AssetError, OSError):  # which the problem tells
        return replace(need, here=None, missing=None)
    stored = [files.look(name) for name in names]
    missing = [file.size for file in stored if not file.is_here]
    known = [size for size in missing if size is not None]
    return replace(
        need,
        here=sum(file.size or 0 for file in stored if file.is_here),
        missing=sum(known) if len(known) == len(missing) else None,
        pinned=pinned(files) if files.revision else "",
    )


def _names(role: NeededRole, files: Files, spec: ModelSpec) -> list[str]:
    """Return the names of what a scene needs of some files. Raises AssetError: they are not there."""
    if role == "config":
        return config_names(files)
    autoencoders = {family.autoencoder for family in all_families()}
    if role == "vae" and is_model_folder(files):
        own = next((name for name in autoencoders if files.has_folder(name)), "vae")
        return [f"{own}/{name}" for name in wanted_names(files.folder(own))]
    left_out = (*spec.left_out, *(autoencoders if spec.vae else ()))
    return wanted_names(files, left_out if role == "base" else ())


def pull_scene(scene: OpenedScene, *, offline: bool) -> tuple[str, ...]:
    """Fetch what a scene needs, at every point of its matrix; return where it lies on the hub, with commits.

    Raises AssetError: a part is not to be had, does not fit, or the disk has no room.
    """
    asked = needs(scene, offline=offline)
    check_room(sum(each.missing or 0 for each in asked), cache_folder(), scene.locate().source)
    for point in scene.points:
        at_point = scene.at_point(point)
        with at_model(at_point):
            find_model(at_point.plan, offline=offline)
            find_scene_captioner(at_point.plan, offline=offline)
    return tuple(dict.fromkeys(each.pinned for each in needs(scene, offline=True) if each.pinned))
