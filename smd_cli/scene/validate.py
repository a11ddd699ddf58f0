"""Making a Scene of plain data, or finding every problem in it."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from smd_cli.scene.explain import Problem, explain, place_of, quoted
from smd_cli.scene.fractions import shapes_in_other_units
from smd_cli.scene.model_section import ANY_FAMILY
from smd_cli.scene.rules import broken_rules
from smd_cli.scene.schema import ASIDE, VERSION, Scene
from smd_cli.scene.tree import Loc
from smd_cli.scene.valid import INVALID, Data


class InvalidScene(Exception):  # noqa: N818 - carries problems; the loader turns them into a SceneError
    """The problems in a scene's data."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def validate(data: Any, family: str = ANY_FAMILY) -> Scene:  # noqa: ANN401 - a file's, of any shape
    """Return the scene that plain data (mappings as dicts, lists as tuples) describes.

    `family` is that of its model, where the scene does not say. Raises InvalidScene with every problem; if
    the version is not supported, with that alone.
    """
    if not isinstance(data, dict):
        raise InvalidScene(
            [Problem((), f"a scene is a mapping that begins with `smd: {VERSION}`, not {quoted(data)}")]
        )
    version = data.get("smd")
    if "smd" in data and (type(version) is not int or version != VERSION):
        raise InvalidScene(
            [Problem(("smd",), f"version {quoted(version)} is unknown; this program reads version {VERSION}")]
        )
    data = {key: value for key, value in data.items() if not key.startswith(ASIDE)}
    problems: list[Problem] = []
    scene = None
    try:
        scene = Scene.model_validate(data)
    except ValidationError as error:
        problems = _problems(error.errors(include_url=False), data)
    for problem in problems:
        data = _without(data, problem.loc)
        if problem.meant:
            data = _without(data, problem.meant, fills=True)
    problems += broken_rules(_of_family(data, family))
    if scene is None or problems:
        raise InvalidScene(problems)
    return scene


def _of_family(data: Data, family: str) -> Data:
    """Return a scene's data that name the family of its model, where they leave that open."""
    given = data.get("model")
    model = given if isinstance(given, dict) else {}
    is_open = given is not INVALID and model.get("family") in (None, ANY_FAMILY)
    return {**data, "model": {**model, "family": family}} if is_open else data


def _problems(errors: list[ErrorDetails], data: Data) -> list[Problem]:
    """Return a problem for each error, and one for all errors of a shape in the wrong unit."""
    shapes = shapes_in_other_units(map(place_of, errors), data)
    told = {shape.loc for shape in shapes}
    others = [error for error in errors if not any(place_of(error)[: len(loc)] == loc for loc in told)]
    return [*shapes, *explain(others)]


def _without(data: Any, loc: Loc, *, fills: bool = False) -> Any:  # noqa: ANN401
    """Return the data with INVALID in place of what is at `loc`; `fills`: where nothing is, instead."""
    if not loc:
        return data
    key, below = loc[0], loc[1:]
    if isinstance(data, dict) and (key in data) != (fills and not below):
        return {**data, key: _without(data[key], below, fills=fills) if below else INVALID}
    if isinstance(data, tuple) and isinstance(key, int) and key < len(data):
        item = _without(data[key], below, fills=fills) if below else INVALID
        return (*data[:key], item, *data[key + 1 :])
    return data
