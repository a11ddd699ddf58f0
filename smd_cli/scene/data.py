"""Scenes given as plain data, from Python or JSON, rather than as YAML text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml

from smd_cli.errors import SceneError
from smd_cli.messages import Place
from smd_cli.scene.reader import parse
from smd_cli.scene.tree import Node
from smd_cli.scene.yaml_types import dump


def from_data(data: Any, place: Place) -> Node:  # noqa: ANN401 - plain data of any shape
    """Build the tree of plain data, which has no lines: all of it has one place.

    Raises SceneError: it holds what a scene cannot, or is too large or too deep.
    """
    try:
        text = dump(as_plain(data))
    except (yaml.YAMLError, RecursionError) as error:
        raise SceneError(place.says(f"holds what a scene cannot ({error})")) from error
    return parse(text, place)


def as_plain(data: Any) -> Any:  # noqa: ANN401
    """Return data with paths as text and tuples as lists."""
    if isinstance(data, Mapping):
        return {key: as_plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [as_plain(value) for value in data]
    return str(data) if isinstance(data, PurePath) else data
