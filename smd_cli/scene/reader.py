"""Reading YAML text into a tree of values with their places in the text.

Refuses duplicate keys, several documents, tags and oversized trees, merges mappings by `<<`, and reports
every such problem of a text at once.
"""

from __future__ import annotations

import copy
import re
from dataclasses import replace

import yaml

from smd_cli.errors import SceneError
from smd_cli.messages import Message, Place
from smd_cli.scene.mapping import Entries
from smd_cli.scene.tree import Node, Scalar
from smd_cli.scene.yaml_types import MERGE, TAG, Events, read_scalar, short_tag

MAX_NODES = 20_000  # far above any real scene; reached in practice only by aliases that multiply
MAX_DEPTH = 40
TOO_DEEP = f"the scene is nested more than {MAX_DEPTH} levels deep"
_SCANNER_TOO_DEEP = "exceeded maximum nesting depth"  # libyaml 0.2.6 stops at a thousand levels
_HALF = "found invalid Unicode character escape code"
_COLLECTIONS = (None, "!", f"{TAG}map", f"{TAG}seq")  # tags that mappings and lists have by themselves
_LINE_END = re.compile(r"\r\n|\r|\n")
# One space before the # and none behind it: who comments on purpose writes `text  # comment`.
_CUT = re.compile(r" (#[^\s#].*)")


def parse(text: str, source: str | Place) -> Node:
    """Read one YAML document.

    `source` names the text in places, which have a line and column (`scene.yaml:2:7`), or is the one place of
    all values. Raises SceneError naming every problem.
    """
    reader = _Reader(text, source)
    try:
        root = reader.document()
    except yaml.YAMLError as error:
        problem, told = _syntax_problem(error, reader), reader.sorted_problems()
        follows = any(_spot(each)[0] == _spot(problem)[0] for each in told)  # from a mistake in its line
        raise SceneError(*told, *([] if follows else [problem])) from error
    except UnicodeEncodeError as error:
        problem = reader.place_behind(text[: error.start]).says("half of a character (a lone surrogate)")
        raise SceneError(problem) from error
    if reader.problems:
        raise SceneError(*reader.sorted_problems())
    return root


def _spot(problem: Message) -> tuple[int, int]:
    """Return the line and column of a problem."""
    return (problem.place.line, problem.place.column) if problem.place else (0, 0)


def _syntax_problem(error: yaml.YAMLError, reader: _Reader) -> Message:
    """Return the one line that reports a YAML error."""
    if isinstance(error, yaml.reader.ReaderError):
        before = reader.text[: error.position]
        if isinstance(error.character, int):  # libyaml's, which counts bytes of UTF-8
            before = reader.text.encode()[: error.position].decode()
        return reader.place_behind(before).says("YAML syntax: a control character")
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return reader.whole.says(f"YAML syntax: {error}")
    if error.problem == _HALF:
        return reader.place(mark.line, mark.column).says(
            "this escape is half of a character or none; write the whole one, such as \\U0001F600"
        )
    if error.problem == _SCANNER_TOO_DEEP:
        return reader.place(mark.line, mark.column).says(TOO_DEEP)
    from smd_cli.scene.syntax import explain_syntax  # what it looks for takes time to compile

    line, column, said = explain_syntax(error, (mark.line, mark.column), reader.lines)
    return reader.place(line, column).says(said)


class _Reader:
    """Builds the tree from the parser's events, and stops where nesting or aliases exceed the limits."""

    def __init__(self, text: str, source: str | Place) -> None:
        self.text = text
        self.lines = text.splitlines()
        self._places = _places_of_lines(text)
        self.whole = source if isinstance(source, Place) else Place(source)
        self.has_lines = self.whole is not source
        self.problems: list[Message] = []
        self.anchors: dict[str, Node] = {}
        self.count = 0

    def sorted_problems(self) -> list[Message]:
        """Return the problems in the order of the text."""
        return sorted(self.problems, key=_spot)

    def document(self) -> Node:
        """Read the text's single document."""
        self.events = Events(self.text)
        self.events.get_event()  # stream start
        if self.events.check_event(yaml.StreamEndEvent):
            raise SceneError(self._nothing())
        self.events.get_event()  # document start
        root = self._node(depth=0)
        self.events.get_event()  # document end
        if not self.events.check_event(yaml.StreamEndEvent):
            self._problem(
                self.events.peek_event(), "a second YAML document begins here; a scene is one document"
            )
        return root

    def _nothing(self) -> Message:
        """Return the problem of a text that holds no document: nothing at all, or comments alone."""
        if self.has_lines:
            return self.whole.says("empty; `smd new NAME` writes a starter scene")
        begins = self.text.lstrip().startswith("#")
        said = 'a # begins a comment; it needs quotes of its own: "#…"' if begins else "has no value"
        return self.whole.says(said)

    def _node(self, depth: int) -> Node:
        event = self.events.get_event()
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self._grow(event, 1, depth)
        node = Node(None, self._place(event))
        if isinstance(event, yaml.CollectionStartEvent) and event.tag not in _COLLECTIONS:
            self._problem(event, f"the tag {event.tag!r} is not allowed in a scene")
        if isinstance(event, yaml.MappingStartEvent):
            node.value = self._mapping(depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            node.value = self._sequence(depth)
        else:
            node.value = self._scalar(event)
            node.is_quoted = bool(event.style)
            node.comment = "" if node.is_quoted else self._comment_behind(event)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _mapping(self, depth: int) -> dict[str, Node]:
        entries = Entries()
        while not self.events.check_event(yaml.MappingEndEvent):
            event = self.events.peek_event()
            key = self._node(depth + 1)
            given = self.events.peek_event()
            value = self._node(depth + 1)
            if not isinstance(event, yaml.ScalarEvent):
                self._problem(event, "a key must be a word")
            elif _is_word_alone(event, given):
                entries.add_word(event.value, key)
            elif event.value == MERGE and not event.style:
                entries.merge(key, value)
            else:
                entries.add(event.value, key, value)
        self.events.get_event()
        nodes = entries.close()
        self.problems += entries.problems
        return nodes

    def _sequence(self, depth: int) -> list[Node]:
        items = []
        while not self.events.check_event(yaml.SequenceEndEvent):
            items.append(self._node(depth + 1))
        self.events.get_event()
        return items

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.events.resolve(yaml.ScalarNode, event.value, event.implicit)
        try:
            return read_scalar(event, tag)
        except LookupError:
            hint = "; a text that begins with ! needs quotes" * tag.startswith("!")
            self._problem(event, f"the tag {tag!r} is not allowed in a scene{hint}")
        except ValueError:
            self._problem(event, f"{event.value[:30]!r} is not readable as {short_tag(tag)}")
        return None

    def _comment_behind(self, event: yaml.ScalarEvent) -> str:
        """Return the comment behind a text that its author may have taken for a part of the text."""
        end = event.end_mark
        if not event.value or end is None or end.line >= len(self.lines):
            return ""
        line = self.lines[end.line]
        match = _CUT.match(line, len(line[: end.column].rstrip()))
        return match[1].rstrip() if match else ""

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        if event.anchor not in self.anchors:
            hint = f"&{event.anchor} names a value; a text that begins with * needs quotes"
            self._problem(event, f"the alias *{event.anchor} stands for nothing above it; {hint}")
            return Node({}, self._place(event))
        node = self.anchors[event.anchor]
        self._grow(event, node.size(), depth + node.depth())
        return copy.deepcopy(node)

    def _grow(self, event: yaml.Event, nodes: int, depth: int) -> None:
        self.count += nodes
        if self.count > MAX_NODES:
            self._problem(event, f"the scene has more than {MAX_NODES} values, aliases expanded")
            raise SceneError(*self.problems)
        if depth > MAX_DEPTH:
            self._problem(event, TOO_DEEP)
            raise SceneError(*self.problems)

    def _problem(self, event: yaml.Event, text: str) -> None:
        self.problems.append(self._place(event).says(text))

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return self.place(mark.line, mark.column) if mark else self.whole

    def place(self, line: int, column: int) -> Place:
        """Return the place at a line of YAML's and a column, counted from 0."""
        if not self.has_lines:
            return self.whole
        start = self._places[line] if line < len(self._places) else place_behind(self.text)
        return replace(self.whole, line=start[0], column=start[1] + column)

    def place_behind(self, before: str) -> Place:
        """Return the place of what follows a part of the text."""
        line, column = place_behind(before)
        return replace(self.whole, line=line, column=column) if self.has_lines else self.whole


def place_behind(text: str) -> tuple[int, int]:
    """Return the line and column, from 1, of what follows a text: a column is a character, a tab too."""
    ends = [match.end() for match in _LINE_END.finditer(text)]
    return len(ends) + 1, len(text) - (ends[-1] if ends else 0) + 1


def _places_of_lines(text: str) -> list[tuple[int, int]]:
    """Return where each line of YAML's begins: it ends lines at three characters at which editors do not."""
    places, line, column = [], 1, 1
    for part in text.splitlines(keepends=True):
        places.append((line, column))
        line, column = (line + 1, 1) if part[-1] in "\r\n" else (line, column + len(part))
    return places


def _is_word_alone(key: yaml.ScalarEvent, value: yaml.Event) -> bool:
    """Tell whether a key has no colon behind it: `{prompt: grass, blue sky}` has the word `blue sky`."""
    is_empty = isinstance(value, yaml.ScalarEvent) and not value.value and not value.style
    begins, ends = value.start_mark, key.end_mark
    return is_empty and begins is not None and ends is not None and begins.index == ends.index
