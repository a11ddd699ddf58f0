"""Models as a person reads of them: lists, facts, and what scenes need."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from smd_cli.models.files import in_bytes
from smd_cli.models.survey import Weights
from smd_cli.visible import visible

if TYPE_CHECKING:
    from smd_cli.app.model_info import ModelInfo
    from smd_cli.app.model_list import ListedModel
    from smd_cli.app.model_needs import Need

_COMMIT = 7  # characters of one that tell it from others
_THOUSAND = 1000


def list_of(models: Sequence[ListedModel]) -> RenderableType:
    """Lay out a line for each model."""
    table = _table("model", "kind", "family", "size", "revisions", "last used", "")
    table.columns[3].justify = "right"
    for each in models:
        revisions = (" ".join([one.commit[:_COMMIT], *one.refs]) for one in each.revisions)
        table.add_row(
            visible(each.reference),
            _words(each.sort),
            each.family,
            in_bytes(each.size),
            visible(", ".join(revisions)),
            f"{each.last_used:%Y-%m-%d}" if each.last_used else "",
            visible("; ".join(_oddities(each))),
        )
    return table


def _oddities(model: ListedModel) -> Iterator[str]:
    if model.half:
        yield f"cut-off downloads, {in_bytes(model.half)}"
    if model.problem:
        yield model.problem
    elif not model.is_whole and model.sort not in ("configs", "other"):
        yield "not whole"


def facts_of(found: ModelInfo) -> RenderableType:
    """Lay out what is known of a model: a line for each fact, then its networks."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    for name, value in _facts(found):
        table.add_row(name, Text(visible(value)))
    parts = found.found.parts
    return Group(table, Text(), _parts(parts)) if parts else table


def _facts(info: ModelInfo) -> Iterator[tuple[str, str]]:
    found, facts = info.found, info.found.facts
    yield "reference", info.reference
    yield "kind", _words(found.sort)
    yield "family", found.family or "unknown"
    if found.files.revision:
        yield "revision", found.files.revision
    yield "licence", info.licence or "unknown"
    yield "here", "yes" if found.is_here else "no, or not whole"
    if facts:
        yield "native size", f"{facts.native_size} px"
        yield "sides", f"multiples of {info.size_multiple} px"
        yield "latents", f"{facts.latent_channels} channels, {facts.downscale} px each"
        zero_snr = ", zero terminal SNR" * facts.zero_terminal_snr
        yield "predicts", f"{facts.prediction_type}{zero_snr} ({facts.prediction_source})"
        yield "negative prompts", "yes" if facts.takes_negative else "no"
        yield "few-step", "yes" if facts.few_step else "no"
        yield "samplers", ", ".join(info.samplers)
    if info.recommended:
        yield "recommends", ", ".join(settings_of(info.recommended))
    yield from ((name, str(value)) for name, value in found.details.items())
    if info.problem:
        yield "problem", info.problem


def settings_of(values: Mapping[str, Any]) -> Iterator[str]:
    """Write values by their places, as a scene has them: `bootstrap.steps 3`."""
    for place, value in values.items():
        yield f"{place} {value if isinstance(value, str) else json.dumps(value)}"


def _parts(parts: Sequence[Weights]) -> Table:
    table = _table("network", "class", "size", "numbers", "types", "files")
    for column in (2, 3, 5):
        table.columns[column].justify = "right"
    for part in parts:
        size = "unknown" if part.size is None else in_bytes(part.size)
        numbers = "unknown" if part.numbers is None else _count(part.numbers)
        types = ", ".join(part.dtypes) or "unknown"
        table.add_row(visible(part.name), visible(part.network), size, numbers, types, str(part.files))
    return table


def _count(numbers: int) -> str:
    """Write how many numbers there are: `860 M`."""
    for unit, size in (("G", _THOUSAND**3), ("M", _THOUSAND**2), ("k", _THOUSAND)):
        if numbers >= size:
            return f"{numbers / size:.3g} {unit}"
    return str(numbers)


def needs_table(found: Mapping[str, Sequence[Need]]) -> RenderableType:
    """Lay out what each scene needs, and the sum of what would be fetched."""
    table = _table("scene", "what for", "model", "", "here", "to fetch")
    for column in (4, 5):
        table.columns[column].justify = "right"
    for scene, needs in found.items():
        for need in needs:
            presence = {True: "here", False: "not here", None: "not known"}[need.present]
            here, missing = (("" if each is None else in_bytes(each)) for each in (need.here, need.missing))
            table.add_row(visible(scene), _words(need.role), visible(need.source), presence, here, missing)
    every = {(need.role, need.source): need.missing for needs in found.values() for need in needs}
    least = "at least " * (None in every.values())
    table.add_row("", "", "", "", "", f"{least}{in_bytes(sum(filter(None, every.values())))}", style="bold")
    return table


def _words(key: str) -> str:
    return {"lora": "LoRA", "lcm_lora": "LCM-LoRA", "vae": "autoencoder"}.get(key, key.replace("_", " "))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, overflow="fold")  # half a name is none
    return table
