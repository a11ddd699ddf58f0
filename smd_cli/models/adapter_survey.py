"""What the names and shapes in a file of a LoRA tell: for which family it is, and what it changes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from smd_cli.families import FAMILIES
from smd_cli.models.adapter_files import BESIDE, DOWN, KINDS, split
from smd_cli.models.families import all_families, family
from smd_cli.models.layer_names import plain_name
from smd_cli.models.weights import Shapes

_SAID = (
    ("modelspec.architecture", re.compile(r"stable-diffusion-(v1|xl|3)")),
    ("ss_base_model_version", re.compile(r"sd(_v1|xl|3)")),
)
"""Where a file's header names what it was made for, as Stability's ModelSpec and kohya's trainer have it."""

_MEANT = {"v1": "sd15", "_v1": "sd15", "xl": "sdxl", "3": "sd3"}


def family_of(shapes: Shapes, header: Mapping[str, str]) -> str:
    """Return the family that a LoRA is for, by its layers, else by its header; '' where neither tells."""
    widths = list(_widths(shapes))
    for known in all_families():
        for pattern, width in known.marks.adapted:
            if any(re.search(pattern, layer) and width in (None, read) for layer, read in widths):
                return known.name
    for key, names in _SAID:
        if said := names.match(header.get(key, "")):
            return _MEANT[said[1]]
    return ""


def _widths(shapes: Shapes) -> Iterator[tuple[str, int | None]]:
    """Yield the layers that an adapter changes, and how many numbers each reads, where its factors tell."""
    for name, shape in shapes.items():
        layer, part = split(name) or (name, "")
        if part not in BESIDE:
            yield plain_name(layer), shape[1] if part in (DOWN, "hada_w1_b") and len(shape) > 1 else None


def adapter_details(shapes: Shapes, name: str) -> dict[str, Any]:
    """Return what is known of a LoRA: its kind, ranks, and the networks that it changes."""
    factors: dict[str, set[str]] = {}
    for each in shapes:
        layer, part = split(each) or (each, "")
        factors.setdefault(plain_name(layer), set()).add(part)
    kinds = {KINDS.get(frozenset(parts - BESIDE), "unknown") for parts in factors.values()}
    ranks = {shape[0] for each, shape in shapes.items() if (split(each) or ("", ""))[1] == DOWN}
    changed = Counter(_component(layer, name) for layer in factors)
    return {
        "adapter": ", ".join(sorted(kinds)),
        "rank": ", ".join(map(str, sorted(ranks))) or "unknown",
        "changes": ", ".join(f"{component} ({count} layers)" for component, count in changed.most_common()),
    }


def _component(layer: str, name: str) -> str:
    """Return the component whose layer a LoRA names: of its family, if that is known, else by custom."""
    if name in FAMILIES:
        known = family(name)
        starts = ((start, each) for each, names in known.lora.items() for start in names.starts if start)
        of = max((start, each) for start, each in (*starts, ("", known.denoiser)) if layer.startswith(start))
        return of[1]
    return "text encoder" if re.match(r"(lora_te|text_encoder)", layer) else "denoiser"
