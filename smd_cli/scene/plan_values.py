"""How a plan holds a scene's values: prompts as mixes, files with their folder; and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from smd_cli.scene.mask_specs import REST, RestMask, mask_at
from smd_cli.scene.paths import Reference
from smd_cli.scene.prompts import PromptMix, join_prompts
from smd_cli.scene.section import Section

T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """What values depend on: the folder that relative paths start at, and the prefix of negative prompts."""

    base_dir: Path
    negative_prefix: str


def plan_values(section: Section, keys: Iterable[str], context: Context) -> dict[str, Any]:
    """Return the values of a section's keys as a plan holds them; those that are left out stay None."""
    return {key: _plan_value(key, getattr(section, key), context) for key in keys}


def _plan_value(key: str, value: Any, context: Context) -> Any:  # noqa: ANN401 - a value of any key
    if value is None:
        return None
    if key == "prompt":
        return PromptMix.of(value.strip())
    if key == "negative_prompt":
        return PromptMix.of(join_prompts(context.negative_prefix, value))
    if key == "mask":
        return mask_at(value, context.base_dir)
    return with_references(value, lambda reference: reference.at(context.base_dir))


def scene_value(value: Any) -> Any:  # noqa: ANN401 - a value of any key
    """Return a plan's value as a scene writes it, ready for JSON; of a prompt in transition, its target."""
    if isinstance(value, PromptMix):
        return value.text
    if isinstance(value, RestMask):
        return REST
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    if isinstance(value, tuple):
        return [scene_value(item) for item in value]
    return value.portable if isinstance(value, Reference) else value


def with_references(value: T, change: Callable[[Reference], Reference]) -> T:
    """Return a plan, or a part of one, with other references in place of those that it holds."""
    changed: Any = value
    if isinstance(value, Reference):
        changed = change(value)
    elif isinstance(value, tuple):
        items = tuple(with_references(item, change) for item in value)
        changed = type(value)(*items) if hasattr(value, "_fields") else items
    elif isinstance(value, Section):
        parts = {key: with_references(getattr(value, key), change) for key in type(value).model_fields}
        changed = value.model_copy(update=parts)
    elif is_dataclass(value) and not isinstance(value, type):
        kept = [each.name for each in fields(value) if each.init]
        changed = replace(value, **{key: with_references(getattr(value, key), change) for key in kept})
    return changed  # type: ignore[no-any-return]
