"""What a scene names: files, folders, patterns and models, each with the text that names it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from smd_cli.scene.loader import LoadedScene
from smd_cli.scene.paths import Reference
from smd_cli.scene.section import Section
from smd_cli.scene.tree import Loc, Node


@dataclass(frozen=True)
class NamedReference:
    """A reference of a scene.

    Attributes:
        loc: the place of its text in the scene.
        reference: as the scene's folder sees it.
        node: the text, which several places share by an alias.
    """

    loc: Loc
    reference: Reference
    node: Node

    @property
    def is_model(self) -> bool:
        """Tell whether it is the model's, or of a part of it."""
        return self.loc[0] == "model" or "loras" in self.loc

    @property
    def is_frames(self) -> bool:
        """Tell whether it can be a folder or a pattern: the input of a stream."""
        return self.loc == ("stream", "input")


def named_references(loaded: LoadedScene) -> Iterator[NamedReference]:
    """Yield what a scene says itself; of what it leaves out, nothing."""
    for loc, reference in _references(loaded.scene, ()):
        node, steps = loaded.tree, 0
        for key in loc:  # a text in place of a mapping stands for one of that mapping's keys
            below = node.child(key)
            if below is None:
                break
            node, steps = below, steps + 1
        yield NamedReference(loc[:steps], reference.at(loaded.base_dir), node)


def _references(value: Any, loc: Loc) -> Iterator[tuple[Loc, Reference]]:  # noqa: ANN401 - of a scene
    if isinstance(value, Reference):
        yield loc, value
    elif isinstance(value, Section):
        for key in type(value).model_fields:
            if key in value.model_fields_set:
                yield from _references(getattr(value, key), (*loc, key))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _references(item, (*loc, index))
