"""What a model's author recommends to scenes: values for keys that they leave out.

It is a file beside the model (see `models.configs.DEFAULTS`), in the scene language's own keys, and somebody
else's data: it sets how a scene is painted, and names no file, no model and no prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from smd_cli.errors import SceneError
from smd_cli.messages import Place
from smd_cli.scene.explain import Problem, explain
from smd_cli.scene.model_section import ANY_FAMILY, Model
from smd_cli.scene.reader import parse
from smd_cli.scene.region import INHERITED, MaskDefaults
from smd_cli.scene.rules import own_loras
from smd_cli.scene.rules_sampler import sampler_rules
from smd_cli.scene.schema import Bootstrap, Sampler
from smd_cli.scene.section import Section
from smd_cli.scene.tree import Loc, Node, dotted
from smd_cli.scene.valid import regions_of, valid_value

MAX_BYTES = 2**16
_BOOTSTRAPPED = "bootstrapped"


class ForBootstrapped(Section):
    """What is recommended, instead, where regions are bootstrapped on a painted background."""

    sampler: Sampler = Sampler()
    bootstrap: Bootstrap = Bootstrap()
    masks: MaskDefaults = MaskDefaults()


class Recommended(Section):
    """What is recommended to every scene."""

    smd: Literal[1]
    sampler: Sampler = Sampler()
    masks: MaskDefaults = MaskDefaults()
    bootstrapped: ForBootstrapped = ForBootstrapped()


@dataclass(frozen=True)
class Advice:
    """What a model tells to the scenes that name it.

    Attributes:
        family: of the model, `auto` where that is not known.
        settings: a good file's values; None: its author recommends nothing.
        is_known: the model is here; otherwise it may have more to tell.
    """

    family: str = ANY_FAMILY
    settings: Node | None = None
    is_known: bool = True


Adviser = Callable[[Model, Path], Advice]
"""Asks a scene's model, relative to the scene's folder. Raises AssetError: what it recommends is no good."""


def no_advice(_model: Model, _base_dir: Path) -> Advice:
    """Ask no model: for scenes that say all by themselves, such as recipes."""
    return Advice()


@dataclass(frozen=True)
class Filled:
    """A scene's tree, and the same with values for keys that it leaves out, at the places of `keys`."""

    own: Node
    whole: Node
    keys: frozenset[Loc] = frozenset()

    def without(self, keys: AbstractSet[Loc]) -> Filled:
        """Return it without some of the recommended values."""
        whole = dict(_items(self.whole))
        for section, key in keys:
            node = whole[str(section)]
            kept = {name: value for name, value in _items(node) if name != key}
            whole[str(section)] = replace(node, value=kept)
        return Filled(self.own, replace(self.whole, value=whole), self.keys - keys)

    def recommends(self, loc: Loc) -> bool:
        """Tell whether the value of a place, or what it is in, is a recommended one."""
        return loc[:2] in self.keys

    def nearest(self, loc: Loc) -> Node:
        """Return the node at a place, or the deepest one on the way to it that its author wrote."""
        return (self.whole if self.recommends(loc) else self.own).nearest(loc)

    def values(self) -> dict[str, Any]:
        """Return the recommended values by their place."""
        return {dotted(loc): self.whole.nearest(loc).plain() for loc in sorted(self.keys, key=dotted)}


def read_recommended(text: str, source: str, family: str) -> Node:
    """Read what the author of a model recommends; `source` is what messages call the file.

    Raises SceneError: a line for every problem, with its place.
    """
    if all(not line or line.startswith("#") for line in map(str.strip, text.splitlines())):
        raise SceneError(Place(source).says("empty; it begins with `smd: 1`, or is left out"))
    tree = parse(text, source)
    if problems := list(_problems(tree.plain(), family)):
        raise SceneError(*(_placed(tree, each).says(each.text) for each in problems))
    return tree


def _placed(tree: Node, problem: Problem) -> Place:
    return replace(problem.place_at(tree.nearest(problem.loc)), key=dotted(problem.loc))


def _problems(data: Any, family: str) -> Iterator[Problem]:  # noqa: ANN401 - what a file says, of any shape
    try:
        Recommended.model_validate(data)
    except ValidationError as error:
        yield from explain(error.errors(include_url=False), Recommended)
        return
    special = data.get(_BOOTSTRAPPED, {})
    model = {"family": family}
    yield from sampler_rules({"sampler": data.get("sampler", {}), "model": model})
    for problem in sampler_rules({"sampler": data.get("sampler", {}), **special, "model": model}):
        if problem.loc[0] in special:  # the others are told already
            yield replace(problem, loc=(_BOOTSTRAPPED, *problem.loc))


def fill_in(tree: Node, settings: Node | None) -> Filled:
    """Return a scene's tree with what is recommended for keys that it leaves out.

    What is recommended of `sampler` and `bootstrap` belongs together: it holds where the scene itself sets
    none of `sampler.kind`, `steps` and `indices`; and `bootstrap.mix_steps` only where it sets neither
    `bootstrap.steps` nor `show_through`, which it was chosen with, and `show_through` only where it sets no
    `mix_steps`. What does not go with something else that the scene says, such as its LoRAs, does not hold
    either.
    """
    if settings is None or not isinstance(tree.value, dict):
        return Filled(tree, tree)
    data = tree.plain()
    special = settings.child(_BOOTSTRAPPED) if _bootstraps(data) else None
    sections = dict(tree.value)
    keys: set[Loc] = set()
    for name in ("sampler", "bootstrap", "masks"):
        advised = (special and special.child(name)) or settings.child(name)
        given = tree.child(name)
        if advised is None or (given and not isinstance(given.value, dict)):
            continue
        new = {key: node for key, node in _items(advised) if _is_open(data, name, key)}
        keys |= {(name, key) for key in new}
        sections[name] = replace(given or advised, value={**dict(_items(given)), **new})
    return Filled(tree, replace(tree, value=sections), frozenset(keys))


def _items(node: Node | None) -> list[tuple[str, Node]]:
    """Return the items of a mapping but for those that are null, which stands for nothing."""
    if node is None or not isinstance(node.value, dict):
        return []
    return [(key, value) for key, value in node.value.items() if value.value is not None]


def _is_open(data: Any, section: str, key: str) -> bool:  # noqa: ANN401 - what a file says, of any shape
    """Tell whether a scene that says this leaves a key to what is recommended."""

    def says(*loc: str) -> bool:
        return valid_value(data, *loc) is not None

    if says(section, key):
        return False
    if section == "masks":
        own = [own for own, inherited in INHERITED.items() if inherited == key]  # at most one
        return not own or any(valid_value(region, *own) is None for _, region in regions_of(data))
    if any(says("sampler", each) for each in ("kind", "steps", "indices")):
        return False
    if key == "late":  # which may be one that evaluates regions together
        return not any(own_loras(data))
    if key == "indices":  # which would say how much stays of an input
        return not _streams_an_input(data)
    if key == "show_through":  # with which what the scene says of white has no effect
        return not says("bootstrap", "mix_steps")
    shows_through = valid_value(data, "bootstrap", "show_through") is True
    return key != "mix_steps" or not (says("bootstrap", "steps") or shows_through)


def _streams_an_input(data: Any) -> bool:  # noqa: ANN401 - what a file says, of any shape
    return valid_value(data, "task") == "stream" and valid_value(data, "stream", "input") is not None


def _bootstraps(data: Any) -> bool:  # noqa: ANN401 - what a file says, of any shape
    """Tell whether a scene has regions that are bootstrapped by default, and no picture to paint them on.

    A picture has its own ground, which what is bootstrapped for long would not go on with.
    """
    has_picture = valid_value(data, "background", "image") is not None or _streams_an_input(data)
    has_regions = bool(valid_value(data, "regions"))
    return has_regions and valid_value(data, "task") != "panorama" and not has_picture
